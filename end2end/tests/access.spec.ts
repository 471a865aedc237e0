// Every page, in both themes, wide and narrow: what axe finds, and whether anything sticks out at the side.
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { demoTest, expect, freshTest, listening } from "./support/desk";
import { createKey, setLimit, unique } from "./support/keys";

const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const keys = "/northwind-labs/keys";

/** `part`: what was not on the page when it was examined before, as a selector. */
async function examine(page: Page, part?: string, widths = [1440, 360]): Promise<void> {
  const grave: string[] = [];
  for (const width of widths) {
    await page.setViewportSize({ width, height: 900 });
    const { scrolled, sticksOut, twice } = await page.evaluate(() => ({
      twice: [...document.querySelectorAll("[id]")].map(({ id }) => id).filter((id, at, all) => all.indexOf(id) !== at),
      scrolled: document.documentElement.scrollWidth - window.innerWidth,
      sticksOut: [...document.querySelectorAll("main *")]
        .filter((element) => element.getBoundingClientRect().right > window.innerWidth + 1 && element.checkVisibility())
        .slice(0, 5)
        .map((element) => element.outerHTML.slice(0, 120)),
    }));
    // What to do with ticked rows stays in view and half covers a row, which is then too small a target to axe.
    await page.locator(".selection").evaluateAll((bars) => bars.forEach((bar) => ((bar as HTMLElement).style.position = "static")));
    if (scrolled > 0) grave.push(`${width} px: the page is ${scrolled} px too wide: ${sticksOut.join(" | ")}`);
    // A label reaches the first of two elements with its id.
    if (twice.length > 0) grave.push(`${width} px: ids that stand twice: ${twice.join(", ")}`);
    for (const colorScheme of ["light", "dark"] as const) {
      // Without motion, so that no colour is measured half-way.
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      const axe = new AxeBuilder({ page }).setLegacyMode().withTags(tags);
      const { violations, passes } = await (part ? axe.include(part) : axe).analyze();
      expect(passes.length).toBeGreaterThan(0);
      for (const { id, impact, help, nodes } of violations) {
        const line = `${width} px, ${colorScheme}: ${impact} ${id}: ${help}: ${nodes.map((node) => `${node.target.join(" ")} ${node.any[0]?.message ?? ""}`).slice(0, 3).join(" | ")}`;
        if (impact === "serious" || impact === "critical") grave.push(line);
        else console.log(`axe, ${new URL(page.url()).pathname}: ${line}`);
      }
    }
  }
  expect(grave).toEqual([]);
}

freshTest("set-up, and a desk without keys", async ({ page, open, server, signedIn }) => {
  await open(await server.setupPath());
  await examine(page);
  await page.setViewportSize({ width: 1440, height: 900 });
  await signedIn();
  await open("/acme/keys");
  await expect(page.getByRole("heading", { name: "No keys yet" })).toBeVisible();
  await examine(page);
  await open("/acme");
  await expect(page.getByRole("heading", { name: "First steps" })).toBeVisible();
  await examine(page);
});

demoTest("signing in, and a dead link", async ({ page, open, expectFailures }) => {
  expectFailures("404 GET /setup/", "422 POST /api/session/sign-in");
  await open("/sign-in");
  await examine(page);
  await page.getByLabel("Email").fill("nobody@example.com");
  await page.getByLabel("Password", { exact: true }).fill("not the password");
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await expect(page.locator(".error").first()).toBeVisible();
  await examine(page);
  await open("/setup/dead");
  await examine(page);
});

const places: [string, string][] = [
  ["the list", keys],
  ["the list, sorted by spend", `${keys}?sort=spend&q=eval`],
  ["nothing found", `${keys}?q=no+such+name`],
  ["the form for a new key", `${keys}/new`],
  ["the test of a key", "/northwind-labs/live-test"],
  ["spend", "/northwind-labs/spend?period=30-days&group=owner"],
  ["check of spend", "/northwind-labs/spend/check"],
  ["spend, nothing found", "/northwind-labs/spend?model=none"],
  ["the log of requests", "/northwind-labs/requests"],
  ["the log of requests, nothing found", "/northwind-labs/requests?gate=rate&tag=none&priced=no"],
  ["the audit", "/northwind-labs/audit"],
  ["the audit, nothing found", "/northwind-labs/audit?key=none"],
];
for (const [what, path] of places) {
  demoTest(what, async ({ page, open, signedIn }) => {
    await signedIn();
    await open(path);
    await examine(page);
  });
}

demoTest("the form for a new key with mistakes, told by the script and by the server", async ({ page, open, signedIn, expectFailures }) => {
  expectFailures("422 POST /api/keys/create", "request failed: GET /pkg/", "Failed to load resource: net::ERR_FAILED", /page error: .*(fetch|dynamically imported)/i);
  await signedIn();
  const mistaken = async () => {
    await page.getByLabel("Name", { exact: true }).fill("  ");
    await setLimit(page, "Requests", "many");
    await page.getByLabel("Addresses").fill("nowhere");
    await page.getByRole("button", { name: "Create key" }).click();
    await expect(page.locator(".field .error, .limit .error")).toHaveCount(3);
  };
  await open(`${keys}/new`);
  await mistaken();
  await examine(page);
  await page.setViewportSize({ width: 1440, height: 900 });
  // Without its program the page is what the server drew.
  await page.route(/\.wasm$/, (route) => route.abort());
  await page.goto(page.url());
  await page.evaluate(() => Object.assign(window, { stayed: true }));
  await mistaken();
  expect(await page.evaluate(() => "stayed" in window)).toBe(false);
  await examine(page);
});

demoTest("the page that shows a secret, before and after", async ({ page, signedIn }) => {
  await signedIn();
  await createKey(page, "northwind-labs", unique("axe"));
  await listening(page);
  await examine(page);
  await page.reload();
  await examine(page);
});

for (const state of ["Active", "Disabled", "Revoked", "Expired", "Over budget"]) {
  demoTest(`a key: ${state}`, async ({ page, open, signedIn }) => {
    await signedIn();
    const query = state === "Over budget" ? "?state=active&sort=spend" : `?state=${state.toLowerCase()}`;
    await open(keys + query);
    const badge = page.locator(".badge").getByText(state, { exact: true });
    const href = await page.locator("tbody tr").filter({ has: badge }).first().locator(".row-link").getAttribute("href");
    await open(href ?? "");
    await expect(page.locator("h1 .badge")).toHaveText(state);
    await examine(page);
  });
}

demoTest("extending an expired key", async ({ page, open, signedIn }) => {
  await signedIn();
  await open(`${keys}?state=expired&sort=expires&dir=desc`);
  const href = await page.locator("tbody .row-link").first().getAttribute("href");
  await open(`${href}/extend`);
  await expect(page.getByRole("button", { name: "Extend key" })).toBeVisible();
  await examine(page);
});

demoTest("keys due for rotation", async ({ page, open, signedIn }) => {
  await signedIn();
  await open(`${keys}?state=due&sort=rotated&dir=asc`);
  await expect(page.locator("tbody tr").first()).toContainText("Rotation due");
  await examine(page);
});

demoTest("editing, rotating and revoking", async ({ page, open, signedIn }) => {
  await signedIn();
  await open(`${keys}?state=active&sort=used`);
  const href = await page.locator("tbody .row-link").first().getAttribute("href");
  await open(`${href}/edit`);
  await examine(page);
  await open(`${href}/rotate`);
  await examine(page);
  await page.getByRole("button", { name: "Rotate key" }).click();
  await page.waitForURL(/\/issued$/);
  await examine(page);
  await open(`${href}/rotate`);
  await examine(page);
  await open(`${href}/revoke`);
  await expect(page.locator("main")).toContainText("This key is in use:");
  await examine(page);
});

demoTest("a request that was answered, and one that failed", async ({ page, open, signedIn }) => {
  await signedIn();
  for (const status of ["answered", "failed"]) {
    await open(`/northwind-labs/requests?status=${status}`);
    const href = await page.locator(".log .row-link").first().getAttribute("href");
    await open(href ?? "");
    await expect(page.locator("h1 .badge")).toHaveText(new RegExp(status, "i"));
    await examine(page);
    await page.setViewportSize({ width: 1440, height: 900 });
  }
});

demoTest("the key doctor", async ({ page, open, signedIn }) => {
  await signedIn();
  await open(`${keys}?state=active&sort=used`);
  const links = await page.locator("tbody .row-link").all();
  const ids = await Promise.all(links.map(async (link) => (await link.getAttribute("href"))?.split("/").pop()));
  // Some keys of the demonstration are for some addresses only, which comes before the model.
  for (const id of ids.slice(0, 8)) {
    await open(`${keys.replace("/keys", "/doctor")}?key=${id}&model=no-such-model&gate=model`);
    if ((await page.locator("#causes").textContent())?.includes("no-such-model")) break;
  }
  await expect(page.locator("#causes")).toContainText("no-such-model");
  await examine(page);
});

demoTest("several keys, before and after", async ({ page, open, signedIn }) => {
  // Six pages, each in four looks.
  demoTest.setTimeout(90_000);
  await signedIn();
  await open(`${keys}?state=active`);
  for (const box of (await page.locator(".tick input").all()).slice(0, 3)) await box.check();
  await examine(page);
  await page.setViewportSize({ width: 1440, height: 900 });
  const select = page.getByLabel("Action for the selected keys");
  for (const action of ["Move to a team", "Set expiration", "Rotate", "Revoke", "Disable"]) {
    await open(`${keys}?state=active`);
    for (const box of (await page.locator(".tick input").all()).slice(0, 3)) await box.check();
    await select.selectOption({ label: action });
    await page.getByRole("button", { name: "Continue" }).click();
    await page.waitForURL(/\/keys\/bulk\?/);
    await examine(page);
    await page.setViewportSize({ width: 1440, height: 900 });
  }
  const key = await createKey(page, "northwind-labs", unique("axe"));
  await open(`${keys}/bulk?act=disable&key=${key.id}`);
  await page.getByRole("button", { name: "Disable 1 key" }).click();
  await expect(page.getByRole("link", { name: "Download CSV" })).toBeVisible();
  await examine(page);
});

demoTest("what is not there, and what one may not do", async ({ page, open, otherPage, signIn, signedIn, server, expectFailures }) => {
  expectFailures("404 GET /northwind-labs/nothing", "403 GET /northwind-labs/settings");
  await signedIn();
  await open("/northwind-labs/nothing");
  await examine(page);
  const member = await signIn(await otherPage(), server.who(/^member$/));
  await open("/northwind-labs/settings", member);
  await expect(member.getByRole("heading", { name: "You don't have permission" })).toBeVisible();
  await examine(member);
});

demoTest("a support ticket, empty and answered", async ({ otherPage, signIn, open, server }) => {
  const support = await signIn(await otherPage(), server.who(/^support/));
  for (const query of ["", "?time=3", "?key=nothing-like-it", "?key=terraform-explain-prod"]) {
    await open(`/support/ticket${query}`, support);
    await examine(support);
  }
});

for (const [what, path] of [
  ["the settings", "/northwind-labs/settings"],
  ["the settings of alerts", "/northwind-labs/settings/alerts"],
  ["the inbox", "/northwind-labs/inbox"],
  ["what is sent to one", "/northwind-labs/inbox/choices"],
  ["the asks", "/northwind-labs/asks"],
  ["the overview", "/northwind-labs"],
  ["the overview, by key", "/northwind-labs?by=key"],
  ["the overview of the organisations", "/operator/overview"],
  ["keys that are stopped", "/northwind-labs/keys?state=stopped"],
  ["the organisations", "/operator"],
  ["the form for a new organisation", "/operator/new"],
  ["an organisation's balance, for the operator", "/operator/fjord-robotics/balance"],
  ["the balance of one's own organisation", "/fjord-robotics/settings/balance"],
  ["before a suspension", "/operator/fjord-robotics/suspend"],
  ["before a resumption", "/operator/harbour-media/resume"],
  ["the providers, none yet", "/operator/providers"],
  ["the form for a provider", "/operator/providers/new"],
  ["the catalogue", "/operator/models"],
  ["the catalogue, nothing found", "/operator/models?q=nothing"],
  ["the form for a model", "/operator/models/new"],
  ["one model", "/operator/models/show?id=gpt-5"],
  ["the form of one model", "/operator/models/edit?id=gpt-5"],
  ["before requests of a model are re-rated", "/operator/models/rerate?id=gpt-5&from=2020-01-01&to=2020-01-02"],
  ["before a model is retired", "/operator/models/retire?id=gpt-5"],
] as const) {
  demoTest(what, async ({ page, open, signedIn }) => {
    // The catalogue has a hundred rows and more.
    demoTest.setTimeout(90_000);
    await signedIn();
    await open(path);
    await examine(page);
  });
}

freshTest("a provider: with mistakes, connected, in the list and before it is retired", async ({ page, open, signedIn, expectFailures }) => {
  freshTest.setTimeout(120_000);
  expectFailures("422 POST /api/providers/add");
  await signedIn();
  await open("/operator/providers/new");
  await page.getByLabel("Base URL").fill("http://api.openai.com");
  await page.getByRole("button", { name: "Check the address" }).click();
  await expect(page.locator(".field .error")).toHaveCount(1);
  await examine(page);
  await page.getByLabel("Base URL").fill("http://127.0.0.1:9/v4");
  await page.getByRole("button", { name: "Check the address" }).click();
  await page.getByLabel("Name", { exact: true }).fill("OpenAI");
  await page.getByRole("radio", { name: "In an environment variable" }).check();
  await page.getByLabel("Credential variable").fill("PATH");
  await page.getByText("Headers, timeouts and what it does not take").click();
  await page.getByRole("button", { name: "Save and test" }).click();
  await expect(page.locator(".field .error")).toHaveCount(1);
  await examine(page);
  await page.getByLabel("Credential variable").fill("NOBODY_SETS_THIS_API_KEY");
  await page.getByRole("button", { name: "Save and test" }).click();
  await page.waitForURL(/\/prov_/);
  const path = new URL(page.url()).pathname;
  await examine(page);
  await open(`${path}/retire`);
  await examine(page);
  await open("/operator/providers");
  await examine(page);
});

demoTest("the settings with mistakes, and the switcher open", async ({ page, open, signedIn, expectFailures }) => {
  expectFailures("422 POST /api/orgs/save");
  await signedIn();
  await open("/northwind-labs/settings");
  await page.getByLabel("Time zone").fill("nowhere");
  await page.getByRole("button", { name: "Save settings" }).click();
  await expect(page.locator(".field .error")).toHaveCount(1);
  await examine(page);
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.getByRole("button", { name: /change organisation/ }).click();
  await examine(page, "#orgs", [1440]);
});

demoTest("the palette and the person's menu, open", async ({ page, open, signedIn }) => {
  await signedIn();
  await open(keys);
  await page.keyboard.press("Control+k");
  await expect(page.locator("[data-kind=keys] [role=option]").first()).toBeVisible();
  await examine(page, "#palette");
  await page.keyboard.press("Escape");
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.getByRole("button", { name: /@northwind\.example/ }).click();
  await expect(page.locator("#user-menu")).toBeVisible();
  await examine(page, "#user-menu");
});

demoTest("people: the list, inviting, a link, one person, removing, leaving", async ({ page, open, otherPage, signedIn, server, expectFailures }) => {
  demoTest.setTimeout(120_000);
  expectFailures("404 GET /invite/");
  const people = "/northwind-labs/members";
  await signedIn();
  await open(`${people}/invite`);
  await examine(page);
  await page.getByLabel("Email").fill(`${unique("axe")}@example.org`);
  await page.getByRole("button", { name: "Invite", exact: true }).click();
  await page.waitForURL(/\/issued$/);
  await listening(page);
  const link = (await page.locator("#secret").textContent()) ?? "";
  await examine(page);
  await open(people);
  await expect(page.getByRole("heading", { name: "Open invitations" })).toBeVisible();
  await examine(page);
  const guest = await otherPage();
  await guest.goto(link);
  await examine(guest);
  await guest.goto(`${server.url}/invite/dead`);
  await examine(guest);
  await open(`${people}?q=priya`);
  await page.locator("tbody .row-link").first().click();
  await page.waitForURL(/\/per_/);
  const person = new URL(page.url()).pathname;
  await examine(page);
  await open(`${person}/remove`);
  await examine(page);
  await open("/northwind-labs/leave");
  await examine(page);
});

demoTest("the keys of somebody who left", async ({ page, open, signedIn }) => {
  demoTest.setTimeout(60_000);
  await signedIn();
  await open("/northwind-labs/members?q=kenji");
  await page.locator("tbody .row-link").first().click();
  await page.waitForURL(/\/per_/);
  const person = new URL(page.url()).pathname;
  await page.getByRole("button", { name: "Disable" }).click();
  await page.waitForURL(/\/keys$/);
  await page.getByRole("radio", { name: /^Revoke/ }).check();
  await examine(page);
  await open("/northwind-labs/members");
  await examine(page, ".notice.warn");
  await open(person);
  await page.getByRole("button", { name: "Enable" }).click();
  await expect(page.locator("h1 .badge")).toHaveText("Active");
});

freshTest("the account, and a second factor from set-up to its recovery codes", async ({ page, open, signedIn }) => {
  await signedIn();
  for (const path of ["/account", "/account/password", "/account/sessions", "/account/second-factor"]) {
    await page.setViewportSize({ width: 1440, height: 900 });
    await open(path);
    await examine(page);
  }
  await page.getByLabel("Your password").fill("violet tram kettle orbit");
  await page.getByRole("button", { name: "Set up 2FA" }).click();
  await expect(page.locator("svg.qr")).toBeVisible();
  await examine(page);
});
