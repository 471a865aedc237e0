import type { Page } from "@playwright/test";
import { demoTest as test, expect } from "./support/desk";
import { createKey, openActs, rowNames, unique } from "./support/keys";

const keys = "/northwind-labs/keys";
const buttons = async (page: Page) => {
  const actions = page.locator(".page-head .actions :is(a, button:not([popovertarget]))");
  return (await actions.allTextContents()).map((words) => words.trim());
};
const create = (page: Page) => page.getByRole("link", { name: "Create key" });
const owners = async (page: Page) =>
  new Set((await page.locator('tbody td[data-label="Owner"] .clip').allTextContents()).map((name) => name.trim()));
const teams = async (page: Page) =>
  new Set((await page.locator('tbody td[data-label="Team"]').allTextContents()).map((name) => name.trim()));

/** An active key of the list, by what stands in one of its cells. */
async function activeKey(page: Page, url: string, cell: string, words: RegExp): Promise<string> {
  await page.goto(`${url}${keys}?state=active&sort=name`);
  const found = page.locator("tbody tr").filter({ has: page.locator(`td[data-label="${cell}"]`, { hasText: words }) });
  return (await found.first().locator(".row-link").getAttribute("href")) ?? "";
}

test("owner and admin create, edit, disable and revoke any key", async ({ otherPage, signIn, server, open }) => {
  for (const role of [/^owner;/, /^admin$/]) {
    const page = await signIn(await otherPage(), server.who(role));
    await open(keys, page);
    await expect(create(page)).toBeVisible();
    expect((await owners(page)).size).toBeGreaterThan(5);
    const path = await activeKey(page, server.url, "Owner", /Sato/);
    await page.goto(server.url + path);
    expect(await buttons(page)).toEqual(["Rotate", "Edit", "Duplicate", "Disable", "Revoke"]);
    await open(`${keys}/new`, page);
    expect((await page.getByRole("combobox", { name: "Team" }).locator("option").allTextContents()).length).toBe(7);
  }
});

test("a team's admin looks after the team's keys and sees no other team's", async ({ otherPage, signIn, signedIn, server, open, expectFailures }) => {
  expectFailures("404 GET /northwind-labs/keys/", "422 POST /api/keys/create");
  const owner = await signedIn(await otherPage());
  const elsewhere = await activeKey(owner, server.url, "Team", /Marketing/);

  const page = await signIn(await otherPage(), server.who(/^admin of the team Research$/));
  await open(keys, page);
  await expect(create(page)).toBeVisible();
  expect(await teams(page)).toContain("Research");
  expect(await teams(page)).not.toContain("Marketing");
  const own = await activeKey(page, server.url, "Team", /Research/);
  await page.goto(server.url + own);
  expect(await buttons(page)).toEqual(["Rotate", "Edit", "Duplicate", "Disable", "Revoke"]);
  for (const tail of ["", "/edit", "/revoke", "/issued"]) {
    const answer = await page.goto(server.url + elsewhere + tail);
    expect(answer?.status(), tail).toBe(404);
    await expect(page.getByRole("heading", { name: "Page not found" })).toBeVisible();
  }
  await open(`${keys}/new`, page);
  const choices = await page.getByRole("combobox", { name: "Team" }).locator("option").allTextContents();
  expect(choices).not.toContain("Marketing");
  const key = await createKey(page, "northwind-labs", unique("research"), async () => {
    await page.getByRole("combobox", { name: "Team" }).selectOption("Research");
  });
  await owner.goto(server.url + key.path);
  await expect(owner.getByRole("heading", { level: 1 })).toContainText(key.name);
});

test("a member sees only their own keys, creates some in their teams, and may stop but not change them", async ({ otherPage, signIn, signedIn, server, open, expectFailures }) => {
  expectFailures(/40[34] GET \/northwind-labs\/(keys\/|settings)/);
  const owner = await signedIn(await otherPage());
  const others = await activeKey(owner, server.url, "Owner", /Ana Ruiz/);
  // A key of Kenji's, so that there is one that can be acted on.
  const kenji = server.people.find(({ email }) => email.startsWith("kenji@"));
  const page = await signIn(await otherPage(), kenji ?? server.who(/^member$/));
  await open(keys, page);
  await expect(create(page)).toBeVisible();
  expect(await owners(page)).toEqual(new Set(["Kenji Sato"]));

  const own = await activeKey(page, server.url, "Owner", /Kenji/);
  await page.goto(server.url + own);
  // A key with a budget can also ask for more.
  const seen = (await buttons(page)).filter((words) => words !== "Ask for more");
  expect(seen).toEqual(["Rotate", "Duplicate", "Disable", "Revoke"]);
  await openActs(page);
  await page.getByRole("link", { name: "Disable", exact: true }).click();
  await expect(page.locator("main")).toContainText("You can’t enable it again yourself. Ask ");
  await expect(page.locator('main a[href^="mailto:"]').first()).toBeVisible();
  await page.getByRole("link", { name: "Cancel" }).click();
  await page.waitForURL(server.url + own);
  for (const [path, status, heading] of [
    [others, 404, "Page not found"],
    [`${others}/revoke`, 404, "Page not found"],
    [`${own}/edit`, 403, "You don't have permission"],
    ["/northwind-labs/settings", 403, "You don't have permission"],
  ] as const) {
    const answer = await page.goto(server.url + path);
    expect(answer?.status(), path).toBe(status);
    await expect(page.getByRole("heading", { name: heading })).toBeVisible();
  }
  // Nor does a search find somebody else's.
  const id = others.split("/").at(-1) ?? "";
  await page.goto(`${server.url}${keys}?q=${id}`);
  expect(await rowNames(page)).toEqual([]);
});

test("support looks everywhere and changes nothing", async ({ otherPage, signedIn, server, open, expectFailures }) => {
  expectFailures(/403 GET \/northwind-labs\/keys\//);
  const owner = await signedIn(await otherPage());
  const path = await activeKey(owner, server.url, "Owner", /Sato/);
  const page = await otherPage();
  await page.goto(`${server.url}/sign-in?next=${keys}`);
  const support = server.who(/^support/);
  await page.getByLabel("Email").fill(support.email);
  await page.getByLabel("Password", { exact: true }).fill(support.password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.waitForURL(server.url + keys);
  expect((await owners(page)).size).toBeGreaterThan(5);
  await expect(create(page)).toHaveCount(0);
  await page.goto(server.url + path);
  expect(await buttons(page)).toEqual([]);
  for (const tail of ["/edit", "/revoke"]) {
    const answer = await page.goto(server.url + path + tail);
    expect(answer?.status()).toBe(403);
    await expect(page.getByRole("heading", { name: "You don't have permission" })).toBeVisible();
    await expect(page.locator("main")).toContainText("Ask an owner or admin of the organisation");
    await expect(page.locator(".request code")).toHaveText(/^req_/);
  }
  expect((await page.goto(`${server.url}${keys}/new`))?.status()).toBe(403);
  await open("/fjord-robotics/keys", page);
  expect(await owners(page)).toContain("Erik Halvorsen");
});

test("somebody who signs in lands on a page that is theirs, whatever they are", async ({ otherPage, signIn, server }) => {
  for (const role of [/^owner;/, /^member$/, /^support/, /^owner of Fjord/]) {
    const page = await signIn(await otherPage(), server.who(role));
    const answer = await page.goto(`${server.url}/`);
    expect(answer?.status(), String(role)).toBe(200);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  }
});

test("another organisation is not there, nor is its key under one's own", async ({ otherPage, signIn, signedIn, server, expectFailures }) => {
  expectFailures("404 GET /");
  const owner = await signedIn(await otherPage());
  await owner.goto(`${server.url}/fjord-robotics/keys`);
  const theirs = (await owner.locator("tbody .row-link").first().getAttribute("href")) ?? "";
  expect(theirs).toMatch(/^\/fjord-robotics\/keys\/key_/);

  const page = await signIn(await otherPage(), server.who(/^admin$/));
  const paths = [
    "/fjord-robotics",
    "/fjord-robotics/keys",
    "/fjord-robotics/keys/new",
    theirs,
    theirs.replace("fjord-robotics", "northwind-labs"),
    "/nobody-has-this/keys",
  ];
  for (const path of paths) {
    const answer = await page.goto(server.url + path);
    expect(answer?.status(), path).toBe(404);
    await expect(page.getByRole("heading", { name: "Page not found" })).toBeVisible();
    await expect(page.locator("body")).not.toContainText("Fjord Robotics");
  }
});
