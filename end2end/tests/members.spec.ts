import type { Page } from "@playwright/test";
import { demoTest, expect, freshTest, test as base } from "./support/desk";
import { createKey, mistake, unique } from "./support/keys";
import { PostOffice } from "./support/post";
import { Desk } from "./support/server";

const people = "/northwind-labs/members";
const password = "walnut ferry 92 lantern";
const address = (name: string) => `${unique(name)}@example.org`;
const heading = (page: Page) => page.getByRole("heading", { level: 1 });

/** Invites as somebody who may; ends on the page that shows the link. */
async function invite(page: Page, url: string, org: string, email: string, role?: string): Promise<string> {
  await page.goto(`${url}/${org}/members/invite`);
  await page.getByLabel("Email").fill(email);
  if (role) await page.getByLabel("Role", { exact: true }).selectOption(role);
  await page.getByRole("button", { name: "Invite", exact: true }).click();
  await page.waitForURL(/\/issued$/);
  const link = (await page.locator("#secret").textContent()) ?? "";
  expect(link).toMatch(/\/invite\/[0-9a-f]{64}$/);
  return link;
}

/** Takes an invitation up as somebody new. */
async function join(page: Page, link: string, name: string): Promise<void> {
  await page.goto(link);
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Join", exact: true }).click();
  await page.waitForURL(/\/(northwind-labs|acme)$/);
}

const row = (page: Page, words: string) => page.locator("tbody tr").filter({ hasText: words });

/** The page of somebody, by what they are called. */
async function show(page: Page, url: string, org: string, name: string): Promise<void> {
  await page.goto(`${url}/${org}/members?q=${encodeURIComponent(name)}`);
  await page.getByRole("link", { name, exact: true }).click();
  await expect(heading(page)).toContainText(name);
}

demoTest("an invitation's link is shown once, works once, and takes its person in", async ({ signedIn, page, otherPage, server, expectFailures }) => {
  expectFailures("404 GET /invite/", "422 POST /api/invitations/");
  await signedIn();
  const [email, name] = [address("ben"), unique("Ben")];
  const link = await invite(page, server.url, "northwind-labs", email);
  await expect(heading(page)).toHaveText(`${email} is invited`);
  await expect(page.getByText("This is the only time it is shown.")).toBeVisible();
  await page.reload();
  await expect(page.getByText("is not stored")).toBeVisible();
  for (const path of [people, `${people}/invite`, page.url()]) {
    await page.goto(new URL(path, server.url).href);
    expect(await page.content()).not.toContain(link.slice(-64));
  }
  await page.goto(server.url + people);
  await expect(row(page, email)).toContainText("link copied");
  // A second invitation to the same address says so.
  await page.goto(`${server.url}${people}/invite`);
  await page.getByLabel("Email").fill(email);
  await page.getByRole("button", { name: "Invite", exact: true }).click();
  await expect(mistake(page, "email")).toContainText("already has an open invitation");

  const guest = await otherPage();
  await guest.goto(link);
  await expect(heading(guest)).toHaveText("Join Northwind Labs");
  await expect(guest.locator("main")).toContainText(`invites you to join as a member. You sign in as ${email}.`);
  await guest.getByLabel("Name", { exact: true }).fill(name);
  await guest.getByLabel("Password", { exact: true }).fill("northwind");
  await guest.getByRole("button", { name: "Join", exact: true }).click();
  await expect(mistake(guest, "password")).toContainText("15 characters");
  await join(guest, link, name);
  await expect(heading(guest)).toBeVisible();

  const late = await otherPage();
  expect((await late.goto(link))?.status()).toBe(404);
  await expect(heading(late)).toHaveText("This link no longer works");
  await show(page, server.url, "northwind-labs", name);
  await expect(page.locator("h1 .badge")).toHaveText("Active");
  expect(server.log()).not.toContain(link.slice(-64));
});

demoTest("somebody who signs in here already joins with one click, as themselves", async ({ signedIn, page, otherPage, signIn, server }) => {
  await signedIn();
  const erik = server.who(/^owner of Fjord/);
  const link = await invite(page, server.url, "northwind-labs", erik.email);
  // The owner's own browser: signed in as somebody else.
  await page.goto(link);
  await expect(page.locator("main")).toContainText("Sign out, then open the link again.");
  const guest = await otherPage();
  await guest.goto(link);
  await guest.getByRole("link", { name: `Sign in as ${erik.email} to join` }).click();
  await guest.getByLabel("Email").fill(erik.email);
  await guest.getByLabel("Password", { exact: true }).fill(erik.password);
  await guest.getByRole("button", { name: "Sign in", exact: true }).click();
  await guest.waitForURL(link);
  await guest.getByRole("button", { name: "Join Northwind Labs" }).click();
  await guest.waitForURL(/northwind-labs$/);
  await expect(guest.getByText("You joined Northwind Labs.")).toBeVisible();
  // And out again, so that the desk is as it was.
  await guest.goto(`${server.url}/northwind-labs/leave`);
  await guest.getByRole("button", { name: "Leave Northwind Labs" }).click();
  await expect(guest.getByText("You left Northwind Labs.")).toBeVisible();
  await signIn(await otherPage(), erik);
});

demoTest("an invitation is sent again and withdrawn", async ({ signedIn, page, otherPage, server, expectFailures }) => {
  expectFailures("404 GET /invite/");
  await signedIn();
  const email = address("cy");
  const first = await invite(page, server.url, "northwind-labs", email);
  await page.goto(server.url + people);
  await page.getByRole("button", { name: `Resend the invitation of ${email}` }).click();
  await page.waitForURL(/\/issued$/);
  const second = (await page.locator("#secret").textContent()) ?? "";
  expect(second).not.toBe(first);
  const guest = await otherPage();
  expect((await guest.goto(first))?.status()).toBe(404);
  expect((await guest.goto(second))?.status()).toBe(200);
  await page.goto(server.url + people);
  await page.getByRole("button", { name: `Withdraw the invitation of ${email}` }).click();
  await expect(page.getByText(`Invitation for ${email} withdrawn.`)).toBeVisible();
  await expect(row(page, email)).toHaveCount(0);
  expect((await guest.goto(second))?.status()).toBe(404);
});

demoTest("another role holds for an open page, and whoever is disabled is out at once", async ({ signedIn, page, otherPage, server, open, expectFailures }) => {
  expectFailures("403 GET /northwind-labs/members", "422 POST /api/members/decide");
  await signedIn();
  const [email, name] = [address("dee"), unique("Dee")];
  const dee = await otherPage();
  await join(dee, await invite(page, server.url, "northwind-labs", email, "admin"), name);
  expect((await dee.goto(server.url + people))?.status()).toBe(200);
  const key = await createKey(dee, "northwind-labs", unique("of-dee"));

  await show(page, server.url, "northwind-labs", name);
  await page.getByLabel("Role", { exact: true }).selectOption("member");
  await page.getByRole("button", { name: "Change role" }).click();
  await expect(page.getByText(`${name} is now a member.`)).toBeVisible();
  expect((await dee.goto(server.url + people))?.status()).toBe(403);
  await expect(heading(dee)).toHaveText("You don't have permission");

  await page.getByRole("button", { name: "Disable" }).click();
  await page.waitForURL(/\/keys$/);
  await expect(page.getByText(`${name} is disabled and signed out everywhere.`)).toBeVisible();
  await dee.goto(`${server.url}/northwind-labs/keys`);
  await expect(dee).toHaveURL(/\/sign-in/);

  // What is left behind waits, and is decided about.
  await page.goto(server.url + people);
  await page.getByRole("link", { name: `${name}: 1 key` }).click();
  await expect(row(page, key.name)).toBeVisible();
  await page.getByRole("button", { name: "Reassign selected keys" }).click();
  await expect(page.locator('[data-field="keys"] .error')).toHaveText("Select at least one key.");
  await page.getByRole("checkbox", { name: `Select ${key.name}` }).check();
  await page.getByLabel("New owner", { exact: true }).selectOption("Ana Ruiz");
  await page.getByRole("button", { name: /^Reassign/ }).click();
  await expect(page.getByText(`Key ${key.name} reassigned to Ana Ruiz.`)).toBeVisible();
  await open(key.path);
  await expect(page.getByRole("complementary", { name: "About this key" })).toContainText("Ana Ruiz");
  await expect(page.locator(".history")).toContainText(`from ${name} to Ana Ruiz`);

  await show(page, server.url, "northwind-labs", name);
  await page.getByRole("button", { name: "Enable" }).click();
  await expect(page.getByText(`${name} is active again.`)).toBeVisible();
});

demoTest("whoever is removed leaves keys that run on or are revoked, several at once", async ({ signedIn, page, otherPage, server, expectFailures }) => {
  expectFailures("422 POST /api/members/decide");
  await signedIn();
  const [email, name] = [address("eve"), unique("Eve")];
  const eve = await otherPage();
  await join(eve, await invite(page, server.url, "northwind-labs", email, "admin"), name);
  const keys = [];
  for (const key of ["one", "two", "three"]) keys.push(await createKey(eve, "northwind-labs", unique(key)));
  await show(page, server.url, "northwind-labs", name);
  await page.getByRole("link", { name: "Remove", exact: true }).click();
  await expect(page.locator("main")).toContainText("Their 3 live keys keep working");
  await page.getByRole("button", { name: `Remove ${name}` }).click();
  await page.waitForURL(/\/keys$/);
  await expect(page.locator("tbody tr")).toHaveCount(3);

  await page.getByRole("checkbox", { name: `Select ${keys[0]?.name}` }).check();
  await page.getByRole("radio", { name: /^Keep until a date/ }).check();
  const day = new Date(Date.now() + 7 * 86_400_000).toISOString().slice(0, 10);
  await page.getByLabel("Last day").fill(day);
  await page.getByRole("button", { name: "Keep selected keys" }).click();
  await expect(page.getByText(`Key ${keys[0]?.name} kept until`)).toBeVisible();
  await expect(page.locator("tbody tr")).toHaveCount(2);
  for (const key of keys.slice(1)) await page.getByRole("checkbox", { name: `Select ${key.name}` }).check();
  await page.getByRole("radio", { name: /^Revoke/ }).check();
  await page.getByRole("button", { name: "Revoke selected keys" }).click();
  await expect(page.getByText("2 keys revoked.")).toBeVisible();
  await expect(page).toHaveURL(/\/members$/);
  await expect(row(page, name)).toHaveCount(0);
});

freshTest("the last owner cannot leave, and is told why", async ({ signedIn, page, open, expectFailures }) => {
  expectFailures("409 POST /api/members/leave");
  await signedIn();
  await open("/acme/leave");
  await page.getByRole("button", { name: "Leave Acme" }).click();
  await expect(page.getByText("An organisation needs at least one active owner")).toBeVisible();
});

demoTest("a team's admin invites into their team, and sees its people only", async ({ otherPage, signIn, server, open }) => {
  const page = await signIn(await otherPage(), server.who(/^admin of the team Research$/));
  await open(people, page);
  await expect(page.locator("main")).toContainText("The members of the teams that you manage.");
  await expect(row(page, "ana@northwind.example")).toHaveCount(0);
  await open(`${people}/invite`, page);
  await expect(page.getByLabel("Role", { exact: true })).toHaveCount(0);
  expect(await page.getByRole("combobox", { name: "Team", exact: true }).locator("option").allTextContents()).toEqual(["Research"]);
});

const mailTest = base.extend<{ post: PostOffice }>({
  post: async ({}, use) => {
    const post = await PostOffice.start();
    await use(post);
    await post.close().catch(() => undefined);
  },
  server: async ({ post }, use) => {
    const desk = await Desk.start({ extra: ["--smtp-url", post.url, "--mail-from", "Keydesk <keydesk@example.com>"] });
    await use(desk);
    await desk.stop();
  },
});

mailTest("an invitation goes out by mail, and its link works", async ({ signedIn, page, otherPage, server, post }) => {
  await signedIn();
  const link = await invite(page, server.url, "acme", "ben@example.org");
  await expect(page.getByText("We sent the link to ben@example.org.")).toBeVisible();
  expect(post.received).toHaveLength(1);
  const [mail] = post.received;
  expect(mail?.to).toEqual(["ben@example.org"]);
  expect(mail?.from).toBe("keydesk@example.com");
  expect(mail?.head).toMatch(/^subject: Ana Ruiz invites you to Acme/im);
  expect(mail?.head).toMatch(/^content-type: text\/plain/im);
  expect(mail?.body).toContain(link);
  const found = /http:\S+\/invite\/[0-9a-f]{64}/.exec(mail?.body ?? "")?.[0] ?? "";
  await join(await otherPage(), found, "Ben Okafor");
  await page.goto(`${server.url}/acme/members`);
  await expect(row(page, "Ben Okafor")).toBeVisible();
});

mailTest("a mail that cannot be sent does not lose the invitation", async ({ signedIn, page, otherPage, server, post }) => {
  await signedIn();
  await post.close();
  const link = await invite(page, server.url, "acme", "cy@example.org");
  await expect(page.getByText("The mail to cy@example.org could not be sent.")).toBeVisible();
  await join(await otherPage(), link, "Cy Duarte");
});
