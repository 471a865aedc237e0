// What somebody's first visit to the Keys page costs on the wire: everything, headers included.
import { get } from "node:http";
import { demoTest as test, expect } from "./support/desk";

const BUDGET = 100_000;
const KINDS = ["page", "wasm", "script", "style", "other"] as const;
type Kind = (typeof KINDS)[number];

/** Bytes of an answer as they come over a connection of its own. */
const wire = (url: string) =>
  new Promise<number>((done, fail) => {
    const request = get(url, { agent: false, headers: { "accept-encoding": "gzip, deflate, br" } }, (answer) => {
      const { socket } = answer;
      answer.resume().on("end", () => done(socket.bytesRead));
    });
    request.on("error", fail);
  });

test("a first visit to the Keys page stays within its budget", async ({ signedIn, otherPage, server, open }) => {
  const known = await signedIn(await otherPage());
  const session = (await known.context().cookies()).filter(({ name }) => name === "keydesk");
  expect(session.length).toBe(1);

  const page = await otherPage();
  await page.context().addCookies(session);
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Network.enable");
  const urls = new Map<string, string>();
  const sums: Record<Kind, number> = { page: 0, wasm: 0, script: 0, style: 0, other: 0 };
  const kindOf = (url: string): Kind =>
    url.endsWith("/keys") ? "page" : url.endsWith(".wasm") ? "wasm" : url.endsWith(".js") ? "script" : url.endsWith(".css") ? "style" : "other";
  devtools.on("Network.requestWillBeSent", ({ requestId, request }) => urls.set(requestId, request.url));
  devtools.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    const url = urls.get(requestId);
    // The length counts the status line and headers too.
    if (url?.startsWith(server.url)) sums[kindOf(url)] += encodedDataLength;
  });
  await open("/northwind-labs/keys", page);
  await expect(page.locator("tbody tr")).toHaveCount(50);
  await page.waitForLoadState("networkidle");

  // DevTools do not tell of the icon, so it is fetched and counted.
  const icon = await page.locator("link[rel=icon]").getAttribute("href");
  sums.other += await wire(server.url + icon);

  const total = KINDS.reduce((sum, kind) => sum + sums[kind], 0);
  console.log(`first visit: ${total} bytes (${KINDS.map((kind) => `${kind} ${sums[kind]}`).join(", ")})`);
  for (const kind of KINDS) expect(sums[kind], kind).toBeGreaterThan(0);
  // What the browser tells is what comes over the wire.
  const wasm = await page.locator('link[as="fetch"][href$=".wasm"]').getAttribute("href");
  expect(Math.abs(sums.wasm - (await wire(server.url + wasm)))).toBeLessThan(200);
  expect(total).toBeLessThan(BUDGET);
});
