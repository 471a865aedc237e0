import { expect, test } from "./support/desk";
import { mistake, setLimit, unique } from "./support/keys";

test("a team is created with bounds, and a key cannot be given more", async ({ signedIn, page, open, server, expectFailures }) => {
  expectFailures("422 POST /api/keys/create");
  await signedIn();
  const name = unique("crew");
  await open("/acme/teams/new");
  await page.getByLabel("Name", { exact: true }).fill(name);
  await setLimit(page, "Monthly budget", "500");
  await setLimit(page, "Requests", "60");
  await page.getByRole("button", { name: "Create team" }).click();
  await page.waitForURL(/\/acme\/teams\/team_/);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(name);
  await expect(page.getByRole("status")).toHaveText(`Team ${name} created. Add its people next.`);
  await expect(page.locator(".meters")).toContainText("$0.00 of $500.00 this month");

  // The label belongs to the list of members, whose id stands once on the page.
  const path = new URL(page.url()).pathname;
  await page.getByRole("link", { name: "Add member" }).click();
  await expect(page.getByRole("combobox", { name: "Member", exact: true })).toBeVisible();
  await open(path);
  await page.getByRole("link", { name: "Create key" }).first().click();
  await expect(page.getByRole("combobox", { name: "Team" }).locator("option:checked")).toHaveText(name);
  await open(new URL(page.url()).pathname + new URL(page.url()).search);
  await expect(page.getByText(`${name} allows at most $500.00 per month.`)).toBeVisible();
  await page.getByLabel("Name", { exact: true }).fill(unique("wide"));
  await setLimit(page, "Monthly budget", "501");
  await page.getByRole("button", { name: "Create key" }).click();
  await expect(mistake(page, "month")).toHaveText(`${name} allows at most $500.00 per month. Enter that or less.`);
  await setLimit(page, "Monthly budget", "500");
  await page.getByRole("button", { name: "Create key" }).click();
  await page.waitForURL(/\/issued$/);
  expect(server.log()).not.toContain("panicked");
});

test("an archived team is under its own filter and can be restored", async ({ signedIn, page, open }) => {
  await signedIn();
  const name = unique("old");
  await open("/acme/teams/new");
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByRole("button", { name: "Create team" }).click();
  await page.waitForURL(/\/acme\/teams\/team_/);
  const path = new URL(page.url()).pathname;
  await open(`${path}/archive`);
  await expect(page.locator("main")).toContainText("It has no live keys.");
  await page.getByRole("button", { name: "Archive team" }).click();
  await expect(page.locator("h1 .badge")).toHaveText("Archived");
  await open(`/acme/teams?q=${name}`);
  await expect(page.getByRole("heading", { name: `No team matches “${name}”` })).toBeVisible();
  await open(`/acme/teams?state=archived&q=${name}`);
  await page.getByRole("link", { name, exact: true }).click();
  await open(path);
  await page.getByRole("button", { name: "Restore" }).click();
  await expect(page.getByRole("status")).toHaveText(`Team ${name} restored. Its keys work again.`);
});
