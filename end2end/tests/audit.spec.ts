import { readFile } from "node:fs/promises";
import type { Page } from "@playwright/test";
import { test, expect } from "./support/desk";
import { createKey, openActs, unique } from "./support/keys";

const sentences = (page: Page) => page.locator("main .history .words").allInnerTexts();

async function downloaded(page: Page, button: string): Promise<{ name: string; text: string }> {
  const arriving = page.waitForEvent("download");
  await page.getByRole("button", { name: button }).click();
  const file = await arriving;
  return { name: file.suggestedFilename(), text: await readFile(await file.path(), "utf8") };
}

test("what happens is told in sentences, found by filters, and exported", async ({ page, open, signedIn }) => {
  await signedIn();
  const name = unique("audited");
  const key = await createKey(page, "acme", name);
  await open(`/acme/keys/${key.id}`);
  await openActs(page);
  await page.getByRole("button", { name: "Disable" }).click();
  await expect(page.locator(".notice")).toContainText("disabled");
  await expect(page.locator(".history .words", { hasText: `disabled the key ${name}.` })).toBeVisible();
  await expect(page.locator("main")).toContainText("No requests yet.");

  // The link on the key's page opens the audit of this key alone.
  await page.getByRole("link", { name: "All events of this key" }).click();
  await expect(page.getByRole("heading", { name: /^Audit/ })).toBeVisible();
  expect(await sentences(page)).toEqual([`Ana Ruiz disabled the key ${name}.`, `Ana Ruiz created the key ${name}.`]);
  await page.locator("summary", { hasText: "Details" }).last().click();
  await expect(page.getByRole("row", { name: /^Name/ })).toContainText(name);

  // By kind and name, in a form that works without script; the address says the same.
  await open("/acme/audit");
  await page.getByLabel("Key", { exact: true }).fill(name);
  await page.getByLabel("What happened").selectOption({ label: "Key disabled" });
  await page.getByRole("button", { name: "Apply filters" }).click();
  await expect(page).toHaveURL(/kind=key\.disabled/);
  expect(await sentences(page)).toEqual([`Ana Ruiz disabled the key ${name}.`]);

  const csv = await downloaded(page, "Export CSV");
  expect(csv.name).toMatch(/^audit-acme-\d{4}-\d\d-\d\d\.csv$/);
  const lines = csv.text.trim().split("\r\n");
  expect(lines).toHaveLength(2);
  expect(lines[1]).toContain(`Ana Ruiz disabled the key ${name}.`);
  const json = await downloaded(page, "Export JSON Lines");
  expect(json.name).toMatch(/\.jsonl$/);
  expect(JSON.parse(json.text.trim())).toMatchObject({ kind: "key.disabled", subject: name, person: "Ana Ruiz" });

  // An export is an event too.
  await open("/acme/audit?kind=audit.exported");
  expect((await sentences(page))[0]).toBe(`Ana Ruiz exported part of the audit (key ${name}, kind Key disabled) as JSON Lines.`);

  await open("/acme/audit?key=no-such-key");
  await expect(page.getByRole("heading", { name: "No event matches" })).toBeVisible();
  await page.locator("main .empty").getByRole("link", { name: "Clear filters" }).click();
  await expect(page).toHaveURL(/\/acme\/audit$/);
});
