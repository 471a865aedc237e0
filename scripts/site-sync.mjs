// site-sync.mjs FROM TO: makes the folder TO hold what FROM holds, touching only files whose content differs, with a .br and a .gz
// beside each file that gains from it. Lists what it made in TO.json.
// site-sync.mjs --check TO: does TO still hold what was made? (Exit code 1 when not: a development build writes there too.)
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, extname, join, relative } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const files = (folder) =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true }).map((name) => join(folder, name)).filter((path) => statSync(path).isFile())
    : [];
const sha = (bytes) => createHash("sha256").update(bytes).digest("hex");
const shrinks = new Set([".wasm", ".js", ".mjs", ".css", ".svg", ".json", ".map", ".txt", ".html", ".webmanifest"]);

const [from, to] = process.argv.slice(2);
if (!from || !to) {
  console.error("site-sync: give two folders, or --check and one");
  process.exit(2);
}

if (from === "--check") {
  const made = existsSync(`${to}.json`) ? JSON.parse(readFileSync(`${to}.json`, "utf8")) : null;
  const now = Object.fromEntries(files(to).sort().map((path) => [relative(to, path), sha(readFileSync(path))]));
  process.exit(made && JSON.stringify(made) === JSON.stringify(now) ? 0 : 1);
}

const wanted = new Map();
for (const path of files(from)) {
  // Type declarations are for a bundler, not for a browser.
  if (path.endsWith(".d.ts")) continue;
  const name = relative(from, path);
  const bytes = readFileSync(path);
  wanted.set(name, () => bytes);
  if (shrinks.has(extname(name))) {
    wanted.set(`${name}.br`, () =>
      brotliCompressSync(bytes, {
        params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 22, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
      }),
    );
    wanted.set(`${name}.gz`, () => gzipSync(bytes, { level: 9 }));
  }
}

let written = 0;
const made = {};
for (const name of [...wanted.keys()].sort()) {
  const bytes = wanted.get(name)();
  const path = join(to, name);
  made[name] = sha(bytes);
  if (existsSync(path) && readFileSync(path).equals(bytes)) continue;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  written += 1;
}
let removed = 0;
for (const path of files(to)) {
  if (wanted.has(relative(to, path))) continue;
  rmSync(path);
  removed += 1;
}
const sorted = Object.fromEntries(Object.entries(made).sort(([a], [b]) => (join(to, a) < join(to, b) ? -1 : 1)));
writeFileSync(`${to}.json`, JSON.stringify(sorted));
console.log(`site: ${wanted.size} files, ${written} written, ${removed} removed`);
