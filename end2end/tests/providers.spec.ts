import type { Page } from "@playwright/test";
import { freshTest as test, expect } from "./support/desk";
import { mistake } from "./support/keys";

// The desk that a test starts inherits it; the other variable is set nowhere.
process.env.ACME_TESTS_API_KEY = "sk-proj-nobody-may-read-this-anywhere";

const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true });

/** At a port where nothing listens, so that the test of the connection ends at once. */
const NOWHERE = "http://127.0.0.1:9";

async function connect(page: Page, open: (path: string) => Promise<unknown>, name: string, variable: string): Promise<void> {
  await open(`/operator/providers/new?${new URLSearchParams({ kind: "openai", url: NOWHERE })}`);
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByRole("radio", { name: "In an environment variable" }).check();
  await page.getByLabel("Credential variable").fill(variable);
  await Promise.all([page.waitForURL(/\/operator\/providers\/prov_/), button(page, "Save and test").click()]);
}

/** Headers, timeouts and what else few providers need. */
const more = (page: Page) => page.getByText("Headers, timeouts and what it does not take").click();

test("the operator connects a provider, routes models to it and retires it", async ({ signedIn, page, open, server, expectFailures }) => {
  expectFailures("422 POST /api/providers/add");
  await signedIn();
  await open("/operator");
  await page.getByRole("link", { name: "Models", exact: true }).click();
  await page.waitForURL(`${server.url}/operator/models`);
  await expect(page.locator(".rail [aria-current]")).toHaveText("Models");
  await expect(page.locator("main")).toContainText("demo/echo");
  await page.getByRole("link", { name: "Providers", exact: true }).click();
  await page.waitForURL(`${server.url}/operator/providers`);
  await expect(page.getByRole("heading", { name: "No providers yet" })).toBeVisible();
  await page.getByRole("link", { name: "Connect provider" }).click();
  await page.waitForURL(`${server.url}/operator/providers/new`);

  await page.getByLabel("Base URL").fill(`${NOWHERE}/v1/`);
  await button(page, "Check the address").click();
  await expect(page.locator("[data-request-url]")).toHaveText(`${NOWHERE}/v1/chat/completions`);
  await page.getByLabel("Name", { exact: true }).fill("OpenAI");
  await page.getByRole("radio", { name: "In an environment variable" }).check();
  await page.getByLabel("Credential variable").fill("PATH");
  await more(page);
  await page.getByLabel(/^Idle timeout/).fill("1h");
  await button(page, "Save and test").click();
  await expect(mistake(page, "credential_env")).toContainText("_API_KEY at the end");
  await expect(mistake(page, "idle")).toContainText("from 1 to 600");
  await expect(page.getByLabel("Name", { exact: true })).toHaveValue("OpenAI");
  await page.getByLabel("Credential variable").fill("ACME_TESTS_API_KEY");
  await page.getByLabel(/^Idle timeout/).fill("90");
  await Promise.all([page.waitForURL(/\/operator\/providers\/prov_/), button(page, "Save and test").click()]);
  await expect(page.getByRole("alert")).toContainText("OpenAI is saved, not usable yet. No connection could be made");
  await expect(page.locator("[data-request-url]")).toHaveText(`${NOWHERE}/v1/chat/completions`);
  await expect(page.getByLabel("When a client leaves")).toHaveValue("read_on");
  await expect(page.locator("main .badge", { hasText: "Set" })).toBeVisible();

  await page.getByRole("checkbox", { name: "gpt-5", exact: true }).check();
  await page.getByRole("checkbox", { name: "gpt-5-mini", exact: true }).check();
  const own = page.url();
  await Promise.all([page.waitForResponse(/\/operator\/providers\/prov_/), button(page, "Save models").click()]);
  await expect(page.getByRole("status")).toContainText("2 models added to OpenAI");
  await expect(page.getByRole("checkbox", { name: "gpt-5", exact: true })).toBeChecked();
  await page.getByRole("checkbox", { name: "gpt-5", exact: true }).uncheck();
  await Promise.all([page.waitForResponse(/\/operator\/providers\/prov_/), button(page, "Save models").click()]);
  await expect(page.getByRole("status")).toContainText("1 model removed from OpenAI");

  await open("/operator/providers");
  const row = page.locator("tbody tr");
  await expect(row).toHaveCount(1);
  await expect(row).toContainText("ACME_TESTS_API_KEY");
  await expect(row.locator(".badge")).toHaveText(["Test failed", "Set"]);
  expect(await page.content()).not.toContain("nobody-may-read-this");
  await open("/operator/models?served=yes");
  await expect(page.locator("tbody tr")).toHaveCount(1);
  await page.getByRole("link", { name: "OpenAI", exact: true }).click();
  await page.waitForURL(own);

  await page.getByRole("link", { name: "Retire provider" }).click();
  await page.waitForURL(`${own}/retire`);
  await expect(page.locator("main")).toContainText("gpt-5-mini is no longer served");
  await Promise.all([page.waitForURL(`${server.url}/operator/providers`), button(page, "Retire provider").click()]);
  await expect(page.getByRole("status")).toContainText("OpenAI is retired. gpt-5-mini is no longer served.");
  await expect(page.getByRole("heading", { name: "No providers yet" })).toBeVisible();
});

test("a variable that is not set is said, on the list and on the provider's page", async ({ signedIn, page, open }) => {
  await signedIn();
  await connect(page, open, "Anthropic", "NOBODY_SETS_THIS_API_KEY");
  await expect(page.locator("main")).toContainText("NOBODY_SETS_THIS_API_KEY is not set.");
  await open("/operator/providers");
  await expect(page.locator("tbody .badge")).toHaveText(["Test failed", "Not set"]);
});

test("a model is added, found, sorted, edited and retired", async ({ signedIn, page, open, server, expectFailures }) => {
  expectFailures("422 POST /api/models/add");
  await signedIn();
  await connect(page, open, "Fireworks", "ACME_TESTS_API_KEY");
  await open("/operator/models");
  await page.getByRole("link", { name: "Add model" }).click();
  await page.waitForURL(`${server.url}/operator/models/new`);
  await page.getByLabel("Model", { exact: true }).fill("meta/llama-4");
  await page.getByLabel("Vendor").fill("Meta");
  await page.getByLabel("Provider", { exact: true }).selectOption({ label: "Fireworks (OpenAI protocol)" });
  await page.getByLabel("Name at the provider").fill("accounts/x/llama-4");
  await page.getByLabel("Input", { exact: true }).fill("0.125");
  await page.getByLabel("Output", { exact: true }).fill("1,5");
  await page.getByLabel("Cached input").fill("0");
  await button(page, "Add model").click();
  await expect(mistake(page, "output")).toContainText("can be read in two ways");
  await page.getByLabel("Output", { exact: true }).fill("1.5");
  await Promise.all([page.waitForURL(`${server.url}/operator/models`), button(page, "Add model").click()]);
  await expect(page.getByRole("status")).toContainText("meta/llama-4 is in the catalogue.");

  await page.getByRole("searchbox", { name: "Search models" }).fill("LLAMA");
  await page.getByRole("searchbox", { name: "Search models" }).press("Enter");
  await page.waitForURL(/\?q=LLAMA/);
  const row = page.locator("tbody tr");
  await expect(row).toHaveCount(1);
  await expect(row).toContainText("$0.125");
  await expect(row).toContainText("Fireworks");
  await open("/operator/models?sort=output&dir=desc");
  await expect(page.locator("tbody tr th a").first()).toHaveText(/^gpt-5\.[45]-pro$/);
  await page.getByRole("link", { name: "Not served" }).click();
  await page.waitForURL(/served=no/);
  await expect(page.locator("tbody")).not.toContainText("meta/llama-4");

  await open("/operator/models?q=llama");
  await page.getByRole("link", { name: "meta/llama-4" }).click();
  await page.waitForURL(/\/operator\/models\/show\?id=meta%2Fllama-4/);
  await page.getByRole("link", { name: "Edit model" }).click();
  await page.waitForURL(/\/operator\/models\/edit\?id=meta%2Fllama-4/);
  await page.getByLabel("Provider", { exact: true }).selectOption({ label: "Not served" });
  await Promise.all([page.waitForURL(/\/operator\/models\/show/), button(page, "Save model").click()]);
  await expect(page.getByRole("status")).toContainText("meta/llama-4 is saved.");
  await open("/operator/models/edit?id=meta%2Fllama-4");
  await expect(page.getByLabel("Provider", { exact: true }).locator("option:checked")).toHaveText("Not served");
  await page.getByRole("link", { name: "Retire model" }).click();
  await page.waitForURL(/\/operator\/models\/retire/);
  await Promise.all([page.waitForURL(`${server.url}/operator/models`), button(page, "Retire model").click()]);
  await expect(page.getByRole("status")).toContainText("meta/llama-4 is retired.");
});

test("of two who edit a provider the second sees both values and loses nothing", async ({ signedIn, otherPage, page, open, expectFailures }) => {
  expectFailures("409 POST /api/providers/save");
  await signedIn();
  await connect(page, open, "OpenAI", "ACME_TESTS_API_KEY");
  const path = new URL(page.url()).pathname;
  await open(path);
  const other = await signedIn(await otherPage());
  await open(path, other);
  await more(other);
  await other.getByLabel(/Connect timeout/).fill("7");
  await button(other, "Save connection").click();
  await expect(other.getByRole("status")).toContainText("OpenAI is saved.");
  await more(page);
  await page.getByLabel(/Connect timeout/).fill("9");
  await page.getByLabel("Name", { exact: true }).fill("OpenAI EU");
  await button(page, "Save connection").click();
  await expect(page.getByRole("alert").first()).toContainText("This provider was changed while you were editing.");
  await expect(mistake(page, "connect")).toContainText("Now: 7 seconds. You entered: 9 seconds.");
  await expect(page.getByLabel("Name", { exact: true })).toHaveValue("OpenAI EU");
  await button(page, "Save connection").click();
  await expect(page.getByRole("status")).toContainText("OpenAI EU is saved.");
});

test("a model is served by several providers with weights", async ({ signedIn, page, open, expectFailures }) => {
  expectFailures("422 POST /api/models/save");
  await signedIn();
  await connect(page, open, "Alpha", "ACME_TESTS_API_KEY");
  await expect(page.locator("main")).toContainText("No request was sent to it yet.");
  await connect(page, open, "Beta", "ACME_TESTS_API_KEY");
  const beta = new URL(page.url()).pathname;
  await open("/operator/models/edit?id=gpt-5");
  await page.getByLabel("Provider", { exact: true }).selectOption({ label: "Alpha (OpenAI protocol)" });
  await page.getByText("Further providers", { exact: true }).click();
  await page.getByLabel("Weight of Beta").fill("many");
  await page.getByLabel("Name at Beta").fill("gpt-5-eu");
  await button(page, "Save model").click();
  await expect(mistake(page, "further")).toContainText("whole number from 0 to 100");
  await expect(page.getByLabel("Name at Beta")).toHaveValue("gpt-5-eu");
  await page.getByLabel("Weight of Beta").fill("3");
  await Promise.all([page.waitForURL(/\/operator\/models\/show/), button(page, "Save model").click()]);
  const served = page.locator("main dl.facts li");
  await expect(served).toHaveText([/Alpha\s*, weight 1/, /Beta\s*, weight 3, as gpt-5-eu/]);
  await open("/operator/models?q=gpt-5&served=yes");
  await expect(page.locator("tbody tr").first()).toContainText("and 1 other");
  await open(beta);
  await expect(page.locator("main")).toContainText("gpt-5, weight 3 beside Alpha with 1");
  // The form shows what is saved, and a row without a weight takes the provider away.
  await open("/operator/models/edit?id=gpt-5");
  await expect(page.getByLabel("Weight of Beta")).toHaveValue("3");
  await page.getByLabel("Weight of Beta").fill("");
  await page.getByLabel("Name at Beta").fill("");
  await Promise.all([page.waitForURL(/\/operator\/models\/show/), button(page, "Save model").click()]);
  await expect(served).toHaveCount(0);
});
