import type { Page } from "@playwright/test";
import { freshTest as test, expect } from "./support/desk";

const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true });

test("a price is set for later, shown, and withdrawn", async ({ signedIn, page, open }) => {
  await signedIn();
  await open("/operator/models/edit?id=gpt-5");
  await page.getByLabel("Input", { exact: true }).fill("2");
  await page.getByLabel("Searches, per 1,000").fill("10");
  await page.getByLabel("Prices for long input").fill("272000: input=4, output=15");
  await page.getByLabel("Factors").fill("tier:flex=0.5");
  await page.getByLabel("Source").fill("https://example.com/pricing");
  await page.getByLabel("Prices start").fill("2099-12-01T00:00");
  await Promise.all([page.waitForURL(/\/operator\/models\/show/), button(page, "Save model").click()]);
  await expect(page.getByRole("status")).toContainText("The new price starts 1 Dec 2099 00:00:00 UTC.");
  const coming = page.getByRole("table", { name: "Prices that have not started" });
  await expect(coming).toContainText("searches $10.00");
  await expect(coming).toContainText("above 272,000 input tokens: input $4.00, output $15.00");
  await page.getByRole("link", { name: /Withdraw the price that starts 1 Dec 2099/ }).click();
  await page.waitForURL(/\/operator\/models\/withdraw/);
  await Promise.all([page.waitForURL(/\/operator\/models\/show/), button(page, "Withdraw price").click()]);
  await expect(page.getByRole("table", { name: "Prices until now" })).toContainText("Withdrawn");
});

test("an operator's own price gives way to the catalogue's", async ({ signedIn, page, open }) => {
  await signedIn();
  await open("/operator/models/edit?id=gpt-5-mini");
  await page.getByLabel("Input", { exact: true }).fill("0.3");
  await Promise.all([page.waitForURL(/\/operator\/models\/show/), button(page, "Save model").click()]);
  await page.getByRole("link", { name: "Use the catalogue’s price" }).click();
  await page.waitForURL(/\/operator\/models\/catalogue-price/);
  await Promise.all([page.waitForURL(/\/operator\/models\/show/), button(page, "Use the catalogue’s price").click()]);
  await expect(page.getByRole("main")).toContainText("From a catalogue");
});
