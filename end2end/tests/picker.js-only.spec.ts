import { expect, test } from "./support/desk";
import { unfold } from "./support/keys";

test("models are searched, and ticked by vendor", async ({ signedIn, page, open }) => {
  await signedIn();
  await open("/acme/keys/new");
  await unfold(page);
  const vendors = page.locator(".picker .vendor");
  await expect(vendors.nth(1)).toBeVisible();
  const first = vendors.first();
  const all = first.locator("[data-all]");
  const boxes = first.locator(".model input");
  await first.locator("summary").click();
  // No provider serves them yet, so only the demonstration is ticked.
  await expect(all).not.toBeChecked();
  await expect(first.locator(".model").first()).toContainText("Not served");
  await expect(page.locator(".picker .model input:checked")).toHaveCount(1);
  await all.check();
  await expect(boxes.first()).toBeChecked();
  await boxes.first().uncheck();
  expect(await all.evaluate((box: HTMLInputElement) => box.indeterminate)).toBe(true);
  await all.check();
  await expect(boxes.first()).toBeChecked();
  await all.uncheck();
  await expect(first.locator(".model input:checked")).toHaveCount(0);

  const search = page.getByRole("searchbox", { name: "Search models" });
  await search.fill("no such model");
  await expect(page.getByText("No model matches.")).toBeVisible();
  await expect(first).toBeHidden();
  // Enter in the search sends no form.
  await search.press("Enter");
  await expect(page).toHaveURL(/\/keys\/new$/);
  const name = (await page.locator(".picker .model .choice").last().textContent())?.trim() ?? "";
  await search.fill(name);
  await expect(page.locator(".picker .model:visible")).not.toHaveCount(0);
  for (const words of await page.locator(".picker .model:visible").allTextContents()) expect(words).toContain(name);
});

test("the sentence beside the form follows it", async ({ signedIn, page, open }) => {
  await signedIn();
  await open("/acme/keys/new");
  const summary = page.locator(".summary");
  await expect(summary).toContainText(/It expires on \d{1,2} \w{3} \d{4}\./);
  await page.getByRole("radio", { name: "On a date" }).check();
  await page.getByLabel("Date", { exact: true }).fill("2027-02-24");
  await expect(summary).toContainText("It expires on 24 Feb 2027.");
  await page.getByRole("radio", { name: "Never", exact: true }).check();
  await expect(summary).toContainText("It never expires.");
});
