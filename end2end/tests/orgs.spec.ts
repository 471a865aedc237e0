import type { Page } from "@playwright/test";
import { demoTest, expect, freshTest as test } from "./support/desk";
import { asOpenAi, createKey, mistake, openActs, setLimit, unique } from "./support/keys";

const save = (page: Page) => page.getByRole("button", { name: "Save settings" }).click();

test("an owner changes the settings, and the address moves with them", async ({ signedIn, page, open, server, expectFailures }) => {
  expectFailures("422 POST /api/orgs/save", "404 GET /acme");
  await signedIn();
  const key = await createKey(page, "acme", unique("prefix"));
  await open("/acme/settings");
  await page.getByLabel("Address").fill("operator");
  await expect(page.locator("#zone-help")).toContainText("saving starts the current day, week and month again");
  await page.getByLabel("Time zone").fill("Europe/Atlantis");
  await setLimit(page, "Maximum lifetime of a key", "30");
  await save(page);
  await expect(mistake(page, "slug")).toContainText("an address of Keydesk itself");
  await expect(mistake(page, "zone")).toContainText("Enter one such as Europe/Zurich or UTC");
  await page.getByLabel("Address").fill("acme-labs");
  await page.getByLabel("Time zone").fill("Asia/Tokyo");
  await save(page);
  // New keys would start with ninety days.
  await expect(mistake(page, "days")).toContainText("Enter 30 days or fewer");
  await setLimit(page, "Expires after", "14");
  await page.getByLabel("Key prefix").fill("sk-acme-");
  await page.getByRole("radio", { name: /In their teams/ }).check();
  await Promise.all([page.waitForURL(`${server.url}/acme-labs/settings`), save(page)]);
  await expect(page.getByRole("status")).toContainText("now at /acme-labs");
  await expect(page.getByLabel("Time zone")).toHaveValue("Asia/Tokyo");
  await expect(page.getByRole("radio", { name: /In their teams/ })).toBeChecked();
  expect((await page.goto(`${server.url}/acme/settings`))?.status()).toBe(404);
  // Keys go on, and new ones have the prefix.
  expect((await asOpenAi(server.url, key.secret)).status).toBe(200);
  const next = await createKey(page, "acme-labs", unique("prefix"));
  expect(next.secret).toMatch(/^sk-acme-/);
});

test("of two who edit the settings the second sees both values and loses nothing", async ({ signedIn, otherPage, page, open, server, expectFailures }) => {
  expectFailures("409 POST /api/orgs/save");
  await signedIn();
  await open("/acme/settings");
  const other = await signedIn(await otherPage());
  await open("/acme/settings", other);
  await setLimit(other, "Requests", "90");
  await Promise.all([other.waitForURL(`${server.url}/acme/settings`), save(other)]);
  await expect(other.getByRole("status")).toContainText("The settings are saved.");

  await page.getByLabel("Name", { exact: true }).fill("Acme & Sons");
  await setLimit(page, "Requests", "120");
  await save(page);
  await expect(page.getByRole("alert").first()).toContainText("You changed the settings in another tab while you were editing.");
  await expect(mistake(page, "rpm")).toContainText("Now: 90. You entered: 120.");
  await expect(page.getByLabel("Name", { exact: true })).toHaveValue("Acme & Sons");
  await save(page);
  await expect(page.getByRole("status")).toContainText("The settings are saved.");
  await expect(page.locator("aside .brand")).toContainText("Acme & Sons");
});

test("a second factor is required only by somebody who has one", async ({ signedIn, page, open, expectFailures }) => {
  expectFailures("422 POST /api/orgs/save");
  await signedIn();
  await open("/acme/settings");
  await page.getByRole("radio", { name: /Required/ }).check();
  await save(page);
  await expect(mistake(page, "second_factor")).toContainText("would lock you out");
  await expect(page.getByRole("link", { name: "in your account", exact: true })).toHaveAttribute("href", "/account");
});

test("the operator creates an organisation, suspends it and resumes it", async ({ signedIn, page, open, server, expectFailures }) => {
  expectFailures("422 POST /api/orgs/");
  await signedIn();
  await open("/operator");
  await page.getByRole("link", { name: "Create organisation" }).click();
  await page.waitForURL(`${server.url}/operator/new`);
  // Her own address: she is its owner at once, and the switcher shows both.
  await page.getByLabel("Name", { exact: true }).fill("Harbour Works");
  await page.getByLabel("Owner's email").fill("ana@example.com");
  await Promise.all([page.waitForURL(`${server.url}/operator`), page.getByRole("button", { name: "Create organisation" }).click()]);
  await expect(page.getByRole("status")).toContainText("Ana Ruiz is its owner.");
  await page.getByRole("button", { name: /change organisation/ }).click();
  await page.locator("#orgs").getByRole("link", { name: "Harbour Works" }).click();
  await page.waitForURL(`${server.url}/harbour-works`);
  const key = await createKey(page, "harbour-works", unique("ci"));
  expect((await asOpenAi(server.url, key.secret)).status).toBe(200);
  // She was there last.
  await page.goto(`${server.url}/`);
  await expect(page).toHaveURL(`${server.url}/harbour-works`);

  await open("/operator?q=harb");
  await openActs(page, "Harbour Works");
  await page.getByRole("link", { name: "Suspend", exact: true }).click();
  await page.waitForURL(`${server.url}/operator/harbour-works/suspend`);
  await page.getByLabel("Reason").fill("Unpaid since August");
  await Promise.all([page.waitForURL(`${server.url}/operator`), page.getByRole("button", { name: "Suspend organisation" }).click()]);
  await expect(page.getByRole("status")).toContainText("Harbour Works is suspended.");
  const refused = await asOpenAi(server.url, key.secret);
  expect(refused.status).toBe(401);
  expect(JSON.stringify(refused.body)).toContain("suspended");
  await open(key.path);
  await expect(page.getByRole("alert").first()).toContainText("Harbour Works is suspended. Requests with its keys fail");
  await open("/harbour-works/settings");
  await expect(page.getByLabel("Name", { exact: true })).toBeDisabled();
  await expect(page.getByRole("button", { name: "Save settings" })).toHaveCount(0);

  await open("/operator?state=suspended");
  await openActs(page, "Harbour Works");
  await page.getByRole("link", { name: "Resume", exact: true }).click();
  await page.waitForURL(`${server.url}/operator/harbour-works/resume`);
  await Promise.all([page.waitForURL(`${server.url}/operator`), page.getByRole("button", { name: "Resume organisation" }).click()]);
  expect((await asOpenAi(server.url, key.secret)).status).toBe(200);
});

test("a new owner takes up the link that the operator hands over", async ({ signedIn, otherPage, page, open, server }) => {
  await signedIn();
  await open("/operator/new");
  await page.getByLabel("Name", { exact: true }).fill("Quay Ltd");
  await page.getByLabel("Owner's email").fill("quinn@quay.example");
  await Promise.all([
    page.waitForURL(`${server.url}/operator/quay-ltd/created`),
    page.getByRole("button", { name: "Create organisation" }).click(),
  ]);
  const link = (await page.locator("#secret").textContent()) ?? "";
  expect(link).toMatch(new RegExp(`^${server.url}/invite/[0-9a-f]{64}$`));
  await page.reload();
  expect(await page.content()).not.toContain(link);

  const quinn = await otherPage();
  await quinn.goto(link);
  await quinn.getByLabel("Name", { exact: true }).fill("Quinn Abara");
  await quinn.getByLabel("Password", { exact: true }).fill("marble ferry onion 88");
  await quinn.locator("main form button.primary").click();
  await quinn.waitForURL(/\/quay-ltd$/);
  expect((await quinn.goto(`${server.url}/quay-ltd/settings`))?.status()).toBe(200);
  expect((await quinn.goto(`${server.url}/`))?.url()).toBe(`${server.url}/quay-ltd`);
});

demoTest("support looks an organisation up by part of its name", async ({ otherPage, server, open }) => {
  const page = await otherPage();
  const sam = server.who(/^support/);
  await page.goto(`${server.url}/sign-in`);
  await page.getByLabel("Email").fill(sam.email);
  await page.getByLabel("Password", { exact: true }).fill(sam.password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.waitForURL(`${server.url}/`);
  await expect(page.getByRole("link", { name: "Suspend", exact: true })).toHaveCount(0);
  await page.getByRole("searchbox", { name: "Search organisations" }).fill("ROBOT");
  await page.getByRole("searchbox", { name: "Search organisations" }).press("Enter");
  await page.waitForURL(`${server.url}/?q=ROBOT`);
  await expect(page.locator("tbody tr")).toHaveCount(1);
  await page.getByRole("link", { name: "Fjord Robotics" }).click();
  await page.waitForURL(`${server.url}/fjord-robotics/keys`);
  await open("/?q=nobody", page);
  await expect(page.getByRole("heading", { name: "No organisation matches “nobody”" })).toBeVisible();
});

demoTest("the switcher works from the keyboard, wide and narrow", async ({ signedIn, page, open, server }) => {
  await signedIn();
  for (const width of [1440, 360]) {
    await page.setViewportSize({ width, height: 700 });
    await open("/northwind-labs/keys");
    if (width < 900) await page.getByRole("button", { name: "Open menu" }).press("Enter");
    const button = page.getByRole("button", { name: "Northwind Labs, change organisation" });
    await button.focus();
    await page.keyboard.press("Enter");
    await expect(page.locator("#orgs")).toBeVisible();
    await expect(page.locator("#orgs [aria-current]")).toHaveText("Northwind Labs");
    await page.keyboard.press("Escape");
    await expect(page.locator("#orgs")).toBeHidden();
    await expect(button).toBeFocused();
    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    await expect(page.locator("#orgs").getByRole("link", { name: "Fjord Robotics" })).toBeFocused();
    await page.keyboard.press("Enter");
    await page.waitForURL(`${server.url}/fjord-robotics`);
  }
});

demoTest("support finds a key by its name across organisations", async ({ otherPage, signIn, server }) => {
  const page = await signIn(await otherPage(), server.who(/^support/));
  await page.goto(`${server.url}/support`);
  await page.getByRole("searchbox", { name: "Look up" }).fill("SEO-TITLES");
  await page.getByRole("searchbox", { name: "Look up" }).press("Enter");
  await page.waitForURL(/\/support\?q=/);
  const found = page.locator("tbody tr").filter({ has: page.getByRole("link", { name: "seo-titles-prod" }) });
  await expect(found).toContainText("Northwind Labs");
  await expect(found).toContainText("Active");
  await page.getByRole("searchbox", { name: "Look up" }).fill("prod titles");
  await page.getByRole("searchbox", { name: "Look up" }).press("Enter");
  await expect(found).toContainText("Northwind Labs");
  await page.getByRole("searchbox", { name: "Look up" }).fill("lena@northwind.example");
  await page.getByRole("searchbox", { name: "Look up" }).press("Enter");
  await expect(page.locator("tbody tr").first()).toContainText("Lena Fischer");
  await expect(page.locator(".history")).toContainText("Northwind Labs");
  await page.getByRole("searchbox", { name: "Look up" }).fill("no key is called so");
  await page.getByRole("searchbox", { name: "Look up" }).press("Enter");
  await expect(page.locator(".empty")).toContainText("No key and no organisation matches “no key is called so”.");
});
