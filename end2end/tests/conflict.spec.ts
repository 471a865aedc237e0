import type { Page } from "@playwright/test";
import { expect, test } from "./support/desk";
import { createKey, limitOf, mistake, setLimit, unfold, unique } from "./support/keys";

const save = (page: Page) => page.getByRole("button", { name: "Save changes" }).click();
const tile = (page: Page, label: string) =>
  page.locator(".tiles > div").filter({ has: page.getByText(label, { exact: true }) }).locator("dd");
const value = (page: Page, legend: string) => limitOf(page, legend).locator(".affix input");

test("two people edit one key: nobody's change is lost", async ({ signedIn, page: mine, otherPage, open, server, expectFailures }) => {
  expectFailures("409 POST /api/keys/edit");
  await signedIn(mine);
  const theirs = await signedIn(await otherPage());
  const key = await createKey(mine, "acme", unique("clash"));
  await open(`${key.path}/edit`, mine);
  await open(`${key.path}/edit`, theirs);

  await setLimit(theirs, "Requests", "200");
  await setLimit(theirs, "Concurrent requests", "2");
  await save(theirs);
  await theirs.waitForURL(server.url + key.path);

  await setLimit(mine, "Requests", "300");
  await mine.getByLabel("Note").fill("mine");
  await save(mine);
  await expect(mine.getByText("You changed this key in another tab while you were editing")).toBeVisible();
  await expect(mistake(mine, "rpm")).toContainText("Now: 200. You entered: 300.");
  await expect(mistake(mine, "note")).toHaveCount(0);
  await expect(value(mine, "Requests")).toHaveValue("300");
  await expect(value(mine, "Concurrent requests")).toHaveValue("2");
  await expect(mine.getByLabel("Note")).toHaveValue("mine");
  // Nothing is saved yet.
  await theirs.goto(server.url + key.path);
  await expect(tile(theirs, "Requests per minute")).toHaveText("200");

  await save(mine);
  await mine.waitForURL(server.url + key.path);
  await expect(tile(mine, "Requests per minute")).toHaveText("300");
  await expect(tile(mine, "Concurrent requests")).toHaveText("2");
  await expect(mine.locator("main")).toContainText("mine");
  await expect(mine.locator(".history li").first().locator(".sub")).toHaveText(["Note: from empty to mine", "Requests per minute: from 200 to 300"]);
});

test("a mistake in between does not hide that somebody else saved first", async ({ signedIn, page: mine, otherPage, open, server, expectFailures }) => {
  expectFailures("422 POST /api/keys/edit", "409 POST /api/keys/edit");
  await signedIn(mine);
  const theirs = await signedIn(await otherPage());
  const key = await createKey(mine, "acme", unique("between"));
  await open(`${key.path}/edit`, mine);
  await open(`${key.path}/edit`, theirs);
  await setLimit(theirs, "Requests", "200");
  await save(theirs);
  await theirs.waitForURL(server.url + key.path);

  await setLimit(mine, "Tokens", "lots");
  await save(mine);
  await expect(mistake(mine, "tpm")).toBeVisible();
  await setLimit(mine, "Tokens", "5k");
  await save(mine);
  await expect(mine.getByText("You changed this key in another tab while you were editing")).toBeVisible();
  await expect(value(mine, "Requests")).toHaveValue("200");
  await save(mine);
  await mine.waitForURL(server.url + key.path);
  await expect(tile(mine, "Tokens per minute")).toHaveText("5,000");
  await expect(tile(mine, "Requests per minute")).toHaveText("200");
});

test("a key that was revoked meanwhile is not edited", async ({ signedIn, page: mine, otherPage, open, server, expectFailures }) => {
  expectFailures("409 POST /api/keys/edit", "409 GET /acme/keys/");
  await signedIn(mine);
  const theirs = await signedIn(await otherPage());
  const key = await createKey(mine, "acme", unique("gone"));
  await open(`${key.path}/edit`, mine);
  await open(`${key.path}/revoke`, theirs);
  await theirs.getByRole("button", { name: "Revoke key" }).click();
  await theirs.waitForURL(server.url + key.path);

  await unfold(mine);
  await mine.getByLabel("Note").fill("too late");
  await save(mine);
  await expect(mine.getByText(`The key ${key.name} is revoked, which can't be undone.`)).toBeVisible();
  await theirs.reload();
  await expect(theirs.locator("main")).not.toContainText("too late");
});
