import { expect, test } from "./support/desk";
import { createKey, row, search, setLimit, unfold, unique } from "./support/keys";

const names: [string, (tail: string) => string][] = [
  ["a script", (tail) => `<script>alert(1)</script>${tail}`],
  ["markup that breaks out of an attribute", (tail) => `"><img src=x onerror=alert(1)>${tail}`],
  ["quotes, entities and templates", (tail) => `'&lt;b&gt;" {{7*7}} \${7*7} 50% ${tail}`],
  ["the end of a title", (tail) => `</title><img src=x onerror=alert(1)><script>alert(1)</script>${tail}`],
  ["emoji and other scripts", (tail) => `🔑👩‍🚀 ключ 鍵 مفتاح ${tail}`.replaceAll("\u200d", "")],
  ["a hundred characters without a space", (tail) => `${"W".repeat(100 - tail.length)}${tail}`],
];

for (const [what, make] of names) {
  test(`a name of ${what} is text everywhere`, async ({ signedIn, page, open, javaScriptEnabled, server }) => {
    const dialogs: string[] = [];
    page.on("dialog", (dialog) => {
      dialogs.push(dialog.message());
      void dialog.dismiss();
    });
    await signedIn();
    const name = make(unique("h"));
    const key = await createKey(page, "acme", name, async () => {
      await unfold(page);
      await page.getByLabel("Note").fill(name);
    });
    await expect(page.getByRole("heading", { level: 1 })).toHaveText(`${name} is ready`);

    await open("/acme/keys");
    await search(page, name);
    await expect(row(page, name)).toHaveCount(1);
    await expect(row(page, name).locator("th .note")).toHaveText(name);
    await expect(page.getByRole("searchbox", { name: "Search keys" })).toHaveValue(name);
    await row(page, name).getByRole("link", { name, exact: true }).click();
    await page.waitForURL(server.url + key.path);
    await expect(page).toHaveTitle(`${name} · Keydesk`);
    await expect(page.locator("h1 .words")).toHaveText(name);

    await open(`${key.path}/edit`);
    await expect(page.getByLabel("Name", { exact: true })).toHaveValue(name);
    await expect(page.getByLabel("Note")).toHaveValue(name);
    await setLimit(page, "Requests", "61");
    await page.getByLabel("Note").fill(`${name} 2`.slice(-100));
    await page.getByRole("button", { name: "Save changes" }).click();
    await page.waitForURL(server.url + key.path);
    await expect(page.getByRole("status")).toHaveText(`Key ${name} saved.`);
    await expect(page.locator(".history .sub").first()).toHaveText(`Note: from ${name} to ${`${name} 2`.slice(-100)}`);

    await open(`${key.path}/revoke`);
    await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Revoke ${name}`);
    for (const path of [key.path, `${key.path}/edit`, `${key.path}/revoke`]) {
      await open(path);
      for (const width of [360, 1440]) {
        await page.setViewportSize({ width, height: 900 });
        expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth), `${path} at ${width} px`).toBeLessThanOrEqual(0);
      }
    }

    await open(`/acme/keys?${new URLSearchParams({ q: `${name}!` })}`);
    await expect(page.getByRole("heading", { level: 2 })).toHaveText(`No live key matches “${name}!”`);

    if (javaScriptEnabled) {
      await page.keyboard.press("Control+k");
      await page.getByRole("combobox", { name: "Find a key, a person, a team or a page" }).fill(name);
      await expect(page.locator("[data-kind=keys] .words")).toHaveText([name]);
    }
    await expect(page.locator('img[src="x"]')).toHaveCount(0);
    expect(dialogs).toEqual([]);
  });
}
