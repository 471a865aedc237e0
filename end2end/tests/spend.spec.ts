import { readFile } from "node:fs/promises";
import type { Page } from "@playwright/test";
import { demoTest, expect, test } from "./support/desk";
import { createKey, unique } from "./support/keys";

async function file(page: Page, link: string): Promise<{ name: string; lines: string[] }> {
  const arriving = page.waitForEvent("download");
  await page.getByRole("link", { name: link, exact: true }).click();
  const download = await arriving;
  const text = await readFile(await download.path(), "utf8");
  return { name: download.suggestedFilename(), lines: text.trim().split("\r\n") };
}

test("a request shows what it used, and a key's requests are a file", async ({ signedIn, page, open, server }) => {
  await signedIn();
  const key = await createKey(page, "acme", unique("spent"));
  const answer = await fetch(`${server.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key.secret}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "demo/echo", messages: [{ role: "user", content: "Hi" }] }),
  });
  expect(answer.status).toBe(200);
  const id = answer.headers.get("x-request-id") ?? "";

  await open(key.path);
  const entry = page.locator("#requests li");
  await expect(entry).toHaveCount(1);
  await expect(entry).toContainText(id);
  await expect(entry.locator("dl")).toBeHidden();
  await entry.locator("summary").click();
  for (const name of ["Input", "Output", "Cost", "Price"]) {
    await expect(entry.locator("dt").getByText(name, { exact: true })).toBeVisible();
  }

  const arriving = page.waitForEvent("download");
  await page.locator("#requests").getByRole("button", { name: "Export CSV" }).click();
  const download = await arriving;
  expect(download.suggestedFilename()).toBe(`requests-${key.id}.csv`);
});

demoTest("who spent most last month, on which model, as a file", async ({ page, open, signedIn }) => {
  await signedIn();
  await open("/northwind-labs/keys");
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Spend", exact: true }).click();
  await expect(page.getByRole("heading", { name: "Spend", exact: true })).toBeVisible();
  await page.getByRole("link", { name: "Last month", exact: true }).click();
  await expect(page).toHaveURL(/period=last-month/);
  await page.getByRole("link", { name: "By owner", exact: true }).click();
  await expect(page.getByRole("heading", { name: "Spend by owner" })).toBeVisible();

  // The chart is drawn of bars that a keyboard reaches, and is there as a table.
  const bars = page.locator(".chart .bar");
  expect(await bars.count()).toBeGreaterThan(27);
  await expect(bars.first()).toHaveAttribute("aria-label", /\$/);
  await page.locator("summary", { hasText: "Show as table" }).click();
  const days = page.getByRole("region", { name: /as a table$/ });
  await expect(days).toBeVisible();
  await expect(days.locator("tbody a").first()).toHaveAttribute("href", /requests\?from=(\d{4}-\d\d-\d\d)&to=\1$/);

  // The file has the table's rows, in its order, and its total.
  const table = page.getByRole("region", { name: "Table", exact: true });
  const names = await table.locator("tbody th").allInnerTexts();
  const csv = await file(page, "CSV");
  expect(csv.name).toMatch(/^spend-northwind-labs-\d{4}-\d\d-01-.*\.csv$/);
  expect(csv.lines).toHaveLength(names.length + 1);
  expect(csv.lines[1]).toContain(names[0] ?? "");
  expect(csv.lines.at(-1)).toContain(",Total,");
  const focus = await file(page, "FOCUS CSV");
  expect(focus.lines[0]).toContain("BilledCost,BillingAccountId");

  // A click narrows to the person and shows their keys, another the models of a key.
  await table.getByRole("link").first().click();
  await expect(page.getByRole("heading", { name: "Spend by key" })).toBeVisible();
  await expect(page.locator(".in-use")).toContainText(names[0] ?? "");
  await table.getByRole("link").first().click();
  await expect(page.getByRole("heading", { name: "Spend by model" })).toBeVisible();
  // The number of requests of a row leads to them, with the same filters and days.
  const log = await table.getByRole("link", { name: /requests$/ }).first().getAttribute("href");
  expect(log).toMatch(/\/northwind-labs\/requests\?key=key_.*owner=per_.*model=.*from=\d{4}-\d\d-01&to=/);
  await page.getByRole("link", { name: "Remove the filter key" }).click();
  await expect(page.locator(".in-use li")).toHaveCount(1);

  // Days of one's own, in a form that works without script.
  await page.getByLabel("From").fill("2020-01-01");
  await page.getByLabel("To", { exact: true }).fill("2020-01-31");
  await page.getByRole("button", { name: "Apply filters" }).click();
  await expect(page.getByRole("heading", { name: "Nothing was spent on 1–31 Jan 2020" })).toBeVisible();
  await page.locator("main .empty").getByRole("link", { name: "Clear filters" }).click();
  await expect(page.locator(".in-use")).toHaveCount(0);
});

demoTest("a key's page leads to all of its spend", async ({ page, open, signedIn }) => {
  await signedIn();
  await open("/northwind-labs/keys?sort=spend");
  await page.locator("tbody .row-link").first().click();
  await expect(page.getByRole("heading", { name: "Last 30 days" })).toBeVisible();
  await page.getByRole("link", { name: "All spend" }).click();
  await expect(page).toHaveURL(/\/northwind-labs\/spend\?key=key_/);
  await expect(page.locator(".in-use li")).toHaveCount(1);
});
