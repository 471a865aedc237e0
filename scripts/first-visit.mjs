// What a first visit loads, as the server sends it (brotli 11): prints one line, fails over the budget.
// first-visit.mjs [SITE]; a development build is not measured, and the line says so.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants } from "node:zlib";

const BUDGET = 90_000;
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const site = process.argv[2] ?? join(root, "target/site");
const whole = spawnSync(process.execPath, [join(root, "scripts/site-sync.mjs"), "--check", site]).status === 0;
if (!whole) {
  console.log("first visit: not measured, there is no release build in target/site (scripts/build.sh makes one)");
  process.exit(0);
}

const sizes = {};
for (const name of readdirSync(site, { recursive: true })) {
  const path = join(site, name);
  const kind = extname(name).slice(1);
  if (!["wasm", "js", "css"].includes(kind) || !statSync(path).isFile()) continue;
  const ready = `${path}.br`;
  const bytes = existsSync(ready)
    ? statSync(ready).size
    : brotliCompressSync(readFileSync(path), { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).length;
  sizes[kind] = (sizes[kind] ?? 0) + bytes;
}
const total = Object.values(sizes).reduce((sum, bytes) => sum + bytes, 0);
const parts = ["wasm", "js", "css"].map((kind) => `${kind} ${sizes[kind] ?? 0}`).join(", ");
console.log(`first visit: ${total} bytes with brotli (${parts}), at most ${BUDGET}`);
if (!sizes.wasm || !sizes.js || !sizes.css) {
  console.error(`first visit: ${basename(site)} lacks a wasm, js or css file`);
  process.exit(1);
}
if (total > BUDGET) process.exit(1);
