import type { Page } from "@playwright/test";
import { demoTest, expect, freshTest as test } from "./support/desk";
import { createKey, mistake, openActs, setLimit, unique } from "./support/keys";

const fill = async (page: Page, choice: "Add credit" | "Take out", amount: string, note: string) => {
  await page.getByLabel(choice, { exact: true }).check();
  await page.getByLabel("Amount", { exact: true }).fill(amount);
  await page.getByLabel("Note", { exact: true }).fill(note);
};
const submit = (page: Page) => page.getByRole("button", { name: "Add entry" }).click();
const left = (page: Page) => page.locator("main .amount");

test("the operator adds credit, takes some out and enforces the balance", async ({ signedIn, page, open, server, expectFailures }) => {
  expectFailures("422 POST /api/orgs/enter-balance");
  await signedIn();
  const key = await createKey(page, "acme", unique("ci"));
  await open("/operator");
  await openActs(page, "Acme");
  await page.getByRole("link", { name: "Balance", exact: true }).click();
  const url = `${server.url}/operator/acme/balance`;
  await page.waitForURL(url);
  await expect(left(page)).toHaveText("$0.00");
  // With nothing left, enforcing it would reject every request.
  await expect(page.getByRole("button", { name: "Enforce balance" })).toBeDisabled();

  // A mistake is told beside its field, and what was typed stays.
  await fill(page, "Take out", "a lot", "Invoice 2026-017");
  await submit(page);
  await expect(mistake(page, "amount")).toContainText("not an amount");
  await expect(page.getByLabel("Note", { exact: true })).toHaveValue("Invoice 2026-017");
  await fill(page, "Add credit", "1,250.50", "Invoice 2026-017");
  await Promise.all([page.waitForURL(url), submit(page)]);
  await expect(page.getByRole("status")).toContainText("$1,250.50 added to the balance of Acme. It is $1,250.50 now.");
  await fill(page, "Take out", "250.50", "Returned");
  await Promise.all([page.waitForURL(url), submit(page)]);
  await expect(page.getByRole("status")).toContainText("$250.50 taken out of the balance of Acme.");
  await expect(left(page)).toHaveText("$1,000.00");
  await expect(page.locator("tbody tr")).toHaveCount(2);
  await expect(page.locator("tbody tr").first()).toContainText("Returned");

  await Promise.all([page.waitForURL(url), page.getByRole("button", { name: "Enforce balance" }).click()]);
  await expect(page.getByRole("status")).toContainText("is now enforced. It is $1,000.00.");
  await expect(page.locator("tbody tr").first()).toContainText("Opening");

  // Her own organisation's pages show it, to be read only.
  await open("/acme/settings");
  await page.getByRole("link", { name: "View the balance" }).click();
  await page.waitForURL(`${server.url}/acme/settings/balance`);
  await expect(left(page)).toHaveText("$1,000.00");
  await expect(page.getByRole("button", { name: "Add entry" })).toHaveCount(0);

  // With nothing left, her key says so.
  await open("/operator/acme/balance");
  await fill(page, "Take out", "1000", "Returned too");
  await Promise.all([page.waitForURL(url), submit(page)]);
  await expect(page.locator("h1")).toContainText("Out of balance");
  await open(key.path);
  await expect(page.locator("h1")).toContainText("Out of balance");
  await open("/operator/acme/balance");
  await Promise.all([page.waitForURL(url), page.getByRole("button", { name: "Stop enforcing" }).click()]);
  await expect(page.getByRole("status")).toContainText("is no longer enforced");
  await open(key.path);
  await expect(page.locator("h1")).not.toContainText("Out of balance");
});

test("of two who enter at once the second sees the first's entry and keeps theirs", async ({ signedIn, otherPage, page, open, server, expectFailures }) => {
  expectFailures("409 POST /api/orgs/enter-balance");
  await signedIn();
  await open("/operator/acme/balance");
  const other = await signedIn(await otherPage());
  await open("/operator/acme/balance", other);
  await fill(other, "Add credit", "50", "Invoice 1");
  await Promise.all([other.waitForURL(`${server.url}/operator/acme/balance`), submit(other)]);
  await expect(other.getByRole("status")).toContainText("$50.00 added to the balance of Acme");

  await fill(page, "Add credit", "70", "Invoice 2");
  await submit(page);
  await expect(page.getByRole("alert").first()).toContainText("Ana Ruiz added a credit of $50.00 in the meantime.");
  await expect(left(page)).toHaveText("$50.00");
  await expect(page.getByLabel("Amount", { exact: true })).toHaveValue("70");
  await submit(page);
  await expect(page.getByRole("status")).toContainText("$70.00 added to the balance of Acme");
  await expect(left(page)).toHaveText("$120.00");
});

test("an entry that is sent again by going back is not entered twice", async ({ signedIn, page, open, server, expectFailures }) => {
  expectFailures("409 POST /api/orgs/enter-balance");
  await signedIn();
  await open("/operator/acme/balance");
  // The form as it was drawn: what a browser keeps of a page that somebody goes back to.
  const number = await page.locator('[name="form[seq]"]').inputValue();
  await fill(page, "Add credit", "50", "Invoice 1");
  await Promise.all([page.waitForURL(`${server.url}/operator/acme/balance`), submit(page)]);
  await expect(left(page)).toHaveText("$50.00");
  const form = { page: "/operator/acme/balance", "form[org]": "acme", "form[seq]": number, "form[entry][kind]": "credit", "form[entry][amount]": "50", "form[entry][note]": "Invoice 1" };
  const again = await page.request.post(`${server.url}/api/orgs/enter-balance`, { form, headers: { accept: "text/html", origin: server.url } });
  expect(again.status()).toBe(409);
  expect(await again.text()).toContain("This entry was already added");
  await open("/operator/acme/balance");
  await expect(left(page)).toHaveText("$50.00");
  await expect(page.locator("tbody tr")).toHaveCount(1);
});

test("an owner sets the organisation's budgets among its settings", async ({ signedIn, page, open, server, expectFailures }) => {
  expectFailures("422 POST /api/orgs/save");
  await signedIn();
  const key = await createKey(page, "acme", unique("ci"));
  await open("/acme/settings");
  await setLimit(page, "Spend per month", "500");
  await page.getByRole("group", { name: "Budget for all keys" }).getByText("Add a daily, weekly or total limit").click();
  await setLimit(page, "Spend per day", "600");
  await page.getByRole("button", { name: "Save settings" }).click();
  await expect(mistake(page, "org_day")).toContainText("more than $500.00 per month");
  await setLimit(page, "Spend per day", "40");
  await Promise.all([page.waitForURL(`${server.url}/acme/settings`), page.getByRole("button", { name: "Save settings" }).click()]);
  await expect(page.getByRole("status")).toContainText("The settings are saved.");
  await expect(page.getByRole("radio", { name: /^Up to one request more/ })).toBeChecked();
  await page.getByRole("radio", { name: /^Never more than the budget/ }).check();
  await Promise.all([page.waitForURL(`${server.url}/acme/settings`), page.getByRole("button", { name: "Save settings" }).click()]);
  await expect(page.getByRole("radio", { name: /^Never more than the budget/ })).toBeChecked();
  await expect(page.locator("main .meter")).toHaveCount(2);
  await expect(page.locator("main .meter").first()).toContainText("$0.00 of $500.00 this month");
  await open(key.path);
  await expect(page.locator(".facts-line")).toContainText("left today");
});

demoTest("the demonstration has a balance with something left and a budget that is not used up", async ({ signedIn, page, open }) => {
  await signedIn();
  await open("/operator/fjord-robotics/balance");
  await expect(page.locator("h1")).toContainText("Enforced");
  await expect(left(page)).toHaveText(/^\$[1-9]/);
  await expect(page.locator("tbody tr")).toHaveCount(3);
  await open("/northwind-labs/settings");
  await expect(page.locator("main .meter")).toContainText("of $1,500.00 this month");
});
