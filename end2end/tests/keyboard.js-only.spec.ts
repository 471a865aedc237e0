import { expect, test } from "./support/desk";
import { createKey, limitOf, mistake, setLimit, unfold, unique } from "./support/keys";

test.beforeEach(async ({ signedIn }) => {
  await signedIn();
});

test("/ goes to the search box, and is a letter while one types", async ({ page, open }) => {
  await createKey(page, "acme", unique("slash"));
  await open("/acme/keys");
  const box = page.getByRole("searchbox", { name: "Search keys" });
  await page.keyboard.press("/");
  await expect(box).toBeFocused();
  await expect(box).toHaveValue("");
  await page.keyboard.type("a/n");
  await expect(box).toHaveValue("a/n");
  await expect(page).toHaveURL(/\/acme\/keys$/);
});

test("n opens the form for a new key, with its name ready to type", async ({ page, open, server }) => {
  await open("/acme/keys");
  await page.keyboard.press("n");
  await page.waitForURL(`${server.url}/acme/keys/new`);
  await expect(page.getByLabel("Name", { exact: true })).toBeFocused();
});

test("Ctrl-K finds a key by a part of its name, Enter opens it, Esc closes", async ({ page, open, server }) => {
  const key = await createKey(page, "acme", unique("palette"));
  const part = key.name.slice(2);
  await open("/acme/keys");
  const box = page.getByRole("combobox", { name: "Find a key, a person, a team or a page" });
  await page.keyboard.press("Control+k");
  await expect(box).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(box).toBeHidden();

  await page.keyboard.press("Control+k");
  await box.fill("revoked");
  await expect(page.getByRole("option", { name: "Revoked keys" })).toHaveAttribute("aria-selected", "true");
  await box.fill(part);
  const hit = page.getByRole("option", { name: key.name });
  await expect(hit).toHaveAttribute("aria-selected", "true");
  await expect(hit).toContainText(`sk-…${key.secret.slice(-4)}`);
  await page.keyboard.press("Enter");
  await page.waitForURL(server.url + key.path);

  await open(key.path);
  await page.keyboard.press("Control+k");
  await box.fill("no key is named like this");
  await expect(page.getByText("Nothing matches.")).toBeVisible();
  await box.fill("create");
  await expect(page.getByRole("option", { name: "Create key" })).toHaveAttribute("aria-selected", "true");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.waitForURL(`${server.url}/acme/keys/new`);
});

test("Ctrl-K finds people, teams, revoked keys, whole secrets and the pages of account and installation", async ({ page, open, server }) => {
  const name = unique("gone");
  const key = await createKey(page, "acme", name);
  await page.goto(`${server.url}${key.path}/revoke`);
  await page.getByRole("button", { name: "Revoke key" }).click();
  await page.waitForURL(server.url + key.path);
  const live = await createKey(page, "acme", unique("whole"));
  const addresses: string[] = [];
  page.on("request", (request) => addresses.push(request.url()));
  await open("/acme/keys");
  await page.keyboard.press("Control+k");
  const box = page.getByRole("combobox", { name: "Find a key, a person, a team or a page" });
  await box.fill(name);
  await expect(page.getByRole("group", { name: "Keys" }).getByRole("option", { name })).toContainText("Revoked");
  await box.fill("ana");
  await expect(page.getByRole("group", { name: "People" }).getByRole("option").first()).toContainText("Ana");
  for (const [text, hit] of [["factor", "Two-factor authentication (2FA)"], ["sess", "Sessions"], ["passw", "Password"], ["provi", "Providers"], ["installation audit", "Audit of the installation"]] as const) {
    await box.fill(text);
    await expect(page.getByRole("option", { name: hit, exact: true })).toBeVisible();
  }
  await box.fill(live.secret);
  await expect(page.getByRole("option", { name: "The key with this secret" })).toHaveAttribute("aria-selected", "true");
  await page.keyboard.press("Enter");
  await page.waitForURL((url) => url.pathname.startsWith(`${live.path}/secrets/`));
  expect(addresses.filter((address) => decodeURIComponent(address).includes(live.secret))).toEqual([]);
  await open("/account");
  await page.keyboard.press("Control+k");
  await box.fill("go to");
  await expect(page.getByRole("option", { name: /^Go to / }).first()).toBeVisible();
});

test("a click on the search in the rail opens the palette", async ({ page, open }) => {
  await open("/acme/keys");
  await page.getByRole("searchbox", { name: "Search everything" }).click();
  await expect(page.getByRole("combobox", { name: "Find a key, a person, a team or a page" })).toBeFocused();
  await page.keyboard.press("Escape");
  await page.setViewportSize({ width: 360, height: 740 });
  await page.getByRole("button", { name: "Open menu" }).click();
  await page.getByRole("searchbox", { name: "Search everything" }).click();
  await expect(page.getByRole("combobox", { name: "Find a key, a person, a team or a page" })).toBeFocused();
});

test("the copy buttons copy exactly what they stand beside", async ({ page, context, server }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: server.url });
  const key = await createKey(page, "acme", unique("copy"));
  const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
  const copy = page.getByRole("button", { name: "Copy key" });
  // The page was reached by a form, so the script may not listen yet: a click too early does nothing.
  await expect(async () => {
    await copy.click({ timeout: 500 });
    await expect(page.getByRole("button", { name: "Copied" })).toBeVisible({ timeout: 300 });
  }).toPass();
  expect(await clipboard()).toBe(key.secret);

  await page.getByRole("radio", { name: ".env", exact: true }).check();
  await page.locator(".tab:visible").getByRole("button", { name: "Copy", exact: true }).click();
  await expect.poll(clipboard).toBe(await page.locator("#snippet-6").textContent());
  expect(await clipboard()).toContain(`OPENAI_BASE_URL=${server.url}/v1\n`);
});

test("without a clipboard, as over plain http, the copy button copies all the same, or says what to do", async ({ page, context, server }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: server.url });
  // As where the page is not served securely; kept only to look what was copied.
  await page.addInitScript(() => {
    Object.assign(window, { kept: navigator.clipboard });
    Object.defineProperty(Navigator.prototype, "clipboard", { value: undefined });
  });
  const key = await createKey(page, "acme", unique("plain http"));
  const copy = page.getByRole("button", { name: "Copy key" });
  await expect(async () => {
    await copy.click({ timeout: 500 });
    await expect(page.getByRole("button", { name: "Copied" })).toBeVisible({ timeout: 300 });
  }).toPass();
  const copied = await page.evaluate(() => (window as unknown as { kept: Clipboard }).kept.readText());
  expect(copied.trim()).toBe(key.secret);

  // And where the browser does not even do that.
  await page.evaluate(() => Object.assign(document, { execCommand: () => false }));
  await page.getByRole("radio", { name: "curl", exact: true }).check();
  await page.locator(".tab:visible").getByRole("button", { name: "Copy", exact: true }).click();
  await expect(page.getByRole("button", { name: "Selected: press Ctrl+C" })).toBeVisible();
  expect(await page.evaluate(() => getSelection()?.toString())).toBe(await page.locator("#snippet-0").textContent());
});

test("a form's mistakes appear without leaving the page, the first one focused, and go when it is right", async ({ page, open, expectFailures, server }) => {
  expectFailures("422 POST /api/keys/create");
  await open("/acme/keys/new");
  await page.evaluate(() => Object.assign(window, { stayed: true }));
  const name = page.getByLabel("Name", { exact: true });
  await name.fill("  ");
  await setLimit(page, "Requests", "many");
  await page.getByLabel("Note").fill("still here");
  await page.getByRole("button", { name: "Create key" }).click();
  await expect(mistake(page, "name")).toBeVisible();
  await expect(name).toBeFocused();
  await expect(name).toHaveAttribute("aria-invalid", "true");
  await expect(name).toHaveAccessibleDescription(/Name is empty/);
  await expect(mistake(page, "rpm")).toBeVisible();
  await expect(page.getByLabel("Note")).toHaveValue("still here");
  expect(await page.evaluate(() => "stayed" in window)).toBe(true);

  await name.fill(unique("mended"));
  await page.getByRole("button", { name: "Create key" }).click();
  await expect(mistake(page, "name")).toHaveCount(0);
  await expect(name).not.toHaveAttribute("aria-invalid");
  await expect(mistake(page, "rpm")).toHaveCount(1);
  await setLimit(page, "Requests", "5");
  await page.getByRole("button", { name: "Create key" }).click();
  await page.waitForURL(/\/issued$/);
  expect(page.url()).toContain(server.url);
});

test("when the server is away a sentence says so, what was typed stays, and it can be sent again", async ({ page, open, expectFailures }) => {
  expectFailures("request failed: POST /api/keys/create", "Failed to load resource: net::ERR_CONNECTION_REFUSED");
  await open("/acme/keys/new");
  const name = unique("later");
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.route("**/api/keys/create", (route) => route.abort("connectionrefused"));
  const create = page.getByRole("button", { name: "Create key" });
  await create.click();
  await expect(page.getByRole("alert")).toHaveText("The server could not be reached. Your input is still here. Try again.");
  await expect(page.getByLabel("Name", { exact: true })).toHaveValue(name);
  await expect(create).toBeEnabled();
  await page.unroute("**/api/keys/create");
  await create.click();
  await page.waitForURL(/\/issued$/);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(`${name} is ready`);
});

test("an error that no field is to blame for is told, and the form can be sent again", async ({ page, open, expectFailures }) => {
  expectFailures("503 POST /api/keys/create", "500 POST /api/keys/create");
  await open("/acme/keys/new");
  await page.getByLabel("Name", { exact: true }).fill(unique("outage"));
  const create = page.getByRole("button", { name: "Create key" });
  const answers: [number, string, RegExp][] = [
    [503, '{"code":"unavailable","sentence":"The database is not available. Nothing was saved. Try again in a moment."}', /^The database is not available/],
    [500, "<html>a proxy's page</html>", /^The server could not do this\. Try again\.$/],
  ];
  for (const [status, body, sentence] of answers) {
    await page.route("**/api/keys/create", (route) => route.fulfill({ status, body, contentType: status === 503 ? "application/json" : "text/html" }));
    await create.click();
    await expect(page.getByRole("alert")).toHaveText(sentence);
    await expect(create).toBeEnabled();
    await page.unroute("**/api/keys/create");
  }
  await create.click();
  await page.waitForURL(/\/issued$/);
});

test("a double click creates one key", async ({ page, open }) => {
  let posts = 0;
  page.on("request", (request) => {
    if (request.url().endsWith("/api/keys/create")) posts += 1;
  });
  await open("/acme/keys/new");
  await page.getByLabel("Name", { exact: true }).fill(unique("double"));
  await page.getByRole("button", { name: "Create key" }).dblclick();
  await page.waitForURL(/\/issued$/);
  expect(posts).toBe(1);
});

test("No limit hides the value, and choosing Limit again brings it back", async ({ page, open }) => {
  await open("/acme/keys/new");
  await unfold(page);
  const group = limitOf(page, "Requests");
  const field = group.locator(".affix input");
  await expect(field).toHaveValue("60");
  await group.getByLabel("No limit", { exact: true }).check();
  await expect(field).toBeHidden();
  await expect(page.locator(".summary")).toContainText("any number of requests");
  await group.getByLabel("Limit", { exact: true }).check();
  await expect(field).toBeVisible();
  await expect(field).toHaveValue("60");
});
