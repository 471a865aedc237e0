import { demoTest, expect, test } from "./support/desk";
import { createKey, limitOf, openActs, setLimit, unfold, unique } from "./support/keys";

const folded = "details.folded";

test("what few keys need is folded, and unfolds by itself where it says something else", async ({ signedIn, page, open, server }) => {
  await signedIn();
  await open("/acme/keys/new");
  await expect(page.locator(folded)).not.toHaveAttribute("open");
  await expect(page.getByRole("group", { name: "Monthly budget" })).toBeVisible();
  await expect(page.getByLabel("Note")).toBeHidden();
  const key = await createKey(page, "acme", unique("plain"));
  await open(`${key.path}/edit`);
  await expect(page.locator(folded)).not.toHaveAttribute("open");
  await setLimit(page, "Requests", "90");
  await page.getByRole("button", { name: "Save changes" }).click();
  await page.waitForURL(server.url + key.path);
  await open(`${key.path}/edit`);
  await expect(page.locator(folded)).toHaveAttribute("open");
  await expect(limitOf(page, "Requests").locator(".affix input")).toHaveValue("90");
});

test("a mistake that is folded away unfolds", async ({ signedIn, page, open, expectFailures }) => {
  expectFailures("422 POST /api/keys/create");
  await signedIn();
  await open("/acme/keys/new");
  await page.getByLabel("Name", { exact: true }).fill(unique("folded"));
  await setLimit(page, "Tokens", "lots");
  await page.locator(`${folded} > summary`).click();
  await page.getByRole("button", { name: "Create key" }).click();
  await expect(page.locator('[data-field="tpm"] > .error')).toBeVisible();
  await expect(page.getByRole("alert").getByRole("link")).toHaveAttribute("href", "#tpm-error");
});

test("a pattern that matches no model is created and said to match none", async ({ signedIn, page, open, server }) => {
  await signedIn();
  const key = await createKey(page, "acme", unique("pattern"), async () => {
    await unfold(page);
    await page.getByText("Also allow models by pattern").click();
    await page.getByLabel("Patterns").fill("gpt-99-*");
  });
  await expect(page.getByText("gpt-99-* matches no model today.")).toBeVisible();
  await open(`${key.path}/edit`);
  await expect(page.getByText("gpt-99-* matches no model today.")).toBeVisible();
  await page.getByLabel("Note").fill("later");
  await page.getByRole("button", { name: "Save changes" }).click();
  await page.waitForURL(server.url + key.path);
  await expect(page.getByRole("alert").first()).toContainText("gpt-99-* matches no model today.");
});

test("the button is in view on a phone, however long the form is", async ({ signedIn, page, open }) => {
  await page.setViewportSize({ width: 360, height: 700 });
  await signedIn();
  await open("/acme/keys/new");
  await unfold(page);
  await page.getByLabel("Name", { exact: true }).scrollIntoViewIfNeeded();
  await expect(page.getByRole("button", { name: "Create key" })).toBeInViewport({ ratio: 1 });
  await open("/acme/settings");
  await expect(page.getByRole("button", { name: "Save settings" })).toBeInViewport({ ratio: 1 });
});

test("the menu of the settings leads to each section", async ({ signedIn, page, open }) => {
  await signedIn();
  await open("/acme/settings");
  const menu = page.getByRole("navigation", { name: "Settings" });
  const links = await menu.getByRole("link").evaluateAll((all) => all.map((link) => link.getAttribute("href") ?? ""));
  expect(links.length).toBeGreaterThan(5);
  for (const href of links.filter((href) => href.startsWith("#"))) await expect(page.locator(href)).toHaveCount(1);
  await menu.getByRole("link", { name: "Security" }).click();
  await expect(page.getByRole("group", { name: "Signing in" })).toBeInViewport();
});

test("a key's acts are in its menu", async ({ signedIn, page, open, server }) => {
  await signedIn();
  const key = await createKey(page, "acme", unique("acts"));
  await open(key.path);
  await expect(page.getByRole("link", { name: "Edit", exact: true })).toBeHidden();
  await openActs(page, key.name);
  await page.getByRole("link", { name: "Edit", exact: true }).click();
  await page.waitForURL(`${server.url}${key.path}/edit`);
});

demoTest("the lists of teams, members and organisations add up", async ({ signedIn, page, open }) => {
  await signedIn();
  for (const path of ["/northwind-labs/teams", "/northwind-labs/members"]) {
    await open(path);
    await expect(page.locator("tr.total")).toContainText("Total");
    const cells = await page.locator('tbody tr td[data-label="Spent this month"]').allTextContents();
    const amounts = cells.map((cell) => Number(cell.replace(/[$,\s]/g, "")));
    const total = amounts.pop() ?? 0;
    // Each amount is shown in whole cents.
    expect(Math.abs(amounts.reduce((sum, amount) => sum + amount, 0) - total), path).toBeLessThan(0.01 * amounts.length);
  }
  await open("/operator");
  await expect(page.locator('td[data-label="Spent this month"]').first()).toContainText("$");
});
