// The figures, filters and menus of the list of keys, and the overview that people land on.
import type { Page } from "@playwright/test";
import { demoTest as test, expect, freshTest } from "./support/desk";
import { createKey, rowNames, unique } from "./support/keys";

const org = "/northwind-labs";
const count = async (page: Page) => Number((await page.locator("h1 .count").textContent())?.replaceAll(",", "").match(/\d+/)?.[0]);
const figure = (page: Page, name: string) => page.locator(".tile").filter({ hasText: name });

test("a figure above the list leads to the keys that it counts", async ({ signedIn, page, open }) => {
  await signedIn();
  for (const name of ["Stopped", "Near a limit", "Expiring in 7 days"]) {
    await open(`${org}/keys`);
    const told = Number(await figure(page, name).locator("b").textContent());
    await figure(page, name).click();
    await page.waitForURL(/state=/);
    if (told === 0) await expect(page.locator(".empty")).toBeVisible();
    else expect(await count(page), name).toBe(told);
  }
  await open(`${org}/keys`);
  await figure(page, "Spent this month").click();
  await page.waitForURL(/sort=spend/);
});

test("a choice of a team acts at once with script, and with Apply without", async ({ signedIn, page, open, javaScriptEnabled }) => {
  await signedIn();
  await open(`${org}/keys`);
  await page.getByRole("combobox", { name: "Team" }).selectOption("Research");
  const apply = page.getByRole("button", { name: "Apply" });
  if (javaScriptEnabled) await expect(apply).toBeHidden();
  else await apply.click();
  await page.waitForURL(/team=team_/);
});

test("an owner is chosen also where the list has no column for them", async ({ signedIn, page, open, javaScriptEnabled }) => {
  await signedIn();
  await page.setViewportSize({ width: 360, height: 800 });
  await open(`${org}/keys`);
  const owners = page.getByRole("combobox", { name: "Owner" });
  await owners.selectOption("Ingrid Solberg");
  if (!javaScriptEnabled) await page.getByRole("button", { name: "Apply" }).click();
  await page.waitForURL(/owner=per_/);
  await expect(owners.locator("option:checked")).toHaveText("Ingrid Solberg");
  await expect(page.locator(".narrowed")).toContainText("Only keys of Ingrid Solberg");
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
});

test("an owner's name leads to their keys, and back to everybody's", async ({ signedIn, page, open }) => {
  await page.setViewportSize({ width: 1440, height: 900 });
  await signedIn();
  await open(`${org}/keys`);
  const owner = page.locator('tbody td[data-label="Owner"] a').first();
  const name = (await owner.textContent()) ?? "";
  await owner.click();
  await page.waitForURL(/owner=per_/);
  const owners = await page.locator('tbody td[data-label="Owner"]').allTextContents();
  expect(new Set(owners.map((words) => words.trim()))).toEqual(new Set([name.trim()]));
  await page.getByRole("link", { name: "Show all owners" }).click();
  await page.waitForURL((url) => !url.searchParams.has("owner"));
});

test("a row's menu has what can be done with its key", async ({ signedIn, page, open }) => {
  await signedIn();
  const key = await createKey(page, "northwind-labs", unique("menu"));
  await open(`${org}/keys`);
  await page.getByRole("button", { name: `Actions for ${key.name}` }).click();
  const menu = page.locator(`#menu-${key.id}`);
  await expect(menu.getByRole("link")).toHaveText(["View", "Edit", "Rotate", "Disable", "Revoke"]);
  await menu.getByRole("link", { name: "Rotate" }).click();
  await page.waitForURL(new RegExp(`${key.id}/rotate`));
});

test("at 1,440 px the list has every column and does not scroll sideways", async ({ signedIn, page, open }) => {
  await signedIn();
  await page.setViewportSize({ width: 1440, height: 900 });
  await open(`${org}/keys?sort=spend&dir=desc`);
  for (const name of ["Team", "Owner", "Last used", "Created", "Expires", "14 days"]) {
    await expect(page.getByRole("columnheader", { name, exact: true })).toBeVisible();
  }
  await expect(page.locator("tbody tr").first().locator(".spark")).toBeVisible();
  const beyond = await page.locator(".table-wrap").evaluate((wrap) => wrap.scrollWidth - wrap.clientWidth);
  expect(beyond).toBeLessThanOrEqual(0);
});

test("on a phone a key is two lines, and the order is a choice", async ({ signedIn, page, open, javaScriptEnabled }) => {
  await signedIn();
  await page.setViewportSize({ width: 360, height: 800 });
  await open(`${org}/keys`);
  const row = page.locator("tbody tr").first();
  expect((await row.boundingBox())?.height).toBeLessThan(72);
  await expect(row.locator(".brief")).toContainText(/\$.* · /);
  const names = await rowNames(page);
  await page.getByRole("combobox", { name: "Sort" }).selectOption({ label: "By name" });
  if (!javaScriptEnabled) await page.getByRole("button", { name: "Sort" }).click();
  await page.waitForURL(/sort=name/);
  expect(await rowNames(page)).not.toEqual(names);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
});

test("the overview says what was spent and leads to what needs a look", async ({ signedIn, page, open, server }) => {
  await signedIn();
  await page.goto(`${server.url}/`);
  await page.waitForURL(`${server.url}${org}`);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Overview");
  await expect(page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Overview" })).toHaveAttribute("aria-current", "page");
  const facts = page.locator(".overview");
  for (const name of ["Last month to the same day", "Forecast to the end of the month", "Requests"]) {
    await expect(facts.locator("dt").getByText(name, { exact: true })).toBeVisible();
  }
  await expect(facts.locator(".amount").first()).toContainText("$");
  for (const by of ["By model", "By key", "By team"]) {
    await page.getByRole("link", { name: by, exact: true }).click();
    await expect(page.getByRole("link", { name: by, exact: true })).toHaveAttribute("aria-current", "true");
    await expect(page.getByRole("group", { name: `Spend per day ${by.toLowerCase()}` })).toBeVisible();
  }
  const told = (await figure(page, "Without a limit").locator("b").textContent())?.trim();
  await figure(page, "Without a limit").click();
  await page.waitForURL(/state=unlimited/);
  if (told !== "0") expect(String(await count(page))).toBe(told);
  await open(`${org}/keys`);
  await expect(page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Overview" })).not.toHaveAttribute("aria-current", "page");
});

test("the operators' overview adds organisations up, and leads to the keys of their own", async ({ signedIn, page, open }) => {
  await signedIn();
  await open("/operator/overview");
  for (const name of ["Spent this month", "Last month to the same day", "Forecast to the end of the month"]) {
    await expect(figure(page, name).locator("b")).toContainText("$");
  }
  await expect(page.getByRole("group", { name: "Spend per day by organisation" })).toBeVisible();
  await page.getByText("Show as table").click();
  await expect(page.getByRole("region", { name: "Spend per day by organisation, as a table" })).toBeVisible();
  await figure(page, "Stopped").click();
  await page.waitForURL(/#keys$/);
  const table = page.getByRole("table", { name: "Keys that need a look, by organisation" });
  // The owner of Northwind sees all its keys; no one goes into an organisation that they do not belong to.
  const numbers = table.getByRole("row", { name: /Northwind Labs/ }).locator("td a");
  const told = (await numbers.last().textContent())?.trim();
  await numbers.last().click();
  await page.waitForURL(/northwind-labs\/keys\?state=/);
  expect(String(await count(page))).toBe(told);
  await page.setViewportSize({ width: 360, height: 800 });
  await open("/operator/overview");
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
});

freshTest("a new organisation begins with its first steps, until there was a request", async ({ signedIn, page, open, server }) => {
  await signedIn();
  await open("/acme");
  const steps = page.locator(".steps li");
  await expect(steps).toHaveCount(3);
  await page.locator("main").getByRole("link", { name: "Create key" }).click();
  await page.waitForURL(`${server.url}/acme/keys/new`);
  const key = await createKey(page, "acme", unique("first"));
  await open("/acme");
  await expect(steps.first()).toHaveClass(/done/);
  const answered = await fetch(`${server.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key.secret}` },
    body: JSON.stringify({ model: "demo/echo", messages: [{ role: "user", content: "Hi" }] }),
  });
  expect(answered.status).toBe(200);
  await answered.text();
  await expect(async () => {
    await open("/acme");
    await expect(page.locator(".overview")).toBeVisible({ timeout: 500 });
  }).toPass();
});
