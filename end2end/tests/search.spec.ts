import type { Page } from "@playwright/test";
import { demoTest as test, expect } from "./support/desk";
import { createKey, row, rowNames, search, unique } from "./support/keys";

const keys = "/northwind-labs/keys";
// A filter has the number of its keys beside its word, except while searching.
const chip = (page: Page, label: string) =>
  page.getByRole("navigation", { name: "State" }).getByRole("link", { name: new RegExp(`^${label} ?([\\d,]+\\+?)?$`) });
const query = (page: Page) => Object.fromEntries(new URL(page.url()).searchParams);
const follow = async (page: Page, link: ReturnType<Page["locator"]>) => {
  const href = await link.getAttribute("href");
  await link.click();
  await page.waitForURL((url) => url.pathname + url.search === href);
};

test.beforeEach(async ({ signedIn, open }) => {
  await signedIn();
  await open(keys);
});

test("a part of a name, in any case, finds every name that holds it", async ({ page }) => {
  await search(page, "TRIAGE");
  await expect(page).toHaveURL(/\?q=TRIAGE$/);
  const found = await rowNames(page);
  expect(found.length).toBeGreaterThanOrEqual(2);
  for (const name of found) expect(name).toContain("triage");
  await expect(page.locator("main .count")).toHaveText(`${found.length} keys`);
  await expect(page.getByRole("searchbox", { name: "Search keys" })).toHaveValue("TRIAGE");
});

test("two letters find the names that begin with them", async ({ page }) => {
  await search(page, "in");
  const found = await rowNames(page);
  expect(found.length).toBeGreaterThanOrEqual(2);
  for (const name of found) expect(name.slice(0, 2)).toBe("in");
});

test("last four characters, a key's id and a whole secret lead to the key, and no address or log ever holds the secret", async ({ page, server, open }) => {
  const addresses: string[] = [];
  page.context().on("request", (request) => addresses.push(request.url()));
  const key = await createKey(page, "northwind-labs", unique("needle"));
  await open(keys);
  await search(page, key.secret.slice(-4));
  await expect(row(page, key.name)).toHaveCount(1);
  await expect(row(page, key.name)).toContainText(`sk-…${key.secret.slice(-4)}`);

  for (const whole of [key.id, key.secret, `  ${key.secret} `]) {
    await open(keys);
    await search(page, whole);
    await page.waitForURL((url) => url.pathname === key.path || url.pathname.startsWith(`${key.path}/secrets/`));
    await expect(page.locator("main")).toContainText(key.name);
  }

  await page.goto(`${server.url}${keys}?q=none-of-this`);
  expect(addresses.filter((address) => decodeURIComponent(address).includes(key.secret))).toEqual([]);
  expect(server.log()).not.toContain(key.secret);

  // Put into the address by hand it is neither searched for nor shown.
  await page.goto(`${server.url}${keys}?q=${key.secret}`);
  await expect(page.getByRole("alert")).toContainText("A whole secret stood in this page's address.");
  expect(await page.content()).not.toContain(key.secret);
  expect(server.log()).not.toContain(key.secret);
});

test("what is no whole key of this desk is told apart, and is not put into the address", async ({ page, open, server }) => {
  const key = await createKey(page, "northwind-labs", unique("damaged"));
  const { secret } = key;
  const typo = secret.slice(0, 20) + (secret[20] === "A" ? "B" : "A") + secret.slice(21);
  const damaged: [string, string][] = [
    [`${secret.slice(0, 12)}${"x".repeat(30)}${secret.slice(-4)}`, "The key is masked"],
    [secret.slice(0, 30), "The key is cut off: it has 30 of 46 characters."],
    [typo, "its checksum does not match"],
    [`"${secret}"`, "The key has quotation marks."],
    ["sk-ant-api03-abcdefghijklmnopqrstuvwxyz", "This is a key of Anthropic"],
    ["sk-desk-000000000000000000000000000000000EDNSJ", "No key of this organisation has this secret."],
  ];
  for (const [text, sentence] of damaged) {
    await open(keys);
    await search(page, text);
    await expect(page.getByRole("alert"), text).toContainText(sentence);
    expect(page.url()).toBe(server.url + keys);
    expect(await page.content()).not.toContain(text);
    expect(server.log()).not.toContain(text);
  }
});

test("% and _ and \\ are letters like any other", async ({ page, open }) => {
  const base = unique("w");
  const names = [`${base}-100%`, `${base}-1000`, `${base}_u`, `${base}xu`, `${base}\\b`];
  for (const name of names) await createKey(page, "northwind-labs", name);
  for (const [text, found] of [[`${base}-100%`, 0], [`${base}_u`, 2], [`${base}\\b`, 4]] as const) {
    await open(keys);
    await search(page, text);
    await expect.poll(() => rowNames(page)).toEqual([names[found]]);
  }
  for (const text of ["%", "__", "%%%", "___"]) {
    await open(keys);
    await search(page, text);
    await expect(page.getByRole("heading", { name: `No live key matches “${text}”` })).toBeVisible();
  }
});

test("what looks percent-encoded is searched for as it is typed", async ({ page, open }) => {
  const base = unique("w");
  const names = [`${base}%41b`, `${base}Ab`];
  for (const name of names) await createKey(page, "northwind-labs", name);
  for (const name of names) {
    await open(keys);
    await search(page, name);
    await expect(page.getByRole("searchbox", { name: "Search keys" })).toHaveValue(name);
    await expect.poll(() => rowNames(page)).toEqual([name]);
  }
});

test("each state has its list, and says how many keys are in it", async ({ page }) => {
  const badges: [string, string, RegExp][] = [
    ["Stopped", "stopped", /over budget$|^Out of balance$/i],
    ["Near a limit", "near", /^(Active|Expires .*|.*[Oo]ver budget)$/],
    ["Expiring", "expiring", /^(Expires .*|Over budget)$/],
    ["Disabled", "disabled", /^Disabled$/],
    ["Expired", "expired", /^Expired$/],
    ["Revoked", "revoked", /^Revoked$/],
  ];
  const number = async (locator: ReturnType<Page["locator"]>) => Number((await locator.textContent())?.replaceAll(",", "").match(/\d+/)?.[0]);
  for (const [label, state, reads] of badges) {
    await follow(page, chip(page, label));
    expect(query(page)).toEqual({ state });
    await expect(chip(page, label)).toHaveAttribute("aria-current", "true");
    const words = await page.locator("tbody .badge").allTextContents();
    expect(words.length).toBeGreaterThan(0);
    for (const word of words) expect(word).toMatch(reads);
    expect(await number(chip(page, label).locator(".many"))).toBe(await number(page.locator("h1 .count")));
  }
  await follow(page, chip(page, "All live"));
  expect(query(page)).toEqual({});
});

test("a team's list holds its keys, and keeps state and order", async ({ page, javaScriptEnabled, open }) => {
  await open(`${keys}?state=active&sort=name`);
  await page.getByRole("combobox", { name: "Team" }).selectOption("Research");
  // With script a choice acts at once.
  if (!javaScriptEnabled) await page.getByRole("button", { name: "Apply" }).click();
  await page.waitForURL(/team=/);
  expect(query(page)).toMatchObject({ state: "active", sort: "name", team: expect.any(String) });
  const teams = await page.locator('tbody td[data-label="Team"]').allTextContents();
  expect(teams.length).toBeGreaterThan(3);
  expect(new Set(teams.map((team) => team.trim()))).toEqual(new Set(["Research"]));
  // A search goes on within them.
  await search(page, "main");
  expect(query(page)).toMatchObject({ q: "main", state: "active", sort: "name", team: expect.any(String) });
  for (const name of await rowNames(page)) expect(name).toContain("main");
  expect((await rowNames(page)).length).toBeGreaterThan(0);
});

test("each column that can be sorted is, both ways", async ({ page }) => {
  const cents = (text: string) => Number(/\$([\d,.]+)/.exec(text)?.[1]?.replaceAll(",", ""));
  const times = async (label: string) =>
    page.locator(`tbody td[data-label="${label}"]`).evaluateAll((cells) => cells.map((cell) => cell.querySelector("time")?.dateTime ?? ""));
  const values: Record<string, () => Promise<(string | number)[]>> = {
    Name: () => rowNames(page),
    "Last used": () => times("Last used"),
    Expires: () => times("Expires"),
  };
  for (const [label, read] of Object.entries(values)) {
    const head = page.getByRole("columnheader", { name: label });
    const seen = new Set<string>();
    for (let click = 0; click < 2; click += 1) {
      await follow(page, head.getByRole("link"));
      const direction = (await head.getAttribute("aria-sort")) ?? "";
      seen.add(direction);
      const all = await read();
      expect(all.length).toBe(50);
      // Never is later than any day for an end, and earlier than any for a use.
      const place = (value: string | number) => (value === "" && label === "Expires" ? "9999" : value);
      const sorted = [...all].sort((a, b) => (place(a) < place(b) ? -1 : place(a) > place(b) ? 1 : 0));
      expect(all, `${label}, ${direction}`).toEqual(direction === "ascending" ? sorted : sorted.reverse());
    }
    expect(seen, label).toEqual(new Set(["ascending", "descending"]));
  }
  const head = page.getByRole("columnheader", { name: "Spent this month" });
  const count = await page.locator("main .count").textContent();
  await follow(page, head.getByRole("link"));
  await expect(head).toHaveAttribute("aria-sort", "descending");
  // A sort shows the same keys in another order.
  await expect(page.locator("main .count")).toHaveText(count ?? "");
  const spent = (await page.locator('tbody td[data-label="Spent this month"]').allTextContents()).map(cents);
  expect(spent.length).toBe(50);
  expect(spent[0]).toBeGreaterThan(0);
  expect(spent).toEqual([...spent].sort((a, b) => b - a));
});

test("Next and Previous keep search, filters and order, and lose no row", async ({ page, open }) => {
  await open(`${keys}?state=active&sort=name&dir=desc`);
  const total = Number((await page.locator("main .count").textContent())?.match(/\d+/)?.[0]);
  expect(total).toBeGreaterThan(100);
  const next = page.getByRole("link", { name: "Next" });
  const previous = page.getByRole("link", { name: "Previous" });
  const range = page.getByRole("navigation", { name: "Pages" }).locator("p");
  await expect(previous).toHaveCount(0);
  const pages: string[][] = [];
  for (;;) {
    const names = await rowNames(page);
    const before = pages.flat().length;
    await expect(range).toHaveText(`${before + 1}–${before + names.length} of ${total}`);
    pages.push(names);
    if (!(await next.count())) break;
    await follow(page, next);
    expect(query(page)).toMatchObject({ state: "active", sort: "name", dir: "desc" });
  }
  expect(pages.flat().length).toBe(total);
  // Two teams may use one name, so names may repeat; their order may not break.
  expect(pages.flat()).toEqual([...pages.flat()].sort().reverse());
  for (const names of pages.slice(0, -1).reverse()) {
    await follow(page, previous);
    expect(await rowNames(page)).toEqual(names);
    expect(query(page)).toMatchObject({ state: "active", sort: "name", dir: "desc" });
  }
  await expect(range).toHaveText(`1–50 of ${total}`);
});

test("what is not found says so and leads back to everything", async ({ page, server }) => {
  await follow(page, chip(page, "Disabled"));
  await search(page, "no such name");
  await expect(page.getByRole("heading", { name: "No disabled key matches “no such name”" })).toBeVisible();
  await page.getByRole("link", { name: "Clear search and filters" }).click();
  await page.waitForURL(server.url + keys);
  expect((await rowNames(page)).length).toBe(50);

  await search(page, "zz");
  await expect(page.locator("main")).toContainText("Type three to look inside names");

  await search(page, "triage");
  await expect.poll(async () => (await rowNames(page)).length).toBeGreaterThan(0);
  await search(page, "");
  await page.waitForURL(server.url + keys);
});

test("what pages print of a secret finds its key, in any case", async ({ page, open }) => {
  await open("/northwind-labs/keys?state=active&sort=name");
  const first = page.locator("tbody tr").first();
  const name = (await first.locator(".row-link").textContent())?.trim() ?? "";
  const four = (await first.locator(".hint").textContent())?.slice(-4) ?? "";
  for (const text of [`sk-…${four}`, `sk-desk-…${four}`, `sk-desk-a1B2${"*".repeat(30)}${four}`, `…${four}`, `sk-...${four}`, `sk-**${four}`, four.toLowerCase()]) {
    await open("/northwind-labs/keys");
    await search(page, text);
    expect(await rowNames(page), text).toContain(name);
  }
});

test("a search among live keys offers the revoked ones that match", async ({ page, server }) => {
  const key = await createKey(page, "northwind-labs", unique("over"));
  await page.goto(`${server.url}${key.path}/revoke`);
  await page.getByRole("button", { name: "Revoke key" }).click();
  await page.waitForURL(server.url + key.path);
  await page.goto(server.url + keys);
  await search(page, key.name);
  expect(await rowNames(page)).toEqual([]);
  await expect(page.locator("main")).toContainText("1 revoked key matches:");
  await page.getByRole("link", { name: "Show", exact: true }).click();
  await expect(row(page, key.name)).toBeVisible();
});

test("words are found in any order, over name, note, owner and team", async ({ page, open }) => {
  const [one, two] = [unique("alpha"), unique("omega")];
  const name = `${one}-batch-${two}`;
  await createKey(page, "northwind-labs", name);
  for (const text of [`${two} ${one}`, `${two.toUpperCase()} batch`, `ana ${one}`, `ana@northwind.example ${two}`]) {
    await open(keys);
    await search(page, text);
    await expect.poll(() => rowNames(page), text).toEqual([name]);
  }
  await open(keys);
  await search(page, `${one} nightly-${two}`);
  await expect(page.locator(".empty")).toContainText("Each word must be in the key’s name");
});

test("one character of a script without spaces is found inside a name, and the exact name is first", async ({ page, open }) => {
  const base = unique("訳");
  await createKey(page, "northwind-labs", base);
  await createKey(page, "northwind-labs", `東京${base}翻`);
  await open(keys);
  await search(page, "京 翻");
  await expect.poll(() => rowNames(page)).toEqual([`東京${base}翻`]);
  await open(keys);
  await search(page, base);
  await expect.poll(() => rowNames(page)).toEqual([base, `東京${base}翻`]);
});

test("the search in the rail leads to the keys that it finds", async ({ page, open, server }) => {
  await open("/northwind-labs/teams");
  const box = page.getByRole("searchbox", { name: "Search everything" });
  await box.focus();
  await box.fill("triage");
  await box.press("Enter");
  await page.waitForURL(`${server.url}${keys}?q=triage`);
  expect((await rowNames(page)).length).toBeGreaterThan(0);
});
