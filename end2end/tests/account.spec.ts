// One's own account: name, password, sessions, and the second factor from set-up to signing in with it.
import type { Page } from "@playwright/test";
import { createHmac } from "node:crypto";
import { ana, expect, freshTest as test } from "./support/desk";
import { mistake } from "./support/keys";

/** What an authenticator app shows for the secret now, or some steps of 30 seconds later. */
function codeOf(secret: string, later = 0): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  let bits = "";
  for (const letter of secret.replace(/\s/g, "")) bits += alphabet.indexOf(letter).toString(2).padStart(5, "0");
  const bytes = bits.match(/.{8}/g) ?? [];
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + later));
  const hash = createHmac("sha1", Buffer.from(bytes.map((byte) => parseInt(byte, 2)))).update(counter).digest();
  const at = (hash.at(-1) ?? 0) & 15;
  return String((hash.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

async function password(page: Page, email: string, words: string): Promise<void> {
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password", { exact: true }).fill(words);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

/** Ends on the page with the new recovery codes. */
async function turnOn(page: Page): Promise<{ secret: string; codes: string[] }> {
  await page.getByLabel("Your password").fill(ana.password);
  await page.getByRole("button", { name: "Set up 2FA" }).click();
  await expect(page.locator("svg.qr")).toBeVisible();
  const secret = (await page.locator("#secret").textContent()) ?? "";
  expect(secret.replace(/\s/g, "")).toMatch(/^[A-Z2-7]{32}$/);
  await page.getByRole("textbox", { name: "Code from the app" }).fill(codeOf(secret));
  await page.getByRole("button", { name: "Turn on 2FA" }).click();
  await page.waitForURL(/\/account\/second-factor\/codes$/);
  const codes = ((await page.locator("#codes").textContent()) ?? "").split("\n");
  expect(codes).toHaveLength(10);
  return { secret, codes };
}

test("the name changes everywhere, and an empty one is refused beside its field", async ({ signedIn, page, open, expectFailures }) => {
  expectFailures("422 POST /api/account/rename");
  await signedIn();
  await open("/account");
  const name = page.getByLabel("Name", { exact: true });
  await name.fill("   ");
  await page.getByRole("button", { name: "Save name" }).click();
  await expect(mistake(page, "name")).toContainText("Name is empty");
  await name.fill("Ana Maria Ruiz");
  await page.getByRole("button", { name: "Save name" }).click();
  await expect(page.getByRole("status")).toHaveText("Your name is saved.");
  await expect(page.getByRole("button", { name: /Ana Maria Ruiz/ })).toBeVisible();
});

test("a new password ends the other sessions and keeps this one", async ({ signedIn, signIn, page, open, otherPage, server, expectFailures }) => {
  expectFailures("422 POST /api/account/password");
  await signedIn();
  const elsewhere = await signIn(await otherPage(), ana);
  await open("/account/password");
  const words = "copper lantern seven rivers";
  const change = async (current: string, next: string) => {
    await page.getByLabel("Current password").fill(current);
    await page.getByLabel("New password").fill(next);
    await page.getByRole("button", { name: "Change password" }).click();
  };
  await change(ana.password, "passwordpassword");
  await expect(mistake(page, "password")).toContainText("on lists that attackers try first");
  await change("not the present one", words);
  await expect(mistake(page, "current")).toHaveText("This is not your password.");
  await change(ana.password, words);
  await page.waitForURL(/\/account$/);
  await expect(page.getByRole("status")).toContainText("Your password is changed");
  await elsewhere.goto(`${server.url}/account`);
  await expect(elsewhere).toHaveURL(/\/sign-in\?next=/);
  await password(elsewhere, ana.email, words);
  await expect(elsewhere.getByRole("heading", { name: "Account" })).toBeVisible();
});

test("a session of another device is seen and ended", async ({ signedIn, signIn, page, open, otherPage, server }) => {
  await signedIn();
  const phone = await signIn(
    await otherPage({ userAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1" }),
    ana,
  );
  await open("/account/sessions");
  await expect(page.getByText("This session", { exact: true })).toHaveCount(1);
  await page.getByRole("button", { name: /End session of Safari on iPhone/ }).click();
  await expect(page.getByRole("status")).toHaveText("The session of Safari on iPhone is ended.");
  await expect(page.getByRole("heading", { name: "Safari on iPhone" })).toHaveCount(0);
  await phone.goto(`${server.url}/account`);
  await expect(phone).toHaveURL(/\/sign-in\?next=/);
  await signIn(phone, ana);
  await open("/account/sessions");
  await page.getByRole("button", { name: "End all other sessions" }).click();
  await expect(page.getByRole("status")).toHaveText("Your other session is ended.");
  await phone.goto(`${server.url}/account`);
  await expect(phone).toHaveURL(/\/sign-in\?next=/);
});

test("a second factor from set-up to signing in with a code, then with a recovery code", async ({ signedIn, page, open, otherPage, server, expectFailures }) => {
  expectFailures("422 POST /api/session/code", "422 POST /api/second-factor/");
  await signedIn();
  await open("/account/second-factor");
  const { secret, codes } = await turnOn(page);
  await page.reload();
  await expect(page.locator("#codes")).toHaveCount(0);

  // Password alone opens nothing.
  const other = await otherPage();
  await other.goto(`${server.url}/sign-in?next=/account`);
  await password(other, ana.email, ana.password);
  await expect(other).toHaveURL(/\/sign-in\/code$/);
  await other.goto(`${server.url}/account`);
  await expect(other).toHaveURL(/\/sign-in\?next=/);
  await open("/sign-in/code", other);
  await other.getByLabel("Code from your device").fill("000000");
  await other.getByRole("button", { name: "Sign in", exact: true }).click();
  await expect(mistake(other, "code")).toContainText("wrong, too old, or was used before");
  // The step after the one that turned it on.
  await other.getByLabel("Code from your device").fill(codeOf(secret, 1));
  await other.getByRole("button", { name: "Sign in", exact: true }).click();
  await expect(other.getByRole("heading", { name: "Account" })).toBeVisible();

  const third = await otherPage();
  await third.goto(`${server.url}/sign-in?next=/account`);
  await password(third, ana.email, ana.password);
  await third.waitForURL(/\/sign-in\/code$/);
  await third.getByText("Use a recovery code").click();
  await third.getByLabel("Recovery code").fill(codes[0] ?? "");
  await third.getByRole("button", { name: "Sign in with recovery code" }).click();
  await expect(third.getByText("You signed in with a recovery code. 9 are left.")).toBeVisible();

  await open("/account/second-factor");
  await page.getByLabel("Your password").fill(ana.password);
  await page.getByLabel("Code from your device").fill(codes[0] ?? "");
  await page.getByRole("button", { name: "Turn off 2FA" }).click();
  await expect(mistake(page, "code")).toContainText("used before");
  await page.getByLabel("Your password").fill(ana.password);
  await page.getByLabel("Code from your device").fill(codes[1] ?? "");
  await page.getByRole("button", { name: "Turn off 2FA" }).click();
  await page.waitForURL(/\/account$/);
  await expect(page.getByRole("status")).toContainText("Two-factor authentication is off");
  expect(server.log()).not.toContain(codes[0]);
});
