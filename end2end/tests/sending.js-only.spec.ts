import { expect, test } from "./support/desk";
import { unique } from "./support/keys";

function luminance(colour: string): number {
  return (colour.match(/[\d.]+/g) ?? [])
    .slice(0, 3)
    .map((part) => Number(part) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at]!, 0);
}

/** How far two colours, as a browser computes them, are apart: 1 to 21. */
function contrast(one: string, other: string): number {
  const both = [luminance(one), luminance(other)];
  return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
}

for (const colorScheme of ["light", "dark"] as const) {
  test(`while a form is sent, its button can be read and shows that it works (${colorScheme})`, async ({ signedIn, open, page, server }) => {
    await page.emulateMedia({ colorScheme });
    await signedIn();
    await open("/acme/keys/new");
    await page.getByLabel("Name", { exact: true }).fill(unique("sending"));
    let go = () => {};
    const released = new Promise<void>((resolve) => (go = resolve));
    await page.route("**/api/keys/create", async (route) => {
      await released;
      await route.continue();
    });
    const create = page.getByRole("button", { name: /^Creat(e key|ing…)$/ });
    await create.click();
    await expect(create).toBeDisabled();
    await expect(create).toHaveText("Creating…");
    // The pointer still rests on it. Colours fade for a moment.
    await expect
      .poll(async () => {
        const { color, backgroundColor } = await create.evaluate((button) => {
          const { color, backgroundColor } = getComputedStyle(button);
          return { color, backgroundColor };
        });
        return contrast(color, backgroundColor);
      })
      .toBeGreaterThan(4.5);
    expect(await create.evaluate((button) => getComputedStyle(button, "::after").animationName)).toBe("turn");
    go();
    await page.waitForURL(/\/issued$/);
    expect(page.url()).toContain(server.url);
  });
}
