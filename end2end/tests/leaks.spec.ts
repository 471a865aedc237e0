import { expect, test } from "./support/desk";
import { asOpenAi, createKey, unique } from "./support/keys";

test("a pasted secret shows whose it is, and one confirmation replaces it", async ({ signedIn, page, open, server }) => {
  await signedIn();
  const key = await createKey(page, "acme", unique("leaked"));
  expect((await asOpenAi(server.url, key.secret)).status).toBe(200);
  const search = async (text: string) => {
    await open("/acme/keys");
    await page.getByRole("searchbox", { name: "Search keys" }).fill(text);
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/secrets\/sec_/);
  };
  await search(key.secret);
  expect(page.url()).not.toContain(key.secret.slice(8, 40));
  expect(await page.content()).not.toContain(key.secret.slice(8, 40));
  const hint = `sk-…${key.secret.slice(-4)}`;
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Secret ${hint}`);
  await expect(page.locator(".notice")).toContainText(`This is the current secret of ${key.name}, and it works.`);
  await expect(page.getByRole("radio", { name: /^Rotate the key/ })).toBeChecked();
  await page.getByRole("button", { name: "Stop this secret" }).click();
  await page.waitForURL(/\/issued$/);
  const secret = (await page.locator("#secret").textContent()) ?? "";
  expect((await asOpenAi(server.url, key.secret)).status).toBe(401);
  expect((await asOpenAi(server.url, secret)).status).toBe(200);

  await search(key.secret);
  await expect(page.locator(".notice")).toContainText(`A rotation of ${key.name} replaced this secret.`);
  await expect(page.getByRole("button", { name: "Stop this secret" })).toHaveCount(0);

  await search(secret);
  await page.getByRole("radio", { name: /^Revoke the key/ }).check();
  await page.getByRole("button", { name: "Stop this secret" }).click();
  await page.waitForURL(server.url + key.path);
  await expect(page.locator("h1 .badge")).toHaveText("Revoked");
  await expect(page.locator("main")).toContainText("as leaked");
  expect((await asOpenAi(server.url, secret)).status).toBe(401);
});
