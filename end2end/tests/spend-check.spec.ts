import { expect, freshTest as test } from "./support/desk";
import { mistake, setLimit } from "./support/keys";

test("an owner checks that the spend adds up", async ({ signedIn, page, open, server }) => {
  await signedIn();
  await open("/acme/settings");
  await page.getByRole("link", { name: "View the checks" }).click();
  const url = `${server.url}/acme/spend/check`;
  await page.waitForURL(url);
  await expect(page.locator("h1")).toHaveText("Check of spend");
  await Promise.all([page.waitForURL(url), page.getByRole("button", { name: "Check now" }).click()]);
  await expect(page.getByRole("status")).toContainText("the difference is $0.00");
  await expect(page.locator("main .amount")).toHaveText("Difference $0.00");
  await expect(page.locator("tbody tr").first()).toContainText("Adds up");
  await expect(page.getByRole("button", { name: "Repair" })).toHaveCount(0);
});

test("an owner decides how long single requests are kept", async ({ signedIn, page, open, server, expectFailures }) => {
  expectFailures("422 POST /api/orgs/save");
  await signedIn();
  await open("/acme/settings");
  const save = () => page.getByRole("button", { name: "Save settings" }).click();
  await setLimit(page, "Keep single requests for", "7");
  await save();
  await expect(mistake(page, "raw_days")).toContainText("Enter 30 to 3,650 days.");
  await setLimit(page, "Keep single requests for", "90");
  await Promise.all([page.waitForURL(`${server.url}/acme/settings`), save()]);
  await expect(page.getByRole("status")).toContainText("The settings are saved.");
  await open("/acme/audit");
  await expect(page.locator("main")).toContainText("time that single requests are kept");
});
