// Plants a violation of each rule of scripts/rules.mjs in the sources as they are, in memory, and expects the rule to name it.
import { RULES, load } from "./rules.mjs";
import { fileURLToPath } from "node:url";

const sources = load(fileURLToPath(new URL("..", import.meta.url)));

/** Rule → [what is planted, file, text that replaces or follows the file's]. */
const PLANTS = {
  "no two files import each other": [
    ["a use each way", { "core/src/domain/planted_a.rs": "use super::planted_b::B;\npub struct A;", "core/src/domain/planted_b.rs": "use super::planted_a::A;\npub struct B;" }],
    ["a path in the code and a nested use", { "server/src/planted_a.rs": "fn a() { crate::planted_b::b() }", "server/src/planted_b.rs": "use crate::{config, planted_a::{a as other}};" }],
  ],
  "no two folders import each other": [
    ["one file each way", { "app/src/actions/planted.rs": "use crate::pages::planted_page::P;", "app/src/pages/planted_page.rs": "use crate::actions::planted_other::Q;", "app/src/actions/planted_other.rs": "pub struct Q;" }],
  ],
  "app does not know the store": [
    ["a use", { "app/src/pages/planted.rs": "use keydesk_core::store::people;" }],
    ["a nested use", { "app/src/pages/planted.rs": "use keydesk_core::{\n    domain::{ids, key},\n    store::people,\n};" }],
    ["a path in the code", { "app/src/actions/planted.rs": "fn f() { keydesk_core::store::people::find() }" }],
  ],
  "server knows the store only where a reason is given": [["a use", { "server/src/http/planted.rs": "use keydesk_core::store::keys;" }]],
  "domain imports nothing above it": [
    ["the store", { "core/src/domain/planted.rs": "use crate::store::Db;" }],
    ["an operation", { "core/src/domain/planted.rs": "fn f() { crate::ops::keys::create() }" }],
  ],
  "forms import only the domain": [["an operation", { "core/src/forms/planted.rs": "use crate::ops::OpError;" }]],
  "operations and the command line know no forms": [
    ["an operation", { "core/src/ops/planted.rs": "use crate::forms::key::KeyForm;" }],
    ["a command", { "server/src/cli/planted.rs": "use keydesk_core::forms::key::KeyForm;" }],
  ],
  "the store imports nothing above it": [["admission", { "core/src/store/planted.rs": "use crate::admission::Presented;" }]],
  "ui and islands name no feature": [
    ["a type", { "app/src/ui/planted.rs": "pub struct KeyBadge;" }],
    ["a sentence", { "app/src/ui/planted.rs": 'const S: &str = "Your team";' }],
    ["a name", { "app/src/islands/planted.rs": "fn provider_row() {}" }],
  ],
  "names use the glossary's words": [
    ["a function", { "core/src/store/planted.rs": "fn held_budget() {}" }],
    ["a type", { "server/src/planted.rs": "struct LimitHold;" }],
  ],
  "texts use the glossary's words": [
    ["a comment", { "core/src/domain/planted.rs": "/// Somebody's name." }],
    ["a sentence", { "app/src/pages/planted.rs": 'const S: &str = "Ask whoever runs it.";' }],
    ["a document", { "docs/planted.md": "Nobody reads this." }],
  ],
  "write transactions begin only in core's ops, admission and store": [
    ["a page", { "app/src/pages/planted.rs": "async fn f(desk: Desk) { desk.db.write().await; }" }],
    ["over two lines", { "server/src/http/planted.rs": "async fn f(desk: Desk) {\n    desk\n        .db\n        .write()\n        .await;\n}" }],
  ],
  "principals and permits are made only where a reason is given": [
    ["a principal in a page", { "app/src/pages/planted.rs": "fn f() { Principal::new(org, person, role, platform, origin); }" }],
    ["a permit in an operation", { "core/src/ops/planted.rs": "fn f() { let permit = OperatorPermit::program(action, id, why); }" }],
    ["a permit of tests", { "server/src/planted.rs": "fn f() { test_permit(&org, action, id); }" }],
  ],
  "SQL only in core/src/store": [
    ["an operation", { "core/src/ops/planted.rs": 'fn f() { sqlx::query("SELECT 1"); }' }],
    ["a test without a reason", { "server/src/tests/planted.rs": 'fn f() { sqlx::query("SELECT 1"); }' }],
  ],
  "time and random numbers only from server/src/clock.rs": [["a clock", { "core/src/ops/planted.rs": "fn f() { std::time::SystemTime::now(); }" }]],
  "no inline styles": [["an attribute", { "app/src/pages/planted.rs": 'view! { <p style="color: red"/> }' }]],
  "migrations in pairs": [["one alone", { "migrations/postgres/0099_planted.sql": "SELECT 1;" }]],
};

let failed = 0;
const fail = (sentence) => {
  failed++;
  console.log(sentence);
};
for (const rule of RULES) {
  const plants = PLANTS[rule.name];
  if (!plants) fail(`${rule.name}: no violation is planted in scripts/rules.test.mjs`);
  const before = new Set(rule.run(sources));
  for (const [what, added] of plants ?? []) {
    const found = rule.run(new Map([...sources, ...Object.entries(added)])).filter((line) => !before.has(line));
    if (!found.some((line) => line.includes("planted"))) fail(`${rule.name}: ${what} is not found`);
  }
}
for (const name of Object.keys(PLANTS)) {
  if (!RULES.some((rule) => rule.name === name)) fail(`${name}: there is no such rule`);
}
console.log(failed === 0 ? `${RULES.length} rules find what is planted` : `${failed} plants are not found`);
process.exit(failed === 0 ? 0 : 1);
