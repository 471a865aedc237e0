import { demoTest as test, expect } from "./support/desk";

const keys = "/northwind-labs/keys";

test("a key that expired lately is extended, and then no longer can be", async ({ signedIn, page, open, server, expectFailures }) => {
  expectFailures(`409 GET ${keys}/`);
  await signedIn();
  // Of the demonstration's keys, the one that expired last.
  await open(`${keys}?state=expired&sort=expires&dir=desc`);
  const link = page.locator("tbody .row-link").first();
  const name = ((await link.textContent()) ?? "").trim();
  const path = (await link.getAttribute("href")) ?? "";
  await open(path);
  await expect(page.locator("h1 .badge")).toHaveText("Expired");
  await expect(page.locator(".facts-line")).toContainText("An admin can extend it until");

  await page.getByRole("link", { name: "Extend", exact: true }).click();
  await page.waitForURL(`${server.url}${path}/extend`);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Extend ${name}`);
  await expect(page.getByLabel("Name", { exact: true })).toHaveValue(name);
  await page.getByRole("radio", { name: "30 days", exact: true }).check();
  await page.getByRole("button", { name: "Extend key" }).click();
  await page.waitForURL(server.url + path);
  await expect(page.getByRole("status")).toHaveText(`Key ${name} extended. Requests with it are allowed again.`);
  await expect(page.locator("h1 .badge")).not.toHaveText("Expired");
  await expect(page.locator(".history").filter({ hasText: "extended the expired key" })).toContainText(`extended the expired key ${name}`);
  await expect(page.getByRole("link", { name: "Extend", exact: true })).toHaveCount(0);

  const again = await open(`${path}/extend`);
  expect(again?.status()).toBe(409);
  await expect(page.getByText(`The key ${name} has not expired. Edit it to change when it does.`)).toBeVisible();
});
