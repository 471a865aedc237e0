import { readFile } from "node:fs/promises";
import { expect, test } from "./support/desk";
import { createKey, unique } from "./support/keys";

const log = "/acme/requests";

/** A request to the built-in model with tags, or to a path that is not served; gives its id. */
async function send(base: string, secret: string, tags?: string): Promise<string> {
  const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
  const body = JSON.stringify({ model: "demo/echo", messages: [{ role: "user", content: "Hi" }] });
  const answer = tags
    ? await fetch(`${base}/v1/chat/completions`, { method: "POST", headers: { ...headers, "x-keydesk-tags": tags }, body })
    : await fetch(`${base}/v1/audio/speech`, { method: "POST", headers, body: "{}" });
  expect(answer.status).toBe(tags ? 200 : 404);
  await answer.text();
  return answer.headers.get("x-request-id") ?? "";
}

test("requests are found by filters, read one by one, and exported", async ({ page, open, signedIn, server }) => {
  await signedIn();
  const name = unique("logged");
  const key = await createKey(page, "acme", name);
  await open(`${log}?key=${key.id}`);
  await expect(page.getByRole("heading", { name: "No request matches" })).toBeVisible();

  const tag = unique("job");
  const answered = await send(server.url, key.secret, `${tag}, caf\u00e9`);
  const failed = await send(server.url, key.secret);
  const rows = page.locator(".log tbody tr");
  // They are written within a second.
  await expect(async () => {
    await open(`${log}?key=${key.id}`);
    await expect(rows).toHaveCount(2, { timeout: 500 });
  }).toPass();
  await expect(rows.nth(0)).toContainText("404 Failed");
  await expect(rows.nth(0)).toContainText("This path is not served");
  await expect(rows.nth(1)).toContainText("200 Answered");
  await expect(rows.nth(1)).toContainText("demo/echo");

  // Chips and the form say the same in the address.
  await page.getByRole("navigation", { name: "Outcome" }).getByRole("link", { name: "Failed" }).click();
  await expect(page).toHaveURL(/status=failed/);
  await expect(rows).toHaveCount(1);
  await page.getByLabel("Model", { exact: true }).fill("demo/echo");
  await page.getByRole("button", { name: "Apply filters" }).click();
  await expect(page).toHaveURL(/model=demo%2Fecho.*status=failed|status=failed.*model=demo%2Fecho/);
  await expect(page.getByRole("heading", { name: "No request matches" })).toBeVisible();
  await page.locator("main .empty").getByRole("link", { name: "Clear filters" }).click();
  await expect(page).toHaveURL(new RegExp(`${log}$`));
  await page.locator("summary", { hasText: "More filters" }).click();
  await page.getByLabel("Tag", { exact: true }).fill(tag);
  await page.getByRole("button", { name: "Apply filters" }).click();
  await expect(rows).toHaveCount(1);

  const arriving = page.waitForEvent("download");
  await page.getByRole("button", { name: "Export CSV" }).click();
  const file = await arriving;
  expect(file.suggestedFilename()).toMatch(/^requests-acme-\d{4}-\d\d-\d\d\.csv$/);
  const lines = (await readFile(await file.path(), "utf8")).trim().split("\r\n");
  expect(lines).toHaveLength(2);
  for (const part of [answered, name, tag, "demo/echo"]) expect(lines[1]).toContain(part);

  // A request's own page, and from there to those like it.
  await rows.locator(".row-link").click();
  await page.waitForURL(`**${log}/${answered}`);
  await expect(page.locator("h1")).toContainText("Answered");
  await expect(page.locator("main")).not.toContainText("caf\u00e9");
  await expect(page.getByRole("link", { name, exact: true })).toHaveAttribute("href", key.path);
  await page.getByRole("link", { name: tag, exact: true }).click();
  await expect(rows).toHaveCount(1);

  // By what the client saw.
  await open(`${log}?key=${key.id}`);
  await page.locator("summary", { hasText: "More filters" }).click();
  await page.getByLabel("HTTP status", { exact: true }).fill("404");
  await page.getByRole("button", { name: "Apply filters" }).click();
  await expect(page).toHaveURL(/status=404/);
  await expect(rows).toHaveCount(1);
  await expect(rows).toContainText("404 Failed");
  await expect(page.getByLabel("HTTP status", { exact: true })).toHaveValue("404");

  // By day and hour, in the organisation's time zone.
  await open(`${log}?key=${key.id}`);
  const failure = rows.locator(`a[href$="${failed}"]`);
  const shown = await failure.locator("time").innerText();
  const [, date = "", name3 = "", year = "", hour = ""] = shown.match(/^(\d+) (\w+) (\d+) (\d\d):/) ?? [];
  const month = "JanFebMarAprMayJunJulAugSepOctNovDec".indexOf(name3) / 3 + 1;
  const day = `${year}-${String(month).padStart(2, "0")}-${date.padStart(2, "0")}`;
  await page.getByLabel("From", { exact: true }).fill(day);
  await page.getByLabel("From this hour").selectOption(`${hour}:00`);
  await page.getByLabel("To", { exact: true }).fill(day);
  await page.getByLabel("To the end of this hour").selectOption(`${hour}:59`);
  await page.getByRole("button", { name: "Apply filters" }).click();
  await expect(page).toHaveURL(new RegExp(`from_hour=${hour}`));
  await expect(failure).toHaveCount(1);
  await expect(page.getByLabel("From this hour")).toHaveValue(hour);
  // A link keeps the hour.
  await page.getByRole("navigation", { name: "Outcome" }).getByRole("link", { name: "Answered" }).click();
  await expect(page).toHaveURL(new RegExp(`from=${day}T${hour}`));
  await expect(page.getByLabel("To the end of this hour")).toHaveValue(hour);
  await open(`${log}?key=${key.id}&from_hour=07`);
  await expect(page.locator("main")).toContainText("An hour needs its day. Choose the day beside it.");

  await open(`${log}/${failed}`);
  await expect(page.locator("h1")).toContainText("Failed");
  await expect(page.locator("main")).toContainText("Correct the base URL or the path in the client.");
  await page.getByRole("link", { name: "Explain with the key doctor" }).click();
  await expect(page).toHaveURL(new RegExp(`/acme/doctor\\?key=${key.id}`));
});
