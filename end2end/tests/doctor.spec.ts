import type { Page } from "@playwright/test";
import { expect, test } from "./support/desk";
import { createKey, openActs, unique } from "./support/keys";

const explain = (page: Page) => page.getByRole("button", { name: "Explain", exact: true }).click();
const gate = (page: Page, words: string) => page.locator("#gates > li").filter({ hasText: words });

/** Asks about a secret or about headers, for demo/echo. */
async function ask(page: Page, what: { secret?: string; raw?: string }): Promise<void> {
  if (what.secret) await page.locator("#secret").fill(what.secret);
  if (what.raw) await page.locator("#raw").fill(what.raw);
  await page.locator("#model").fill("demo/echo");
  await explain(page);
  await page.locator("#verdict").waitFor();
}

test("each malformed input has its cause", async ({ signedIn, page, open }) => {
  await signedIn();
  const key = await createKey(page, "acme", unique("doctor"));
  const s = key.secret;
  const inputs: [{ secret?: string; raw?: string }, string][] = [
    [{ secret: s.slice(0, 30) }, "cut off: it has 30 of"],
    [{ secret: `sk-…${s.slice(-4)}` }, "is masked"],
    [{ secret: `${s.slice(0, 12)}********` }, "is masked"],
    [{ secret: `${s.slice(0, 20)} ${s.slice(20)}` }, "white space"],
    [{ secret: `"${s}"` }, "quotation marks"],
    [{ secret: `Bearer ${s}` }, "starts with the word Bearer"],
    [{ secret: "sk-ant-api03-abcdefghijklmnopqrstuvwxyz" }, "a key of Anthropic"],
    [{ secret: "sk-proj-abcdefghijklmnopqrstuvwxyz01" }, "a key of OpenAI"],
    [{ secret: "AIzaSyA0123456789abcdefghijklmnopqrstuv" }, "a key of Google"],
    [{ raw: s }, "not the word Bearer before it"],
    [{ raw: `Authorization: Bearer Bearer ${s}` }, "starts with the word Bearer"],
    [{ raw: `Authorization: Bearer  ${s}` }, "white space"],
  ];
  for (const [input, words] of inputs) {
    await open("/acme/doctor");
    await ask(page, input);
    await expect(page.locator("#causes")).toContainText(words);
    expect(page.url()).not.toContain(s.slice(8));
    expect(await page.content()).not.toContain(s.slice(8, 40));
    await expect(page.getByRole("region", { name: "Answer" })).toContainText("HTTP 401");
  }
});

test("a key is picked, and its cause has a button", async ({ signedIn, page, open, server }) => {
  await signedIn();
  const key = await createKey(page, "acme", unique("picked"));
  await open(key.path);
  await page.getByRole("link", { name: "Explain a failing request" }).click();
  await page.waitForURL(/\/acme\/doctor\?key=key_/);
  await page.locator("#model").fill("demo/ecko");
  await explain(page);
  await expect(page.locator("#causes")).toContainText("Set the model to demo/echo.");
  await expect(gate(page, "The model is allowed")).toContainText("Failed");
  await expect(gate(page, "Rate limits")).toContainText("Not reached");
  await expect(gate(page, "One key was sent")).toContainText("Not checked");

  await open(key.path);
  await openActs(page);
  await page.getByRole("button", { name: "Disable" }).click();
  await expect(page.getByRole("button", { name: "Enable" })).toBeVisible();
  const id = key.path.split("/").pop();
  await open(`/acme/doctor?key=${id}&model=demo%2Fecho`);
  await expect(page.getByRole("region", { name: "Answer" })).toContainText("x-keydesk-rejected-by: live");
  await page.getByRole("button", { name: "Enable key" }).click();
  await page.waitForURL((url) => url.pathname === key.path);
  await open(`/acme/doctor?key=${id}&model=demo%2Fecho`);
  await expect(page.locator("#verdict")).toContainText("The gateway passes this request on");

  // What stops elsewhere is named too.
  await open(`/acme/doctor?key=${id}&model=demo%2Fecho&base=${encodeURIComponent(`${server.url}/v1/v1`)}&origin=https%3A%2F%2Fapp.example.com`);
  await expect(page.locator("#causes")).toContainText("The version is in the path twice");
  await expect(page.locator("#causes")).toContainText("A browser sends this request");
});

test("a rejection's link explains its gate", async ({ signedIn, page, open }) => {
  await signedIn();
  await open("/doctor?gate=model");
  await page.waitForURL(/\/acme\/doctor\?gate=model$/);
  await expect(page.getByRole("alert")).toContainText("gate 6");
});
