// browser-files.mjs WASM OUT: makes what browsers load from the app's compiled module and the style sheets: keydesk.js, keydesk.wasm and
// keydesk.css in OUT/pkg.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { transformSync } from "esbuild";
import { bundle } from "lightningcss";

// Its level, then what rustc's wasm target uses.
const WASM_OPT = [
  "-Oz",
  "--enable-bulk-memory",
  "--enable-nontrapping-float-to-int",
  "--enable-sign-ext",
  "--enable-mutable-globals",
  "--enable-reference-types",
  "--enable-multivalue",
];
// The oldest browsers that show the pages as they are meant: of the spring of 2023.
const version = (major, minor = 0) => (major << 16) | (minor << 8);
const BROWSERS = { chrome: version(111), edge: version(111), firefox: version(115), safari: version(16, 4), ios_saf: version(16, 4) };

const [wasm, out] = process.argv.slice(2);
if (!wasm || !out) {
  console.error("browser-files: give the compiled module and a folder");
  process.exit(2);
}
const run = (program, args) => execFileSync(program, args, { stdio: ["ignore", "inherit", "inherit"] });

const pkg = join(out, "pkg");
rmSync(out, { recursive: true, force: true });
mkdirSync(pkg, { recursive: true });

run("wasm-bindgen", ["--target=web", "--no-typescript", "--out-name=keydesk", `--out-dir=${pkg}`, wasm]);
// The name by which the pages ask for it.
const module = join(pkg, "keydesk.wasm");
renameSync(join(pkg, "keydesk_bg.wasm"), module);
run("wasm-opt", [...WASM_OPT, module, "-o", module]);

const script = join(pkg, "keydesk.js");
writeFileSync(script, transformSync(readFileSync(script, "utf8"), { format: "esm", minify: true, target: "es2022" }).code);

const { code } = bundle({ filename: "style/main.css", minify: true, targets: BROWSERS });
writeFileSync(join(pkg, "keydesk.css"), code);
