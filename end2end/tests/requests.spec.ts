import { demoTest, expect, test } from "./support/desk";
import { createKey, search, unique } from "./support/keys";

/** A request to a path that is not served; gives its id. */
async function failed(base: string, secret: string): Promise<string> {
  const answer = await fetch(`${base}/v1/audio/speech`, { method: "POST", headers: { authorization: `Bearer ${secret}` }, body: "{}" });
  expect(answer.status).toBe(404);
  return answer.headers.get("x-request-id") ?? "";
}

test("a failed request is on its key's page, and its id leads there", async ({ signedIn, page, open, server }) => {
  await signedIn();
  const key = await createKey(page, "acme", unique("asked"));
  await open(key.path);
  await expect(page.locator("#requests")).toContainText("No requests yet");
  const id = await failed(server.url, key.secret);
  // It is written within a second.
  await expect(async () => {
    await open(key.path);
    await expect(page.locator("#requests li")).toHaveCount(1, { timeout: 500 });
  }).toPass();
  const entry = page.locator("#requests li");
  await expect(entry).toContainText("404");
  await expect(entry).toContainText("This path is not served");
  await expect(entry).toContainText("/v1/audio/speech");

  await open("/acme/keys");
  await search(page, id);
  await page.waitForURL((url) => url.pathname === key.path && url.searchParams.get("request") === id);
  await expect(page.locator("#requests li[aria-current]")).toContainText(id);
});

demoTest("support answers a ticket with the reason and a reply", async ({ otherPage, signedIn, server }) => {
  const owner = await signedIn(await otherPage());
  const name = unique("ticket");
  const key = await createKey(owner, "northwind-labs", name);
  const id = await failed(server.url, key.secret);
  const page = await otherPage();
  await page.goto(`${server.url}/sign-in?next=/support`);
  const support = server.who(/^support/);
  await page.getByLabel("Email").fill(support.email);
  await page.getByLabel("Password", { exact: true }).fill(support.password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.waitForURL(server.url + "/support");
  await page.getByRole("link", { name: "Answer a ticket" }).click();
  await page.waitForURL(server.url + "/support/ticket");

  // The secret is not in the address, and the ticket names the key by its id.
  await page.getByRole("textbox", { name: /^Key/ }).fill(key.secret);
  await page.getByLabel("Client").fill("curl");
  await page.getByRole("button", { name: "Find the reason" }).click();
  await page.waitForURL(/\?key=key_/);
  expect(page.url()).not.toContain(key.secret);
  await expect(page.getByLabel("Client")).toHaveValue("curl");
  await expect(page.getByRole("link", { name })).toBeVisible();

  await expect(async () => {
    await page.goto(`${server.url}/support/ticket?request=${id}`);
    await expect(page.locator("#reply")).toContainText("failed with status 404: This path is not served.", { timeout: 500 });
  }).toPass();
  await expect(page.locator("#reply")).toContainText(name);
  expect(await page.content()).not.toContain(key.secret);
});
