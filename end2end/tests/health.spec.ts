import { expect, test } from "./support/desk";

test("a running desk says that it is well", async ({ request }) => {
  const answer = await request.get("/healthz");
  expect(answer.status()).toBe(200);
});
