import type { Page } from "@playwright/test";
import { ana, expect, freshTest, test } from "./support/desk";
import { createKey, mistake, unique } from "./support/keys";

async function menu(page: Page) {
  await page.getByRole("button", { name: new RegExp(ana.name) }).click();
  await expect(page.locator("#user-menu")).toBeVisible();
}

test("signing out ends the session, and Back shows nothing of it", async ({ signedIn, signIn, otherPage, server, page }) => {
  await signedIn(await otherPage());
  await signIn(page, ana);
  const key = await createKey(page, "acme", unique("kept-secret"));
  await page.goto(`${server.url}${key.path}`);
  await page.goto(`${server.url}/acme/keys`);
  await expect(page.getByRole("link", { name: key.name, exact: true })).toBeVisible();
  const before = await page.context().cookies();

  await menu(page);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL(/\/sign-in$/);
  await expect(page.getByRole("status")).toHaveText("You are signed out.");

  for (let step = 0; step < 2; step += 1) {
    await page.goBack();
    await expect(page.getByRole("heading", { name: "Sign in", exact: true })).toBeVisible();
    expect(await page.content()).not.toContain(key.name);
  }

  // The cookie itself is worth nothing any more.
  const thief = await otherPage();
  await thief.context().addCookies(before);
  await thief.goto(`${server.url}/acme/keys`);
  await expect(thief).toHaveURL(/\/sign-in\?next=/);

  await signIn(page, ana);
  await expect(page.getByRole("heading", { name: "Overview" })).toBeVisible();
});

test("a wrong pair gets one sentence, whichever half is wrong, and the email stays", async ({ signedIn, otherPage, page, open, expectFailures }) => {
  expectFailures("422 POST /api/session/sign-in");
  await signedIn(await otherPage());
  for (const email of [ana.email, "nobody@example.com"]) {
    await open("/sign-in");
    await page.getByLabel("Email").fill(email);
    await page.getByLabel("Password", { exact: true }).fill("not the password at all");
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await expect(mistake(page, "password")).toHaveText("The email address or the password is wrong.");
    await expect(page.getByText("The email address or the password is wrong.")).toHaveCount(1);
    await expect(page.getByLabel("Email")).toHaveValue(email);
    await expect(page).toHaveURL(/\/sign-in$/);
  }
});

test("after signing in one goes on to where one wanted, on this host only", async ({ signedIn, otherPage, open, server }) => {
  await signedIn(await otherPage());
  const wanted: [string, string][] = [
    ["/acme/keys/new", "/acme/keys/new"],
    ["//evil.example/acme", "/acme"],
    ["https://evil.example/", "/acme"],
    ["/\\evil.example", "/acme"],
    ["javascript:alert(1)", "/acme"],
  ];
  for (const [next, lands] of wanted) {
    const page = await otherPage();
    await open(`/sign-in?${new URLSearchParams({ next })}`, page);
    await page.getByLabel("Email").fill(ana.email);
    await page.getByLabel("Password", { exact: true }).fill(ana.password);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await expect(page, next).toHaveURL(server.url + lands);
  }
});

test("somebody who was sent to sign in comes back to the page they asked for", async ({ signedIn, otherPage, page, server }) => {
  await signedIn(await otherPage());
  await page.goto(`${server.url}/acme/keys/new`);
  await page.getByLabel("Email").fill(ana.email);
  await page.getByLabel("Password", { exact: true }).fill(ana.password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await expect(page).toHaveURL(`${server.url}/acme/keys/new`);
});

test("the theme is kept with the person", async ({ signedIn, page, otherPage, server }) => {
  await signedIn();
  const root = page.locator("html");
  await page.goto(`${server.url}/acme/keys/new`);
  for (const [word, value] of [["Dark", "dark"], ["Light", "light"], ["System", "system"]] as const) {
    await menu(page);
    await page.getByRole("button", { name: word, exact: true }).click();
    await expect(root).toHaveAttribute("data-theme", value);
    await expect(page).toHaveURL(`${server.url}/acme/keys/new`);
    if (value !== "system") await expect(root).toHaveCSS("color-scheme", value);
    const elsewhere = await signedIn(await otherPage());
    await expect(elsewhere.locator("html")).toHaveAttribute("data-theme", value);
  }
});

freshTest("a reset link from the command line sets a new password once and ends old sessions", async ({ signedIn, otherPage, page, open, server, expectFailures }) => {
  expectFailures("422 POST /api/session/reset", "404 GET /reset/", "422 POST /api/session/sign-in");
  const old = await signedIn(await otherPage());
  const link = await server.command("reset-password", ana.email);
  expect(link).toMatch(new RegExp(`^${server.url}/reset/\\S+$`));
  const path = link.slice(server.url.length);

  await open(path);
  const password = page.getByLabel("New password");
  await password.fill("too short");
  await page.getByRole("button", { name: "Set password" }).click();
  await expect(mistake(page, "password")).toContainText("at least 15 characters");
  const fresh = "copper lantern seven rivers";
  await password.fill(fresh);
  await page.getByRole("button", { name: "Set password" }).click();
  await page.waitForURL(/\/sign-in$/);
  await expect(page.getByRole("status")).toHaveText(/new password is set, and every session is ended/);

  await old.goto(`${server.url}/acme/keys`);
  await expect(old).toHaveURL(/\/sign-in\?next=/);

  await open("/sign-in");
  for (const [word, right] of [[ana.password, false], [fresh, true]] as const) {
    await page.getByLabel("Email").fill(ana.email);
    await page.getByLabel("Password", { exact: true }).fill(word);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    if (right) await page.waitForURL(/\/acme$/);
    else await expect(mistake(page, "password")).toBeVisible();
  }

  const again = await page.goto(link);
  expect(again?.status()).toBe(404);
  await expect(page.getByRole("heading", { name: "This link no longer works" })).toBeVisible();
  expect(server.log()).not.toContain(path.split("/").at(-1));
});

test("a form whose session is over loses nothing of what was typed", async ({ signedIn, signIn, page, otherPage, open, javaScriptEnabled, expectFailures }) => {
  if (javaScriptEnabled) expectFailures("401 POST /api/teams/create");
  await signedIn();
  await open("/acme/teams/new");
  const name = unique("Typed before");
  await page.getByLabel("Name", { exact: true }).fill(name);
  const elsewhere = await signIn(await otherPage(), ana);
  await open("/account/sessions", elsewhere);
  await elsewhere.getByRole("button", { name: "End all other sessions" }).click();
  await expect(elsewhere.getByRole("status")).toBeVisible();

  const create = page.getByRole("button", { name: "Create team" });
  await create.click();
  if (javaScriptEnabled) {
    await expect(page.getByRole("alert")).toContainText("You are signed out, so nothing was saved");
    const [tab] = await Promise.all([page.context().waitForEvent("page"), page.getByRole("link", { name: "sign in in a new tab" }).click()]);
    await tab.getByLabel("Email").fill(ana.email);
    await tab.getByLabel("Password", { exact: true }).fill(ana.password);
    await tab.getByRole("button", { name: "Sign in", exact: true }).click();
    await expect(tab.getByRole("heading", { name: "Overview" })).toBeVisible();
  } else {
    await page.getByLabel("Email").fill(ana.email);
    await page.getByLabel("Password", { exact: true }).fill(ana.password);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await expect(page.getByRole("alert")).toContainText("What you typed is here again");
  }
  await expect(page.getByLabel("Name", { exact: true })).toHaveValue(name);
  await create.click();
  await expect(page.getByRole("heading", { name })).toBeVisible();
});
