import { demoTest as test, expect } from "./support/desk";
import { createKey, limitOf, mistake, setLimit, unique } from "./support/keys";

const org = "/northwind-labs";

test("a member asks for more, an owner grants less of it, and the key has it at once", async ({ otherPage, signIn, signedIn, server, open }) => {
  const kenji = server.people.find(({ email }) => email.startsWith("kenji@"));
  const page = await signIn(await otherPage(), kenji ?? server.who(/^member$/));
  const key = await createKey(page, "northwind-labs", unique("ask"), async (form) => setLimit(form, "Monthly budget", "5"));
  await open(key.path, page);
  await page.getByRole("link", { name: "Ask for more", exact: true }).click();
  await page.waitForURL(server.url + `${key.path}/ask`);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Ask for more for ${key.name}`);
  await expect(page.locator("main")).toContainText("can answer.");
  // The one that is used up first comes first, and here that is the organisation's.
  await page.getByRole("radio", { name: /^This key’s budget/ }).check();
  await page.getByLabel("How much more", { exact: true }).fill("3");
  await page.getByLabel("Reason", { exact: true }).fill("The backfill");
  await page.getByRole("button", { name: "Send ask" }).click();
  await page.waitForURL(/\/asks\/ask_/);
  const ask = new URL(page.url()).pathname;
  await expect(page.getByRole("status")).toContainText("Your ask is saved.");
  await expect(page.locator("h1 .badge")).toHaveText("Open");
  await expect(page.getByRole("button", { name: "Withdraw" })).toBeVisible();

  const owner = await signedIn(await otherPage());
  await open(`${org}/keys`, owner);
  await owner.getByRole("navigation", { name: "Main" }).getByRole("link", { name: /^Asks \d+ open$/ }).click();
  await owner.getByRole("link", { name: `$3.00 more for ${key.name}` }).click();
  await owner.waitForURL(server.url + ask);
  await expect(owner.locator(".facts")).toContainText("The backfill");
  await owner.getByLabel("Grant", { exact: true }).fill("2");
  await owner.getByRole("button", { name: "Grant", exact: true }).click();
  await expect(owner.getByRole("status")).toContainText(`Granted $2.00 more for ${key.name} until`);
  await expect(owner.locator("h1 .badge")).toHaveText("Granted");

  await open(key.path, page);
  await expect(page.locator(".meters")).toContainText("of $7.00 this month, of which $2.00 until");
  await expect(page.locator(".history")).toContainText("granted $2.00 more");
});

test("a budget that never resets is asked for until a day", async ({ otherPage, signIn, server, open, expectFailures }) => {
  expectFailures("422 POST /api/asks/budget");
  const kenji = server.people.find(({ email }) => email.startsWith("kenji@"));
  const page = await signIn(await otherPage(), kenji ?? server.who(/^member$/));
  const key = await createKey(page, "northwind-labs", unique("ask"), async (form) => {
    await setLimit(form, "Monthly budget", "5");
    await setLimit(form, "Total budget", "9");
  });
  await open(`${key.path}/ask`, page);
  const reset = page.getByText("Until the budget resets", { exact: true });
  const day = page.getByLabel("Last day", { exact: true });
  await page.getByRole("radio", { name: /^This key’s budget of \$5/ }).check();
  await expect(reset).toBeVisible();
  await expect(day).toBeHidden();
  await page.getByRole("radio", { name: /^This key’s budget of \$9/ }).check();
  await expect(reset).toBeHidden();
  await expect(day).toBeVisible();
  await page.getByLabel("How much more", { exact: true }).fill("3");
  await page.getByLabel("Reason", { exact: true }).fill("The backfill");
  await page.getByRole("button", { name: "Send ask" }).click();
  await expect(mistake(page, "until")).toHaveText("This budget never resets. Choose the last day.");
  await day.fill(new Date(Date.now() + 2 * 86_400_000).toISOString().slice(0, 10));
  await page.getByRole("button", { name: "Send ask" }).click();
  await page.waitForURL(/\/asks\/ask_/);
});

test("a link fills in the form of a new key, and says what it says wrongly", async ({ signedIn, page, open }) => {
  await signedIn();
  await open(`${org}/keys/new?name=nightly&budget=25&period=week&note=From+the+runbook&team=Nowhere`);
  await expect(page.getByLabel("Name", { exact: true })).toHaveValue("nightly");
  await expect(page.locator('[name="form[key][note]"]')).toHaveValue("From the runbook");
  await expect(limitOf(page, "Weekly budget").locator(".affix input")).toHaveValue("25");
  await expect(mistake(page, "team")).toHaveText("The link says “Nowhere”, which is none of the teams that you can choose.");
});
