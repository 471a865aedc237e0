import type { Page } from "@playwright/test";
import { expect, freshTest as test } from "./support/desk";
import { mistake } from "./support/keys";
import { Provider } from "./support/provider";

const SECRET = "sk-proj-canary0123456789wxyz";

const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true });

test("a new operator goes from an empty installation to a provider's answer without leaving the browser", async ({ signedIn, page, open, server, request }) => {
  const provider = await Provider.start(SECRET);
  try {
    await signedIn();
    // The first steps are where there is nothing yet: on the overview and on the page of keys.
    await open("/acme");
    await expect(page.getByRole("heading", { name: "First steps" })).toBeVisible();
    await open("/acme/keys");
    await expect(page.getByRole("heading", { name: "First steps" })).toBeVisible();
    await page.locator(".steps").getByRole("link", { name: "Connect a provider" }).click();
    await page.waitForURL(`${server.url}/operator/providers`);
    await page.getByRole("link", { name: "Connect provider" }).click();
    await page.waitForURL(`${server.url}/operator/providers/new`);

    await expect(page.getByRole("link", { name: "Azure OpenAI" })).toBeVisible();
    await page.getByLabel("Base URL").fill(`${provider.origin}/api/paas/v4`);
    await button(page, "Check the address").click();
    await expect(page.locator("[data-request-url]")).toHaveText(`${provider.origin}/api/paas/v4/chat/completions`);
    expect(provider.arrived).toEqual([]);

    await page.getByLabel("Name", { exact: true }).fill("Far");
    await page.getByRole("radio", { name: "Stored here, encrypted" }).check();
    await page.locator("#secret").fill(SECRET);
    await Promise.all([page.waitForURL(/\/operator\/providers\/prov_/), button(page, "Save and test").click()]);
    await expect(page.getByRole("status")).toContainText("Far is connected: gpt-5-mini answered.");
    await expect(page.locator(".badge", { hasText: "Connected" })).toBeVisible();
    expect(await page.content()).not.toContain("canary");
    await expect(page.locator("main")).toContainText("…wxyz");
    expect(provider.arrived.map(({ target }) => target)).toEqual(["GET /api/paas/v4/models", "POST /api/paas/v4/chat/completions"]);

    // What it lists is ticked; what the catalogue does not have leads there.
    await expect(page.getByRole("checkbox", { name: "gpt-5-mini", exact: true })).toBeChecked();
    await expect(page.getByRole("checkbox", { name: "gpt-5", exact: true })).not.toBeChecked();
    await page.getByText("It lists 1 model that is not in the catalogue").click();
    await expect(page.getByRole("link", { name: "Add to the catalogue" })).toBeVisible();
    await Promise.all([page.waitForResponse(/\/operator\/providers\/prov_/), button(page, "Save models").click()]);
    await expect(page.getByRole("status")).toContainText("1 model added to Far");

    await open("/acme");
    await expect(page.locator(".step.done")).toContainText("Connect a provider");
    await open("/acme/keys/new");
    await page.getByLabel("Name", { exact: true }).fill("first");
    await Promise.all([page.waitForURL(/\/issued/), button(page, "Create key").click()]);
    const secret = ((await page.locator(".secret code").first().textContent()) ?? "").trim();
    const answer = await request.post(`${server.url}/v1/chat/completions`, {
      headers: { authorization: `Bearer ${secret}` },
      data: { model: "gpt-5-mini", messages: [{ role: "user", content: "Hi" }] },
    });
    expect(answer.status()).toBe(200);
    expect(await answer.text()).toContain("Hello from afar");
  } finally {
    await provider.stop();
  }
});

test("a provider whose key is refused is saved, not called connected, and mended by another key", async ({ signedIn, page, open }) => {
  const provider = await Provider.start(SECRET);
  try {
    await signedIn();
    const at = new URLSearchParams({ kind: "openai", url: provider.origin, name: "Far" });
    await open(`/operator/providers/new?${at}`);
    await page.getByRole("radio", { name: "Stored here, encrypted" }).check();
    await page.locator("#secret").fill("sk-proj-another0123456789abcd");
    await Promise.all([page.waitForURL(/\/operator\/providers\/prov_/), button(page, "Save and test").click()]);
    await expect(page.getByRole("alert")).toContainText("Far is saved, not usable yet. The provider rejected the API key.");
    await expect(page.locator(".badge", { hasText: "Test failed" })).toBeVisible();
    expect(await page.content()).not.toContain("another0123456789");
    const own = new URL(page.url()).pathname;
    await open("/operator/models");
    await expect(page.locator("main")).toContainText("demo/echo");

    await open(own);
    await page.locator("#secret").fill(SECRET);
    await button(page, "Save connection").click();
    await expect(page.getByRole("status")).toContainText("Far is saved.");
    await expect(page.locator(".badge", { hasText: "Not tested" })).toBeVisible();
    await button(page, "Test connection").click();
    await expect(page.getByRole("status")).toContainText("It is connected: gpt-5-mini answered.");

    // Another address is shown before it is saved.
    await page.getByRole("link", { name: "Change the address" }).click();
    await page.getByLabel("Base URL").fill(`${provider.origin}/llm`);
    await page.getByLabel("Add no version to this URL").check();
    await button(page, "Check the address").click();
    await expect(page.locator("[data-request-url]")).toHaveText(`${provider.origin}/llm/chat/completions`);
    await button(page, "Save connection").click();
    await expect(page.getByRole("status")).toContainText(`New requests go to ${provider.origin}/llm.`);
  } finally {
    await provider.stop();
  }
});

test("an address that is not understood is told beside its field, and a masked key too", async ({ signedIn, page, open, expectFailures }) => {
  expectFailures("422 POST /api/providers/add");
  await signedIn();
  await open("/operator/providers/new");
  await page.getByLabel("Base URL").fill("http://169.254.169.254/latest");
  await button(page, "Check the address").click();
  await expect(mistake(page, "url")).toContainText("link-local address");
  await page.getByRole("link", { name: "OpenAI", exact: true }).click();
  await expect(page.locator("[data-request-url]")).toHaveText("https://api.openai.com/v1/chat/completions");
  await page.locator("#secret").fill("sk-…wxyz");
  await button(page, "Save and test").click();
  await expect(mistake(page, "secret")).toContainText("masked");
  await expect(page.getByLabel("Name", { exact: true })).toHaveValue("OpenAI");
});
