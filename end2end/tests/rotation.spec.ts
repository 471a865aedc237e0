import type { Page } from "@playwright/test";
import { expect, test } from "./support/desk";
import { asOpenAi, createKey, unfold, unique } from "./support/keys";

const hint = (secret: string) => `sk-…${secret.slice(-4)}`;
const newSecret = async (page: Page) => {
  await page.waitForURL(/\/issued$/);
  return (await page.locator("#secret").textContent()) ?? "";
};
const rowOf = (page: Page, which: string) => page.locator("#rotation tbody tr").filter({ hasText: which });

/** Requests one after the other until it is stopped; gives the statuses that were not 200, and how many there were. */
function load(base: string, secret: () => string) {
  let running = true;
  const result = { failed: [] as number[], count: 0 };
  const done = (async () => {
    while (running) {
      const { status } = await asOpenAi(base, secret());
      result.count += 1;
      if (status !== 200) result.failed.push(status);
    }
  })();
  return async () => {
    running = false;
    await done;
    return result;
  };
}

test("a key is rotated under load without a failed request", async ({ signedIn, page, open, server }) => {
  await signedIn();
  const key = await createKey(page, "acme", unique("rotated"));
  let inUse = key.secret;
  const stop = load(server.url, () => inUse);
  await open(key.path);

  await page.getByRole("link", { name: "Rotate" }).click();
  await page.waitForURL(server.url + key.path + "/rotate");
  await expect(page.getByRole("group", { name: `The current secret ${hint(key.secret)} ends` })).toBeVisible();
  await expect(page.getByRole("radio", { name: /^In 24 hours/ })).toBeChecked();
  await page.getByRole("button", { name: "Rotate key" }).click();
  const secret = await newSecret(page);
  expect(secret).not.toBe(key.secret);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(`New secret of ${key.name}`);
  await page.getByRole("link", { name: "I have stored it" }).click();
  await page.waitForURL(server.url + key.path + "/rotate");
  expect(await page.content()).not.toContain(secret);
  await expect(page.locator("#rotation .notice")).toContainText(`no request has used the new secret ${hint(secret)}`);

  // A program learns it from the response.
  const old = await fetch(`${server.url}/v1/models`, { headers: { authorization: `Bearer ${key.secret}` } });
  expect(Date.parse(old.headers.get("x-keydesk-secret-expires") ?? "")).toBeGreaterThan(Date.now() + 23 * 3_600_000);
  const shown = await fetch(`${server.url}/v1/key`, { headers: { authorization: `Bearer ${key.secret}` } });
  expect(((await shown.json()) as { warning: string }).warning).toContain("A rotation replaced this secret. It stops working on");

  inUse = secret;
  await expect
    .poll(async () => {
      await page.reload();
      return page.locator("#rotation .notice").textContent();
    }, { timeout: 10_000 })
    .toContain(`Don’t end ${hint(key.secret)} yet: it was used`);
  await expect(rowOf(page, "New")).toContainText(hint(secret));
  const { failed, count } = await stop();
  expect(failed).toEqual([]);
  expect(count).toBeGreaterThan(20);

  await page.getByRole("button", { name: `End ${hint(key.secret)} now` }).click();
  await page.waitForURL(server.url + key.path);
  await expect(page.getByRole("status")).toContainText(`The previous secret of ${key.name} is ended.`);
  const refused = await asOpenAi(server.url, key.secret);
  expect([refused.status, JSON.stringify(refused.body)]).toEqual([401, expect.stringContaining("rotation")]);
  expect((await asOpenAi(server.url, secret)).status).toBe(200);
  await expect(page.locator(".history")).toContainText(`rotated the key ${key.name} from ${hint(key.secret)} to ${hint(secret)}`);
  expect(server.log()).not.toContain(secret);
});

test("a form that is sent twice makes no third secret, and one that was not seen is replaced", async ({ signedIn, page, open, server, otherPage, expectFailures }) => {
  expectFailures("409 POST /api/keys/rotate");
  await signedIn();
  const key = await createKey(page, "acme", unique("twice"));
  const other = await signedIn(await otherPage());
  await open(`${key.path}/rotate`);
  await open(`${key.path}/rotate`, other);
  await page.getByRole("button", { name: "Rotate key" }).click();
  const unseen = await newSecret(page);
  await other.getByRole("button", { name: "Rotate key" }).click();
  await expect(other.getByRole("alert").first()).toContainText("was rotated in the meantime");
  expect((await asOpenAi(server.url, unseen)).status).toBe(200);

  const fresh = await createKey(page, "acme", unique("lost"));
  await open(`${fresh.path}/rotate`);
  await page.getByRole("button", { name: "Rotate key" }).click();
  const lost = await newSecret(page);
  await open(`${fresh.path}/rotate`);
  await page.getByRole("button", { name: `Replace ${hint(lost)}` }).click();
  const secret = await newSecret(page);
  expect((await asOpenAi(server.url, lost)).status).toBe(401);
  for (const works of [fresh.secret, secret]) expect((await asOpenAi(server.url, works)).status).toBe(200);
});

test("the end of the previous secret is changed, and a rotation undone", async ({ signedIn, page, open, server, expectFailures }) => {
  expectFailures("422 POST /api/keys/rotate");
  await signedIn();
  const key = await createKey(page, "acme", unique("undone"));
  await open(`${key.path}/rotate`);
  await page.getByRole("radio", { name: /^After the first use/ }).check();
  await page.getByLabel("Hours after the first use").fill("many");
  await page.getByRole("button", { name: "Rotate key" }).click();
  await expect(page.locator('[data-field="hours"] > .error')).toHaveText("Enter a whole number of hours from 1 to 720.");
  await page.getByLabel("Hours after the first use").fill("2");
  await page.getByRole("button", { name: "Rotate key" }).click();
  const secret = await newSecret(page);
  await open(`${key.path}/rotate`);
  await expect(rowOf(page, "Previous")).toContainText("2 hours after the first use of the new secret");

  await page.getByText("Change when the previous secret ends").click();
  await page.getByRole("radio", { name: /^In 7 days/ }).check();
  await page.getByRole("button", { name: "Change the end" }).click();
  await expect(page.getByRole("status").first()).toContainText("is changed");
  await expect(rowOf(page, "Previous")).not.toContainText("2 hours");

  await page.getByText("Undo the rotation").click();
  await page.getByRole("button", { name: `Go back to ${hint(key.secret)}` }).click();
  await page.waitForURL(server.url + key.path);
  await expect(page.locator(".facts-line .hint")).toHaveText(hint(key.secret));
  expect((await asOpenAi(server.url, secret)).status).toBe(401);
  expect((await asOpenAi(server.url, key.secret)).status).toBe(200);
});

test("a key has a reminder, and rotates itself where that is allowed", async ({ signedIn, page, open, server, expectFailures }) => {
  expectFailures("422 POST /api/keys/edit");
  await signedIn();
  const key = await createKey(page, "acme", unique("itself"));
  await open(`${key.path}/edit`);
  await unfold(page);
  await page.getByLabel("Due for rotation after, in days").fill("3651");
  await page.getByRole("checkbox", { name: /^May rotate itself/ }).check();
  await page.getByRole("button", { name: "Save changes" }).click();
  await expect(page.locator('[data-field="rotate_days"] > .error')).toHaveText("Enter a whole number of days from 1 to 3,650.");
  await page.getByLabel("Due for rotation after, in days").fill("30");
  await page.getByRole("button", { name: "Save changes" }).click();
  await page.waitForURL(server.url + key.path);
  await expect(page.getByLabel("About this key")).toContainText("Self-rotation");

  const rotate = () => fetch(`${server.url}/v1/key/rotate`, { method: "POST", headers: { authorization: `Bearer ${key.secret}` } });
  const rotated = await rotate();
  expect([rotated.status, rotated.headers.get("cache-control")]).toEqual([200, "no-store"]);
  const { secret } = (await rotated.json()) as { secret: string };
  for (const works of [key.secret, secret]) expect((await asOpenAi(server.url, works)).status).toBe(200);
  await page.reload();
  await expect(page.locator(".history")).toContainText(`The key ${key.name} rotated itself from ${hint(key.secret)} to ${hint(secret)}`);

  await open("/acme/keys?state=due&older=90");
  await expect(page.getByRole("link", { name: "Due for rotation" })).toHaveAttribute("aria-current", "true");
  await expect(page.getByLabel("Age of the secret")).toHaveValue("90");
  await expect(page.getByRole("link", { name: key.name })).toHaveCount(0);
});
