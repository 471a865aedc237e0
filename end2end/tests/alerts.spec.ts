import { expect, freshTest as test } from "./support/desk";
import { asOpenAi, createKey, openActs, unique } from "./support/keys";

const thresholds = "Thresholds of budgets and balance, in percent";

test("repeated rejections are in the inbox until they are read, and each person chooses what they get", async ({ signedIn, page, open, server }) => {
  test.setTimeout(90_000);
  await signedIn();
  await open("/acme/inbox");
  await expect(page.getByRole("heading", { name: "No alerts" })).toBeVisible();

  const key = await createKey(page, "acme", unique("busy"));
  await open(key.path);
  await openActs(page);
  await page.getByRole("button", { name: "Disable" }).click();
  await expect(page.getByRole("status")).toContainText("disabled");
  for (let n = 0; n < 25; n += 1) expect((await asOpenAi(server.url, key.secret)).status).toBeGreaterThanOrEqual(400);
  const about = page.getByRole("link", { name: new RegExp(`requests of ${key.name} were rejected`) });
  await expect(async () => {
    await open("/acme/inbox");
    await expect(about).toBeVisible({ timeout: 500 });
  }).toPass({ timeout: 45_000 });
  await expect(page.locator(".rail nav a", { hasText: "Inbox" })).toContainText("1 unread");
  await page.getByRole("button", { name: /^Mark as read: / }).click();
  await expect(page.getByRole("button", { name: /^Mark as read/ })).toHaveCount(0);
  await page.getByRole("link", { name: "Unread", exact: true }).click();
  await expect(page.getByRole("heading", { name: "No alerts found" })).toBeVisible();
  await page.getByRole("link", { name: "Show all alerts" }).click();
  await about.click();
  await page.waitForURL(server.url + key.path);

  await open("/acme/inbox");
  await page.getByRole("link", { name: "What you get" }).click();
  await page.getByLabel(thresholds).fill("60, 90");
  await page.getByLabel("Rejections", { exact: true }).selectOption("off");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await expect(page.getByRole("status")).toContainText("Saved.");
  await expect(page.getByLabel(thresholds)).toHaveValue("60, 90");
  await expect(page.getByLabel("Rejections", { exact: true })).toHaveValue("off");
});

test("an owner sets what people get, and the log says why a webhook got nothing", async ({ signedIn, page, open, expectFailures }) => {
  expectFailures("422 POST /api/alerts/save");
  await signedIn();
  await open("/acme/settings");
  await page.locator("main").getByRole("link", { name: "Alerts", exact: true }).click();
  await page.getByLabel(thresholds).fill("lots");
  await page.getByRole("button", { name: "Save alerts" }).click();
  await expect(page.locator("#thresholds-error")).toContainText("Enter whole percents");
  await page.getByLabel(thresholds).fill("70");
  await page.getByRole("button", { name: "Save alerts" }).click();
  await expect(page.getByRole("status")).toContainText("The alerts are saved.");

  await page.getByText("Add a webhook", { exact: true }).click();
  await page.getByLabel("Webhook's name").fill("Bot");
  await page.getByLabel("Form", { exact: true }).selectOption("signed");
  await page.getByLabel("Address", { exact: true }).fill("http://127.0.0.1:9/a-secret-path");
  await page.getByRole("button", { name: "Add webhook" }).click();
  await expect(page.getByRole("status")).toContainText("The webhook Bot is added.");
  expect((await page.locator("#secret").textContent()) ?? "").toMatch(/^whsec_[0-9a-f]{64}$/);
  await open("/acme/settings/alerts");
  await expect(page.locator("#secret")).toHaveCount(0);
  expect(await page.content()).not.toContain("a-secret-path");

  await page.getByRole("button", { name: "Send a test to Bot" }).click();
  await expect(page.getByRole("status")).toContainText("A test is on its way to Bot.");
  // This desk allows no private addresses.
  await expect(async () => {
    await open("/acme/settings/alerts");
    await expect(page.locator("tbody")).toContainText("private network", { timeout: 500 });
  }).toPass({ timeout: 20_000 });
  await page.getByRole("button", { name: "Remove Bot" }).click();
  await expect(page.getByRole("status")).toContainText("The webhook Bot is removed.");
});
