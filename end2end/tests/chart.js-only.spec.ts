import { demoTest as test, expect } from "./support/desk";

test("a chart is one stop of the Tab key, and says what a bar is made of", async ({ signedIn, page, open }) => {
  await signedIn();
  await open("/northwind-labs/spend?period=last-month");
  const bars = page.locator(".chart .bar");
  const count = await bars.count();
  expect(count).toBeGreaterThan(27);
  await expect(page.locator('.chart .bar[tabindex="0"]')).toHaveCount(1);

  await bars.nth(count - 1).focus();
  await page.keyboard.press("ArrowLeft");
  const before = bars.nth(count - 2);
  await expect(before).toBeFocused();
  await expect(before).toHaveAttribute("tabindex", "0");
  const words = (await before.getAttribute("aria-label")) ?? "";
  expect(words).toContain("$");
  const said = page.locator(".chart .said");
  await expect(said).toHaveText(words);
  await page.keyboard.press("Home");
  await expect(bars.first()).toBeFocused();
  await page.keyboard.press("ArrowLeft");
  await expect(bars.first()).toBeFocused();

  await bars.nth(3).locator("rect").last().hover();
  await expect(said).toHaveText((await bars.nth(3).getAttribute("aria-label")) ?? "");
});
