// Steps that several specs take with keys, through the pages, and what programs ask with a key.
import { expect, type Locator, type Page } from "@playwright/test";

export type MadeKey = { name: string; id: string; path: string; secret: string };

let count = 0;
/** A name that no other test's key has, whichever tests share a desk. */
export function unique(base: string): string {
  count += 1;
  return `${base}-${process.pid.toString(36)}${Date.now().toString(36)}${count}`;
}

/** Fills in the form's name and creates the key; ends on the page that shows the secret. */
export async function createKey(page: Page, org: string, name: string, fill?: (page: Page) => Promise<void>): Promise<MadeKey> {
  await page.goto(new URL(`/${org}/keys/new`, page.url()).href);
  await page.getByLabel("Name", { exact: true }).fill(name);
  await fill?.(page);
  await page.getByRole("button", { name: "Create key" }).click();
  await page.waitForURL(/\/issued$/);
  const secret = (await page.locator("#secret").textContent()) ?? "";
  expect(secret).toMatch(/^sk-[a-z-]+-[0-9A-Za-z]{38}$/);
  const path = new URL(page.url()).pathname.replace(/\/issued$/, "");
  return { name, id: path.split("/").at(-1) ?? "", path, secret };
}

/** Opens "Limits and restrictions" in the form of a key, where it is closed. */
export async function unfold(page: Page): Promise<void> {
  const closed = page.locator("details.folded:not([open]) > summary");
  if (await closed.count()) await closed.click();
}

/** Opens the menu of a thing's further acts: of the page's, or of the one with this name. */
export const openActs = (page: Page, of = ""): Promise<void> =>
  page.getByRole("button", { name: `More actions for ${of}` }).click();

/** Sets the pair "No limit" or a value of a form, as a person does with script and without. */
export async function setLimit(page: Page, legend: string, value: string | undefined): Promise<void> {
  await unfold(page);
  const group = limitOf(page, legend);
  const field = group.locator(".affix input");
  if (value === undefined) {
    await group.getByLabel("No limit", { exact: true }).check();
  } else {
    await group.getByLabel("Limit", { exact: true }).check();
    await field.fill(value);
  }
}

export const limitOf = (page: Page, legend: string): Locator => page.getByRole("group", { name: legend, exact: true });

/** The sentence beside a field. */
export const mistake = (page: Page, field: string): Locator => page.locator(`[data-field="${field}"] > .error`);

/** The row of the list with that name. */
export const row = (page: Page, name: string): Locator =>
  page.locator("tbody tr").filter({ has: page.getByRole("link", { name, exact: true }) });

export const rowNames = async (page: Page): Promise<string[]> =>
  (await page.locator("tbody .row-link").allTextContents()).map((name) => name.trim());

export async function search(page: Page, text: string): Promise<void> {
  const box = page.getByRole("searchbox", { name: "Search keys" });
  await box.fill(text);
  const answered = page.waitForResponse((response) => response.url().endsWith("/api/keys/search"));
  await box.press("Enter");
  await answered;
  await page.waitForLoadState();
}

export type Answer = { status: number; body: any };

/** Asks as a program does: no cookie, no browser. */
export async function ask(url: string, headers: Record<string, string> = {}): Promise<Answer> {
  const answer = await fetch(url, { headers, redirect: "manual" });
  return { status: answer.status, body: await answer.json() };
}

/** The list of models as each of the three protocols asks for it. */
export const asOpenAi = (base: string, key: string) => ask(`${base}/v1/models`, { authorization: `Bearer ${key}` });
export const asAnthropic = (base: string, key: string) =>
  ask(`${base}/v1/models`, { "x-api-key": key, "anthropic-version": "2023-06-01" });
export const asGemini = (base: string, key: string) => ask(`${base}/v1beta/models`, { "x-goog-api-key": key });
