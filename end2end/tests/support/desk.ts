// What every spec imports instead of @playwright/test:
//
//   import { test, expect } from "./support/desk";             a new, empty desk for each worker
//   import { freshTest as test, expect } from "./support/desk"; a new, empty desk for each test
//   import { demoTest as test, expect } from "./support/desk"; the demo's organisation
//
// A test fails when its pages log an error, throw, fail to load something, break the content policy, or when the server
// logs an error, unless the test announced it: expectFailures(/404 GET \/keys\/none/).
import { expect, test as base, type BrowserContext, type BrowserContextOptions, type Page, type Response } from "@playwright/test";
import { Desk, type Credentials } from "./server";

export { expect, Desk };
export type { Credentials };

/** What the set-up form is filled with. */
export const ana = { name: "Ana Ruiz", email: "ana@example.com", password: "violet tram kettle orbit", organisation: "Acme" };

type Pattern = string | RegExp;

/** Notes everything that goes wrong in the contexts it watches, each as one line of text. */
class Watch {
  private readonly problems: { line: string; url?: string }[] = [];
  private readonly announced: Pattern[] = [];
  private readonly offset: number;

  constructor(
    private readonly server: Desk,
    private readonly scripted: boolean,
  ) {
    this.offset = server.logSize();
  }

  expectFailures = (...patterns: Pattern[]): void => {
    this.announced.push(...patterns);
  };

  async follow(context: BrowserContext): Promise<void> {
    context.on("console", (message) => {
      if (message.type() === "error") this.problems.push({ line: `console error: ${message.text()}`, url: message.location().url });
    });
    context.on("weberror", (error) => {
      // A rejected promise of the browser's own has no stack, but a name and words.
      const { name, message, stack } = error.error();
      // Who leaves or resizes a page while it is still fading in cuts the browser's transition short ("Transition was
      // skipped", "Transition was aborted because …"). Nothing of ours waits for it.
      if (!stack && message.startsWith("Transition was ")) return;
      this.problems.push({ line: `page error: ${stack || `${name}: ${message}`}`, url: error.page()?.url() });
    });
    context.on("requestfailed", (request) => {
      const why = request.failure()?.errorText ?? "";
      // The browser gives up on what it was loading when the page is left, and when an answer becomes a download.
      if (why === "net::ERR_ABORTED") return;
      // With script switched off, Chromium calls every script that a page names refused.
      if (!this.scripted && why === "csp" && request.resourceType() === "script") return;
      this.problems.push({ line: `request failed: ${request.method()} ${this.path(request.url())} ${why}`, url: request.url() });
    });
    context.on("response", (response: Response) => {
      if (response.status() < 400) return;
      const line = `response: ${response.status()} ${response.request().method()} ${this.path(response.url())}`;
      this.problems.push({ line, url: response.url() });
    });
    // Runs only where JavaScript does; without it, the console and the server's /csp-report still tell.
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => {
        console.error(`csp: ${event.effectiveDirective} refused ${event.blockedURI || "inline"} at ${event.sourceFile}:${event.lineNumber}`);
      });
    });
  }

  /** The lines that nobody announced. */
  unexpected(): string[] {
    const known = (line: string) =>
      this.announced.some((pattern) => (typeof pattern === "string" ? line.includes(pattern) : pattern.test(line)));
    const answers = this.problems.filter(({ line }) => line.startsWith("response:") && known(line)).map(({ url }) => url);
    const lines = this.problems
      // Chromium says a second time in the console that an answer was 4xx: announced once is enough.
      .filter(({ line, url }) => !(line.startsWith("console error: Failed to load resource") && url && answers.includes(url)))
      .map(({ line }) => line);
    for (const line of this.server.log(this.offset).split("\n")) {
      if (/\bcsp\b|panicked at/i.test(line) || /\bERROR\b/.test(line)) lines.push(`server log: ${line.trim()}`);
    }
    return lines.filter((line) => !known(line));
  }

  private path(url: string): string {
    return url.startsWith(this.server.url) ? url.slice(this.server.url.length) : url;
  }
}

type Fixtures = {
  /** The server that this test's pages talk to. */
  server: Desk;
  /** Announces problems that are meant to happen, by a part of their line or a pattern. */
  expectFailures: (...patterns: Pattern[]) => void;
  /** Signs the page (this test's, unless given another) in as the owner; sets the desk up first when it is new. Returns the page, at "/". */
  signedIn: (page?: Page) => Promise<Page>;
  /** Signs in through the form, always; for tests that sign out, or are somebody else. */
  signIn: (page: Page, who: Credentials) => Promise<Page>;
  /** A page of its own browser context (another person, another device), watched like the test's own. */
  otherPage: (options?: BrowserContextOptions) => Promise<Page>;
  /** Goes to a path of the desk; where script runs, waits until it listens. */
  open: (path: string, page?: Page) => Promise<Response | null>;
  watch: Watch;
};
type WorkerFixtures = {
  desk: Desk;
  demoDesk: Desk;
};

/** Waits until the page's script listens: the island says so on the document. */
export async function listening(page: Page): Promise<void> {
  await page.locator("html[data-listens]").waitFor({ state: "attached" });
}

const signInButton = (page: Page) => page.getByRole("button", { name: "Sign in", exact: true });

async function fillSignIn(page: Page, who: Credentials): Promise<void> {
  const before = page.url();
  await page.getByLabel("Email").fill(who.email);
  await page.getByLabel("Password", { exact: true }).fill(who.password);
  await Promise.all([page.waitForURL((url) => url.href !== before), signInButton(page).click()]);
  await expect(signInButton(page)).toHaveCount(0);
}

export const test = base.extend<Fixtures, WorkerFixtures>({
  desk: [
    async ({}, use) => {
      const desk = await Desk.start();
      await use(desk);
      await desk.stop();
    },
    { scope: "worker", timeout: 180_000 },
  ],
  demoDesk: [
    async ({}, use) => {
      const desk = await Desk.start({ demo: true });
      await use(desk);
      await desk.stop();
    },
    { scope: "worker", timeout: 180_000 },
  ],
  server: async ({ desk }, use) => use(desk),
  baseURL: async ({ server }, use) => use(server.url),

  watch: [
    async ({ server, javaScriptEnabled }, use, testInfo) => {
      const watch = new Watch(server, javaScriptEnabled);
      const start = server.logSize();
      await use(watch);
      const lines = watch.unexpected();
      if (testInfo.status !== testInfo.expectedStatus || lines.length > 0) {
        await testInfo.attach("server.log", { body: server.log(start), contentType: "text/plain" });
      }
      expect(lines, "nothing may go wrong that the test did not announce with expectFailures").toEqual([]);
    },
    { auto: true },
  ],
  expectFailures: async ({ watch }, use) => use(watch.expectFailures),
  context: async ({ context, watch }, use) => {
    await watch.follow(context);
    await use(context);
  },
  otherPage: async ({ browser, watch, contextOptions, baseURL, javaScriptEnabled, locale, timezoneId, viewport }, use) => {
    const opened: BrowserContext[] = [];
    await use(async (options) => {
      const context = await browser.newContext({ ...contextOptions, baseURL, javaScriptEnabled, locale, timezoneId, viewport, ...options });
      opened.push(context);
      await watch.follow(context);
      return context.newPage();
    });
    for (const context of opened) await context.close();
  },

  open: async ({ server, page: own, javaScriptEnabled }, use) => {
    await use(async (path, page = own) => {
      const answer = await page.goto(server.url + path);
      if (javaScriptEnabled) await listening(page);
      return answer;
    });
  },
  signIn: async ({ server }, use) => {
    await use(async (page, who) => {
      await page.goto(`${server.url}/`);
      await fillSignIn(page, who);
      return page;
    });
  },
  signedIn: async ({ server, page: own }, use) => {
    await use(async (page = own) => {
      if (!server.owner) {
        await page.goto(server.url + (await server.setupPath()));
        await page.getByLabel("Name", { exact: true }).fill(ana.name);
        await page.getByLabel("Email").fill(ana.email);
        await page.getByLabel("Password", { exact: true }).fill(ana.password);
        await page.getByLabel("Organisation", { exact: true }).fill(ana.organisation);
        await Promise.all([
          page.waitForURL((url) => !url.pathname.startsWith("/setup/")),
          page.getByRole("button", { name: "Create organisation", exact: true }).click(),
        ]);
        server.owner = { email: ana.email, password: ana.password };
      } else if (server.cookies) {
        await page.context().addCookies(server.cookies);
      }
      await page.goto(`${server.url}/`);
      if (await signInButton(page).isVisible()) {
        await fillSignIn(page, server.owner);
        await page.goto(`${server.url}/`);
      }
      server.cookies = await page.context().cookies();
      return page;
    });
  },
});

/** A desk of its own for each test, that nobody has set up yet. */
export const freshTest = test.extend({
  server: async ({}, use) => {
    const desk = await Desk.start();
    await use(desk);
    await desk.stop();
  },
});

export const demoTest = test.extend({
  server: async ({ demoDesk }, use) => use(demoDesk),
});
