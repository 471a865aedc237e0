import { readFile } from "node:fs/promises";
import type { Page } from "@playwright/test";
import { expect, test } from "./support/desk";
import { asOpenAi, createKey, row, unique } from "./support/keys";

/** Ticks these keys in the list, and goes on with an action. */
async function select(page: Page, names: string[], action: string): Promise<void> {
  for (const name of names) await page.getByRole("checkbox", { name: `Select ${name}`, exact: true }).check();
  await page.getByLabel("Action for the selected keys").selectOption({ label: action });
  await page.getByRole("button", { name: "Continue" }).click();
  await page.waitForURL(/\/keys\/bulk\?/);
}

test("keys are disabled together, and the outcome is a file", async ({ signedIn, page, open, server }) => {
  await signedIn();
  const base = unique("together");
  const one = await createKey(page, "acme", `${base}-1`);
  const two = await createKey(page, "acme", `${base}-2`);
  await open(`/acme/keys?q=${base}`);
  await select(page, [one.name, two.name], "Disable");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Disable 2 keys");
  for (const name of [one.name, two.name]) await expect(row(page, name)).toContainText("Will be disabled");
  await expect(page.getByRole("link", { name: "Cancel" })).toHaveAttribute("href", new RegExp(`/acme/keys\\?q=${base}`));
  expect((await asOpenAi(server.url, one.secret)).status).toBe(200);

  await page.getByRole("button", { name: "Disable 2 keys" }).click();
  await expect(page.getByRole("status")).toContainText("2 keys disabled.");
  for (const key of [one, two]) expect((await asOpenAi(server.url, key.secret)).status).toBe(401);
  const [file] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("link", { name: "Download CSV" }).click(),
  ]);
  expect(file.suggestedFilename()).toMatch(/^keys-acme-disable-\d{4}-\d\d-\d\d\.csv$/);
  const text = await readFile(await file.path(), "utf8");
  expect(text).toContain(`${one.id},${one.name},`);
  expect(text).not.toContain(one.secret);

  await page.getByRole("link", { name: "Back to the keys" }).click();
  await page.waitForURL(new RegExp(`/acme/keys\\?q=${base}`));
  await select(page, [one.name], "Disable");
  await expect(row(page, one.name)).toContainText("Already disabled");
  await expect(page.getByRole("main").getByRole("button", { name: /^Disable/ })).toHaveCount(0);
});

test("keys in use are revoked with their number", async ({ signedIn, page, open, server, expectFailures }) => {
  expectFailures("422 POST /api/keys/bulk");
  await signedIn();
  const base = unique("used");
  const keys = [await createKey(page, "acme", `${base}-1`), await createKey(page, "acme", `${base}-2`)];
  expect((await asOpenAi(server.url, keys[0]?.secret ?? "")).status).toBe(200);
  await open(`/acme/keys?q=${base}`);
  await expect.poll(async () => {
    await page.reload();
    return row(page, `${base}-1`).locator('[data-label="Last used"]').textContent();
  }).not.toContain("Never");
  await select(page, keys.map((key) => key.name), "Revoke");
  await page.getByLabel("Number of keys that you revoke").fill("1");
  await page.getByRole("button", { name: "Revoke 2 keys" }).click();
  await expect(page.locator('[data-field="count"] > .error')).toContainText("Type how many keys you revoke, 2, to confirm.");
  await page.getByLabel("Number of keys that you revoke").fill("2");
  await page.getByRole("button", { name: "Revoke 2 keys" }).click();
  await expect(page.getByRole("status")).toContainText("2 keys revoked.");
});

test("an expiration is chosen, previewed and set", async ({ signedIn, page, open }) => {
  await signedIn();
  const key = await createKey(page, "acme", unique("dated"));
  await open(`/acme/keys?q=${key.name}`);
  await select(page, [key.name], "Set expiration");
  await page.getByLabel("Date", { exact: true }).fill("2027-01-31");
  await page.getByRole("button", { name: "Preview" }).click();
  await expect(row(page, key.name)).toContainText("Expires 31 Jan 2027 instead of");
  await page.getByRole("button", { name: "Set expiration of 1 key" }).click();
  await expect(page.getByRole("status")).toContainText("1 key changed.");
  await open(key.path);
  await expect(page.getByRole("complementary", { name: "About this key" })).toContainText("31 Jan 2027");
});

test("keys are rotated one after the other", async ({ signedIn, page, open, server }) => {
  await signedIn();
  const base = unique("walk");
  const keys = [await createKey(page, "acme", `${base}-1`), await createKey(page, "acme", `${base}-2`)];
  await open(`/acme/keys?q=${base}`);
  await select(page, keys.map((key) => key.name), "Rotate");
  await page.getByRole("link", { name: "Key 1 of 2: Rotate" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toContainText("Key 1 of 2: Rotate");
  await page.getByRole("radio", { name: /^In 7 days/ }).check();
  await page.getByRole("button", { name: "Rotate key" }).click();
  await page.waitForURL(/\/issued\?of=/);
  const first = (await page.locator("#secret").textContent()) ?? "";
  await page.getByRole("link", { name: "I have stored it: next key" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toContainText("Key 2 of 2: Rotate");
  await expect(page.getByRole("radio", { name: /^In 7 days/ })).toBeChecked();
  await page.getByRole("button", { name: "Rotate key" }).click();
  await page.waitForURL(/\/issued\?of=/);
  const second = (await page.locator("#secret").textContent()) ?? "";
  await expect(page.getByRole("link", { name: "I have stored it", exact: true })).toBeVisible();
  for (const secret of [first, second]) expect((await asOpenAi(server.url, secret)).status).toBe(200);
  for (const secret of [first, second]) expect(server.log()).not.toContain(secret);
});

test("one box ticks all keys of the page", async ({ signedIn, page, open, javaScriptEnabled }) => {
  await signedIn();
  const base = unique("all");
  for (const n of [1, 2]) await createKey(page, "acme", `${base}-${n}`);
  await open(`/acme/keys?q=${base}`);
  const all = page.getByRole("checkbox", { name: "Select all keys on this page" });
  if (!javaScriptEnabled) {
    await expect(all).toBeHidden();
    return;
  }
  await expect(page.getByRole("button", { name: "Continue" })).toBeHidden();
  await all.check();
  for (const n of [1, 2]) await expect(page.getByRole("checkbox", { name: `Select ${base}-${n}` })).toBeChecked();
  await expect(page.getByRole("button", { name: "Continue" })).toBeVisible();
  await all.uncheck();
  await expect(page.getByRole("button", { name: "Continue" })).toBeHidden();
});
