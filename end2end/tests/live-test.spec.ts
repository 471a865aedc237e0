import { expect, test } from "./support/desk";
import { createKey, mistake, unique } from "./support/keys";

test("a key is tested, and a wrong one says whose error it is", async ({ signedIn, page, open, server, expectFailures }) => {
  expectFailures("422 POST /api/live-test/run");
  await signedIn();
  const key = await createKey(page, "acme", unique("tested"));
  await open("/acme/keys");
  await page.getByRole("link", { name: "Test a key", exact: true }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Test a key");

  const run = async (secret: string, url: string) => {
    await page.getByLabel("Secret", { exact: true }).fill(secret);
    await page.getByLabel("Base URL").fill(url);
    await page.getByRole("button", { name: "Test key" }).click();
  };
  await run(key.secret, `${server.url}/v1/chat/completions`);
  const result = page.locator("#result");
  await expect(result).toContainText(`Your URL was read as ${server.url}.`);
  await expect(result.locator(".card")).toHaveCount(2);
  await expect(result.locator(".card").first()).toContainText("The key and the base URL work.");
  expect(await page.content()).not.toContain(key.secret);
  expect(page.url()).toBe(`${server.url}/acme/live-test`);

  await run("sk-proj-abcdefghijklmnopqrst", server.url);
  await expect(result.locator(".card")).toHaveCount(1);
  await expect(result.locator(".card")).toContainText("Gate 2 of the gateway");
  await expect(result.locator(".card .badge")).toHaveText("Failed");

  await run(key.secret, "https://127.0.0.1:1");
  await expect(mistake(page, "url")).toBeVisible();
  expect(await page.content()).not.toContain(key.secret);
});

test("a client with a wrong base URL is told the right one", async ({ server }) => {
  const answer = await fetch(`${server.url}/chat/completions`, { method: "POST", headers: { authorization: "Bearer x" }, body: "{}" });
  expect(answer.status).toBe(404);
  const body = (await answer.json()) as { error: { message: string } };
  expect(body.error.message).toContain(`set the client's base URL to ${server.url}/v1.`);
});
