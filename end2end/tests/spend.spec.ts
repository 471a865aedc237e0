import { expect, test } from "./support/desk";
import { createKey, unique } from "./support/keys";

test("a request shows what it used, and a key's requests are a file", async ({ signedIn, page, open, server }) => {
  await signedIn();
  const key = await createKey(page, "acme", unique("spent"));
  const answer = await fetch(`${server.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key.secret}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "demo/echo", messages: [{ role: "user", content: "Hi" }] }),
  });
  expect(answer.status).toBe(200);
  const id = answer.headers.get("x-request-id") ?? "";

  await open(key.path);
  const entry = page.locator("#requests li");
  await expect(entry).toHaveCount(1);
  await expect(entry).toContainText(id);
  await expect(entry.locator("dl")).toBeHidden();
  await entry.locator("summary").click();
  for (const name of ["Input", "Output", "Cost", "Price"]) {
    await expect(entry.locator("dt").getByText(name, { exact: true })).toBeVisible();
  }

  const arriving = page.waitForEvent("download");
  await page.locator("#requests").getByRole("button", { name: "Export CSV" }).click();
  const download = await arriving;
  expect(download.suggestedFilename()).toBe(`requests-${key.id}.csv`);
});
