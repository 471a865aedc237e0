import { expect, test } from "./support/desk";
import { createKey, mistake, unique } from "./support/keys";

test("a limit is tried, reports and is enforced from the key's page", async ({ signedIn, page, open, server, expectFailures }) => {
  expectFailures("422 POST /api/limits/try");
  await signedIn();
  const key = await createKey(page, "acme", unique("tried"));
  await open(key.path);
  const card = page.locator("#shadow-limits");
  await expect(card).toContainText("None. A limit that only reports");
  await card.getByText("Try a limit").click();
  await card.getByLabel("Limit", { exact: true }).selectOption("Requests per minute");
  await card.getByLabel("Amount", { exact: true }).fill("many");
  await card.getByRole("button", { name: "Set to report only" }).click();
  await expect(mistake(page, "shadow_amount")).toContainText("This is not a number.");
  await card.getByLabel("Amount", { exact: true }).fill("1");
  await Promise.all([page.waitForURL(server.url + key.path), card.getByRole("button", { name: "Set to report only" }).click()]);
  await expect(page.getByRole("status")).toContainText("that only reports. It rejects nothing.");
  await expect(card).toContainText("1 request per minute");

  for (let n = 0; n < 3; n += 1) {
    const answer = await fetch(`${server.url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${key.secret}`, "content-type": "application/json" },
      body: JSON.stringify({ model: "demo/echo", messages: [{ role: "user", content: "Hi" }] }),
    });
    expect(answer.status).toBe(200);
  }
  await open(key.path);
  await expect(card).toContainText("Would have rejected 2 of 3 requests since");
  await card.getByRole("button", { name: /^Enforce this limit/ }).click();
  await expect(page.getByRole("status")).toContainText("is enforced");
  await expect(card).toContainText("None. A limit that only reports");
  const rejected = await fetch(`${server.url}/v1/key/limits`, { headers: { authorization: `Bearer ${key.secret}` } });
  expect(await rejected.json()).toMatchObject({ object: "limits", holder: "key", next_stop: { kind: "requests_per_minute" } });
});

test("the form says what is spent in a budget's window and when the next ones begin", async ({ signedIn, page, open }) => {
  await signedIn();
  const key = await createKey(page, "acme", unique("windows"));
  await open(`${key.path}/edit`);
  await expect(page.getByRole("group", { name: "Monthly budget", exact: true })).toContainText(/\$0\.00 is spent this month\. Resets at 00:00 on 1 \w+, 1 \w+, 1 \w+, 1 \w+, 1 \w+/);
  await open("/acme/keys/new");
  await expect(page.getByRole("group", { name: "Monthly budget", exact: true })).toContainText(/Resets at 00:00 on 1 \w+/);
});
