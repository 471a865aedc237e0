import type { Page } from "@playwright/test";
import { ana, expect, test } from "./support/desk";
import { asAnthropic, asGemini, ask, asOpenAi, createKey, limitOf, mistake, openActs, row, rowNames, search, setLimit, unfold, unique } from "./support/keys";

const facts = (page: Page) => page.getByRole("complementary", { name: "About this key" });
const fact = (page: Page, label: string) =>
  facts(page).locator("dl > div").filter({ has: page.getByText(label, { exact: true }) }).locator("dd");
const tile = (page: Page, label: string) =>
  page.locator(".tiles > div").filter({ has: page.getByText(label, { exact: true }) }).locator("dd");
const state = (page: Page) => page.locator("h1 .badge");
const history = (page: Page) => page.locator(".card", { has: page.getByRole("heading", { name: "History" }) });
const save = (page: Page) => page.getByRole("button", { name: "Save changes" }).click();

const snippets = ["curl", "Python OpenAI", "Node OpenAI", "Python Anthropic", "Node Anthropic", "Python Google", ".env", "Python stream", "Claude Code", "Codex", "Cursor", "Open WebUI"];

test("a key is created with a name alone, and its secret is shown once", async ({ signedIn, page, server }) => {
  await signedIn();
  const name = unique("first");
  await page.goto(`${server.url}/acme/keys`);
  // Where there is no key yet, the first steps have one, too.
  await page.getByRole("link", { name: "Create key" }).first().click();
  await page.waitForURL(`${server.url}/acme/keys/new`);
  await expect(page.locator(".summary")).toContainText("$50 a month");
  const addresses: string[] = [];
  page.context().on("request", (request) => addresses.push(request.url()));
  const key = await createKey(page, "acme", name);
  const { secret } = key;

  await expect(page.getByRole("heading", { level: 1 })).toHaveText(`${name} is ready`);
  await expect(page.getByText("This is the only time it is shown.")).toBeVisible();
  for (const [at, label] of snippets.entries()) {
    await page.getByRole("radio", { name: label, exact: true }).check();
    const code = page.locator(`#snippet-${at}`);
    await expect(code).toBeVisible();
    await expect(code).toContainText(secret);
    await expect(code).toContainText(server.url);
    await expect(page.locator(".tab code:visible")).toHaveCount(1);
  }
  await expect(page.locator("#snippet-0")).toContainText(
    `curl ${server.url}/v1/chat/completions \\\n  -H "Authorization: Bearer ${secret}" \\\n`,
  );

  const hint = `sk-…${secret.slice(-4)}`;
  await page.reload();
  await expect(page.locator(".secret")).toHaveText(hint);
  expect(await page.content()).not.toContain(secret);
  await page.getByRole("link", { name: "Go to the key" }).click();
  await page.waitForURL(server.url + key.path);
  await expect(page.locator(".facts-line .hint")).toHaveText(hint);
  for (const path of [key.path, `${key.path}/edit`, `${key.path}/revoke`, `${key.path}/issued`, "/acme/keys"]) {
    await page.goto(server.url + path);
    expect(await page.content(), path).not.toContain(secret);
  }
  expect(addresses.filter((address) => address.includes(secret))).toEqual([]);
  expect(server.log()).not.toContain(secret);
});

test("Back to the page that showed a secret shows its last four", async ({ signedIn, page, server }) => {
  await signedIn();
  const key = await createKey(page, "acme", unique("back"));
  await page.getByRole("link", { name: "I have stored it" }).click();
  await page.waitForURL(server.url + key.path);
  await page.goBack();
  await expect(page).toHaveURL(/\/issued$/);
  await expect(page.locator(".secret")).toHaveText(`sk-…${key.secret.slice(-4)}`);
  expect(await page.content()).not.toContain(key.secret);
});

test("the key opens the gateway in each protocol, and its page tells its facts", async ({ signedIn, page, server, expectFailures }) => {
  expectFailures("422 POST /api/keys/");
  await signedIn();
  const key = await createKey(page, "acme", unique("facts"), async () => {
    await setLimit(page, "Requests", "90");
    await page.getByLabel("Note").fill("For the tests");
  });

  const openai = await asOpenAi(server.url, key.secret);
  expect(openai.status).toBe(200);
  expect(openai.body.object).toBe("list");
  // No provider serves one yet, so the demonstration is all that it can ask, in any protocol.
  expect(openai.body.data.length).toBe(1);
  expect(openai.body.data[0]).toMatchObject({ object: "model", id: expect.any(String), owned_by: expect.any(String), created: expect.any(Number) });
  const model = openai.body.data[0].id;

  const anthropic = await asAnthropic(server.url, key.secret);
  expect(anthropic.status).toBe(200);
  expect(anthropic.body).toMatchObject({ has_more: false, first_id: model });
  expect(anthropic.body.data[0]).toMatchObject({ type: "model", id: model, display_name: expect.any(String), created_at: expect.any(String) });

  const gemini = await asGemini(server.url, key.secret);
  expect(gemini.status).toBe(200);
  expect(gemini.body.models[0]).toMatchObject({ name: `models/${model}` });
  expect(await ask(`${server.url}/v1beta/models?key=${key.secret}`)).toEqual(gemini);

  // A client whose base URL ends with a slash.
  expect(await asOpenAi(`${server.url}/`, key.secret)).toEqual(openai);
  expect(await ask(`${server.url}/v1/models/`, { authorization: `Bearer ${key.secret}` })).toEqual(openai);
  expect(server.log()).not.toContain(key.secret);

  await page.goto(server.url + key.path);
  await expect(state(page)).toHaveText("Active");
  await expect(page.locator(".facts-line")).toContainText("$50.00 of $50.00 left this month");
  await expect(fact(page, "Note")).toHaveText("For the tests");
  await expect(fact(page, "ID").locator("code")).toHaveText(key.id);
  await expect(fact(page, "Team")).toHaveText("No team");
  await expect(fact(page, "Owner")).toHaveText(ana.name);
  await expect(fact(page, "Created")).toContainText(` by ${ana.name}`);
  await expect(fact(page, "Models").locator("li")).toHaveCount(openai.body.data.length);
  await expect(fact(page, "IP addresses")).toHaveText("Any");
  await expect(tile(page, "Requests per minute")).toHaveText("90");
  await expect(tile(page, "Tokens per minute")).toHaveText("100,000");
  await expect(tile(page, "Concurrent requests")).toHaveText("8");
  await expect(history(page)).toContainText(`${ana.name} created the key`);
});

test("an edit changes what was changed, and the history says from what to what", async ({ signedIn, page, open, server }) => {
  await signedIn();
  const key = await createKey(page, "acme", unique("edit"));
  await open(`${key.path}/edit`);
  await setLimit(page, "Monthly budget", "75.5");
  await setLimit(page, "Tokens", "1.5m");
  await page.getByLabel("Note").fill("Now with a note");
  await save(page);
  await page.waitForURL(server.url + key.path);
  await expect(page.getByRole("status")).toHaveText(`Key ${key.name} saved.`);
  await expect(tile(page, "Tokens per minute")).toHaveText("1,500,000");
  const edited = history(page).locator("li").first();
  await expect(edited).toContainText(`${ana.name} changed 3 fields of ${key.name}: note, budgets and tokens per minute.`);
  await expect(edited.locator(".sub")).toHaveText([
    "Note: from empty to Now with a note",
    /^Budgets: from \$50\.00 .*to \$75\.50 /,
    "Tokens per minute: from 100,000 to 1,500,000",
  ]);

  await open(`${key.path}/edit`);
  await save(page);
  await page.waitForURL(server.url + key.path);
  await expect(page.getByRole("status")).toHaveText("No changes to save.");
});

test("every limit goes to No limit and back", async ({ signedIn, page, open, server }) => {
  await signedIn();
  const key = await createKey(page, "acme", unique("limits"));
  const limits = [
    ["Monthly budget", "40", "40.00"],
    ["Daily budget", "5", "5.00"],
    ["Weekly budget", "20", "20.00"],
    ["Total budget", "100", "100.00"],
    ["Requests", "50", "50"],
    ["Tokens", "20k", "20,000"],
    ["Concurrent requests", "3", "3"],
  ] as const;
  for (const set of [true, false, true]) {
    await open(`${key.path}/edit`);
    await unfold(page);
    for (const [legend, value] of limits) await setLimit(page, legend, set ? value : undefined);
    await page.getByRole("radio", { name: set ? "30 days" : "Never", exact: true }).check();
    await save(page);
    await page.waitForURL(server.url + key.path);

    for (const [label, value] of [["Requests per minute", "50"], ["Tokens per minute", "20,000"], ["Concurrent requests", "3"]] as const) {
      await expect(tile(page, label)).toHaveText(set ? value : "No limit");
    }
    await expect(page.locator(".meters .meter")).toHaveCount(set ? 4 : 1);
    if (!set) {
      await expect(page.locator(".meters")).toContainText("No limit");
      await expect(page.locator(".facts-line")).toContainText("No budget applies, and it never expires.");
    }
    await open(`${key.path}/edit`);
    await unfold(page);
    for (const [legend, , shown] of limits) {
      const group = limitOf(page, legend);
      await expect(group.getByLabel("No limit", { exact: true })).toBeChecked({ checked: !set });
      if (set) expect((await group.locator(".affix input").inputValue()).replace(/\.00$/, "")).toBe(shown.replace(/\.00$/, ""));
    }
    await expect(page.getByRole("radio", { name: set ? "Keep" : "Never", exact: true })).toBeChecked();
  }
});

test("No limit is one choice, with nothing else to clear", async ({ signedIn, page, open, server }) => {
  await signedIn();
  const key = await createKey(page, "acme", unique("nolimit"));
  await open(`${key.path}/edit`);
  await unfold(page);
  await limitOf(page, "Requests").getByLabel("No limit", { exact: true }).check();
  await save(page);
  await page.waitForURL(server.url + key.path);
  await expect(tile(page, "Requests per minute")).toHaveText("No limit");
});

test("a disabled key is refused until it is enabled again", async ({ signedIn, page, open, server }) => {
  await signedIn();
  const key = await createKey(page, "acme", unique("switch"));
  expect((await asOpenAi(server.url, key.secret)).status).toBe(200);

  await open(key.path);
  await openActs(page);
  await page.getByRole("button", { name: "Disable" }).click();
  await expect(state(page)).toHaveText("Disabled");
  await expect(page.getByRole("status")).toHaveText(`Key ${key.name} disabled. Requests with it fail immediately.`);
  const refused = await asOpenAi(server.url, key.secret);
  expect(refused.status).toBe(401);
  expect(refused.body.error).toMatchObject({ code: "invalid_api_key", message: expect.stringContaining("was disabled") });

  await open(key.path);
  await page.getByRole("button", { name: "Enable" }).click();
  await expect(state(page)).toHaveText("Active");
  expect((await asOpenAi(server.url, key.secret)).status).toBe(200);
  await expect(history(page).locator(".words")).toHaveText(
    ["enabled", "disabled", "created"].map((did) => `${ana.name} ${did} the key ${key.name}.`),
  );
});

test("a key in use is revoked only by its name, and then for good in every protocol", async ({ signedIn, page, open, server, expectFailures }) => {
  expectFailures("422 POST /api/keys/revoke");
  await signedIn();
  const key = await createKey(page, "acme", unique("revoke"));
  expect((await asOpenAi(server.url, key.secret)).status).toBe(200);
  await expect(async () => {
    await page.goto(`${server.url}${key.path}`);
    await expect(fact(page, "Last used")).not.toHaveText("Never", { timeout: 100 });
  }).toPass({ intervals: [200], timeout: 10_000 });

  await openActs(page);
  await page.getByRole("link", { name: "Revoke" }).click();
  await page.waitForURL(`${server.url}${key.path}/revoke`);
  await expect(page.locator("main")).toContainText("This key is in use:");
  await open(`${key.path}/revoke`);
  const name = page.getByLabel(`Type ${key.name} to confirm`);
  await name.fill("something else");
  await page.getByRole("button", { name: "Revoke key" }).click();
  await expect(mistake(page, "name")).toHaveText(`This key was used in the last 24 hours. Type its name, ${key.name}, to revoke it.`);
  expect((await asOpenAi(server.url, key.secret)).status).toBe(200);

  await name.fill(key.name);
  await page.getByRole("button", { name: "Revoke key" }).click();
  await page.waitForURL(server.url + key.path);
  await expect(state(page)).toHaveText("Revoked");
  for (const button of ["Edit", "Revoke"]) await expect(page.getByRole("link", { name: button, exact: true })).toHaveCount(0);
  for (const button of ["Disable", "Enable"]) await expect(page.getByRole("button", { name: button })).toHaveCount(0);

  const message = expect.stringMatching(new RegExp(`^The key sk-…${key.secret.slice(-4)} was revoked .*Ask its owner or an admin for a new key\\.$`));
  const openai = await asOpenAi(server.url, key.secret);
  expect(openai).toMatchObject({ status: 401, body: { error: { type: "invalid_request_error", code: "invalid_api_key", param: null, message } } });
  const anthropic = await asAnthropic(server.url, key.secret);
  expect(anthropic).toMatchObject({ status: 401, body: { type: "error", error: { type: "authentication_error", message }, request_id: expect.stringMatching(/^req_/) } });
  const gemini = await asGemini(server.url, key.secret);
  expect(gemini).toMatchObject({ status: 401, body: { error: { code: 401, status: "UNAUTHENTICATED", message, details: [{ reason: "API_KEY_INVALID" }] } } });

  for (const [filter, listed] of [["", false], ["active", false], ["disabled", false], ["expired", false], ["revoked", true]] as const) {
    await page.goto(`${server.url}/acme/keys?${new URLSearchParams({ q: key.name, state: filter })}`);
    expect(await rowNames(page), `state=${filter}`).toEqual(listed ? [key.name] : []);
  }
});

test("two live keys of a team have two names; a revoked key's name is free again", async ({ signedIn, page, open, server, expectFailures }) => {
  expectFailures("422 POST /api/keys/create");
  await signedIn();
  const first = await createKey(page, "acme", unique("twin"));
  await open("/acme/keys/new");
  const create = page.getByRole("button", { name: "Create key" });
  await page.getByLabel("Name", { exact: true }).fill(first.name);
  await setLimit(page, "Requests", "77");
  await page.getByLabel("Note").fill("kept");
  await create.click();
  await expect(mistake(page, "name")).toHaveText(`A live key without a team is already named ${first.name}. Choose another name.`);
  await expect(page.getByLabel("Note")).toHaveValue("kept");
  await expect(limitOf(page, "Requests").locator(".affix input")).toHaveValue("77");
  await expect(page.getByLabel("Name", { exact: true })).toHaveValue(first.name);

  // It was never used, so nothing has to be typed.
  await open(`${first.path}/revoke`);
  await expect(page.locator("main")).toContainText("This key was never used.");
  await page.getByRole("button", { name: "Revoke key" }).click();
  await page.waitForURL(server.url + first.path);
  const second = await createKey(page, "acme", first.name);
  expect(second.id).not.toBe(first.id);
  await page.goto(`${server.url}/acme/keys`);
  await search(page, first.name);
  await expect(row(page, first.name)).toHaveCount(1);
});

test("every mistake of the form is told at once, and everything typed is still there", async ({ signedIn, page, open, expectFailures }) => {
  expectFailures("422 POST /api/keys/create");
  await signedIn();
  await open("/acme/keys/new");
  await page.getByLabel("Name", { exact: true }).fill("   ");
  await setLimit(page, "Monthly budget", "0");
  await page.getByLabel("Addresses").fill("203.0.113.0/24\nnot an address");
  await setLimit(page, "Requests", "many");
  await page.getByRole("radio", { name: "On a date" }).check();
  await page.getByRole("button", { name: "Create key" }).click();
  for (const field of ["name", "addresses", "month", "rpm", "expiry"]) await expect(mistake(page, field)).toBeVisible();
  await expect(mistake(page, "month")).toHaveText("Enter more than $0.");
  const notice = page.getByRole("alert");
  await expect(notice.locator("p")).toHaveText("Nothing was saved. Check the 5 highlighted fields.");
  // Each is a link to the sentence beside its field.
  await expect(notice.getByRole("link")).toHaveCount(5);
  await expect(notice.getByRole("link", { name: "Enter more than $0." })).toHaveAttribute("href", "#month-error");
  await expect(page.getByLabel("Addresses")).toHaveValue("203.0.113.0/24\nnot an address");
  await expect(limitOf(page, "Requests").locator(".affix input")).toHaveValue("many");
  await expect(page.getByRole("radio", { name: "On a date" })).toBeChecked();
});

test("a key's settings begin another key", async ({ signedIn, page, open }) => {
  await signedIn();
  const first = await createKey(page, "acme", unique("original"), async () => {
    await setLimit(page, "Requests", "90");
    await page.getByLabel("Note").fill("For the tests");
  });
  await open(first.path);
  await openActs(page);
  await page.getByRole("link", { name: "Duplicate" }).click();
  await expect(page.getByLabel("Name", { exact: true })).toHaveValue(`${first.name} copy`);
  await expect(page.getByLabel("Note")).toHaveValue("For the tests");
  await expect(limitOf(page, "Requests").locator(".affix input")).toHaveValue("90");
  await page.getByRole("button", { name: "Create key" }).click();
  await page.waitForURL(/\/issued$/);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(`${first.name} copy is ready`);
});
