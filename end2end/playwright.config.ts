import { defineConfig, devices } from "@playwright/test";
import { existsSync } from "node:fs";
import { chromiumArguments } from "./tests/support/chromium";

const chromium =
  process.env.KEYDESK_CHROMIUM ??
  ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome-stable", "/usr/bin/google-chrome"].find((path) =>
    existsSync(path),
  );
if (!chromium) throw new Error("there is no Chromium: install one, or set KEYDESK_CHROMIUM to its path");

export default defineConfig({
  testDir: "tests",
  forbidOnly: !!process.env.CI,
  fullyParallel: false,
  retries: 0,
  workers: 2,
  timeout: 60_000,
  expect: { timeout: 5_000 },
  reporter: [["list"]],
  use: {
    ...devices["Desktop Chrome"],
    locale: "en-GB",
    timezoneId: "UTC",
    actionTimeout: 10_000,
    navigationTimeout: 15_000,
    screenshot: "only-on-failure",
    trace: "off",
    launchOptions: { executablePath: chromium, args: chromiumArguments },
  },
  // Every spec runs twice: with JavaScript, and without.
  projects: [
    { name: "script", use: { javaScriptEnabled: true } },
    {
      name: "plain",
      testIgnore: ["**/*.js-only.spec.ts", "**/access.spec.ts", "**/first-visit.spec.ts"],
      use: { javaScriptEnabled: false },
    },
  ],
});
