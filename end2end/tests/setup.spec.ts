import { ana, expect, freshTest as test } from "./support/desk";
import { mistake } from "./support/keys";

test("there is no other way in: every page asks to sign in first", async ({ page, server }) => {
  await server.setupPath();
  for (const path of ["/", "/acme", "/acme/keys", "/acme/keys/new", "/acme/keys/key_0/edit", "/no/such/page"]) {
    await page.goto(server.url + path);
    expect(page.url()).toBe(`${server.url}/sign-in?${new URLSearchParams({ next: path })}`);
    await expect(page.getByRole("heading", { name: "Sign in", exact: true })).toBeVisible();
    await expect(page.locator(".notice")).toContainText("Keydesk is not set up yet.");
  }
});

test("the page for signing in says nothing of setting up once somebody can sign in", async ({ signedIn, otherPage, page, open }) => {
  await signedIn(await otherPage());
  await open("/sign-in");
  await expect(page.getByRole("heading", { name: "Sign in", exact: true })).toBeVisible();
  await expect(page.locator(".notice")).toHaveCount(0);
});

test("a made-up set-up link is a page that says so", async ({ page, server, expectFailures }) => {
  expectFailures("404 GET /setup/");
  const answer = await page.goto(`${server.url}/setup/${"a".repeat(43)}`);
  expect(answer?.status()).toBe(404);
  await expect(page.getByRole("heading", { name: "This link no longer works" })).toBeVisible();
});

test("the set-up link makes the owner, with every mistake told beside its field", async ({ page, open, server, otherPage, expectFailures }) => {
  expectFailures("422 POST /api/session/setup", "404 GET /setup/");
  const link = await server.setupPath();
  await open(link);
  const name = page.getByLabel("Name", { exact: true });
  const email = page.getByLabel("Email");
  const password = page.getByLabel("Password", { exact: true });
  const organisation = page.getByLabel("Organisation", { exact: true });
  const create = page.getByRole("button", { name: "Create organisation", exact: true });

  await name.fill("  ");
  await email.fill("ana@example");
  await password.fill("short");
  await organisation.fill(ana.organisation);
  await create.click();
  await expect(page.getByRole("alert")).toContainText("Nothing was saved. Check the 3 highlighted fields.");
  await expect(mistake(page, "name")).toHaveText("Name is empty. Type at least one character.");
  await expect(mistake(page, "email")).toHaveText("An email address looks like ana@example.com.");
  await expect(mistake(page, "password")).toContainText("at least 15 characters; this one has 5");
  await expect(mistake(page, "org")).toHaveCount(0);
  await expect(name).toHaveAttribute("aria-invalid", "true");
  await expect(name).toHaveAccessibleDescription(/Name is empty/);
  await expect(email).toHaveValue("ana@example");
  await expect(organisation).toHaveValue(ana.organisation);

  const refused: [string, RegExp][] = [
    ["passwordpassword", /lists that attackers try first/],
    ["ana ruiz acme ana", /made of your name, address or organisation/],
  ];
  await name.fill(ana.name);
  await email.fill(ana.email);
  for (const [word, reason] of refused) {
    await password.fill(word);
    await create.click();
    await expect(mistake(page, "password")).toHaveText(reason);
    await expect(mistake(page, "email")).toHaveCount(0);
    await expect(name).toHaveValue(ana.name);
    await expect(email).toHaveValue(ana.email);
  }

  await password.fill(ana.password);
  await create.click();
  await page.waitForURL(`${server.url}/acme`);
  await expect(page.getByRole("heading", { name: "First steps" })).toBeVisible();
  await expect(page.locator("main").getByRole("link", { name: "Create key" })).toHaveAttribute("href", "/acme/keys/new");

  for (const visitor of [page, await otherPage()]) {
    const answer = await visitor.goto(server.url + link);
    expect(answer?.status()).toBe(404);
    await expect(visitor.getByRole("heading", { name: "This link no longer works" })).toBeVisible();
    await expect(visitor.locator("main")).toContainText("works once");
    await expect(visitor.getByRole("link", { name: "Go to sign in" })).toHaveAttribute("href", "/sign-in");
  }
});
