// The rules of ARCHITECTURE.md that a search can check. `node scripts/rules.mjs [ROOT]` prints what breaks one;
// scripts/rules.test.mjs plants a violation of each. With --all, pending rules fail too. Comments and tests are left out unless a rule says otherwise.
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { bare, folders, imports, isTest, mutual, parentAndChild, uses } from "./rooms.mjs";

const CRATES = ["core/src", "app/src", "server/src"];

/** A violation: where, and what stands there. */
const at = (file, line, what) => `${file}:${line}: ${what}`;

/** Where the pattern matches in these files, in the text as `text` has it. */
function matches(files, which, pattern, text = (file) => bare(files.get(file))) {
  const found = new Set();
  const all = new RegExp(pattern.source, pattern.flags.replace("g", "") + "gm");
  for (const file of [...files.keys()].filter(which)) {
    const searched = text(file);
    for (const match of searched.matchAll(all)) {
      const line = searched.slice(0, match.index + match[0].search(/\S/)).split("\n").length;
      found.add(at(file, line, files.get(file).split("\n")[line - 1].trim()));
    }
  }
  return [...found];
}

/** Where these files of another crate name this room of core. */
function naming(files, which, room) {
  const used = [...files.keys()].filter(which).flatMap((file) =>
    uses(bare(files.get(file)))
      .filter(({ names }) => names[0] === "keydesk_core" && names[1] === room)
      .map(({ names, line }) => at(file, line, names.join("::"))),
  );
  const inCode = matches(files, which, new RegExp(`\\bkeydesk_core::${room}\\b`), (file) =>
    bare(files.get(file)).replace(/\buse\s[^;]+;/g, (use) => use.replace(/[^\n]/g, " ")),
  );
  return [...used, ...inCode];
}

const rust = (...under) => (file) => file.endsWith(".rs") && !isTest(file) && under.some((room) => file.startsWith(room));
const without = (which, ...except) => (file) => which(file) && !except.some((room) => file.startsWith(room));

/** Imports inside a crate from files of one room to files of another. */
function crossing(files, crate, from, to) {
  return imports(files, crate)
    .filter((edge) => from.some((room) => edge.from.startsWith(room)) && to.some((room) => edge.to.startsWith(room)))
    .map((edge) => at(edge.from, edge.line, edge.path));
}

/** Code and its strings, without comments; identifiers apart into words, so that `KeyPage` and `key_page` are two words. */
const words = (text) =>
  text
    .replace(/(^|[^:])\/\/[^\n]*/g, "$1")
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replace(/_/g, " ");

const FEATURE_WORDS = [
  "keys?(?! ?(down|up|board|press))", "teams?", "members?", "memberships?", "audit", "models?", "providers?", "budgets?",
  "organi[sz]ations?", "orgs?", "invitations?", "owners?", "operators?", "money", "dollars?", "spend(ing)?", "balances?", "tokens?",
  "gateways?", "admission", "reservations?", "quotas?", "callers?", "principals?", "permits?",
];

/** Words that the glossary of ARCHITECTURE.md replaces: in names of the code, and in all text of sources and documents. */
const RETIRED_NAMES = [
  "hold", "holds", "held", "holding", "holdings", "told", "asker", "somebody", "nobody", "whoever", "anybody", "everybody",
  "most", "refusal", "passage", "fault", "mistake", "clash",
];
const RETIRED_TEXT = ["somebody", "nobody", "whoever", "anybody", "everybody", "present password", "e-mail", "hands full"];
/** Where a retired word may stand: file and word → why. */
const RETIRED_ALLOWED = {};

/** Store functions may be named here: file → why. */
const SERVER_USES_STORE = {
  "server/src/bench/": "the bench seeds and measures tables directly",
  "server/src/bin/": "the bench seeds and measures tables directly",
  "server/src/demo": "the demonstration writes a past that no operation can write",
  "server/src/config.rs": "reads the database's address",
  "server/src/cli.rs": "reads the database's address",
  "server/src/cli/": "names the types that verification answers with",
  "server/src/open.rs": "opens and migrates the database",
  "server/src/doctor": "looks at the database itself",
  "server/src/alerts.rs": "logs what the store says of a turn",
  "server/src/jobs.rs": "runs the store's own maintenance",
  "server/src/http/health.rs": "asks whether the schema is current",
  "server/src/http/session_store.rs": "is the store of tower-sessions",
  "server/src/http/caller.rs": "finds the session's person before any operation",
  "server/src/gateway/": "reads models and providers on the path of a request",
};

/** Principals and permits may be made here: file → why. */
const MAKES_PERMITS = {
  "core/src/domain/policy/": "the rules themselves",
  "core/src/ops/access.rs": "from a caller to what they may do",
  "core/src/ops/self_service.rs": "everyone may change their own account",
  "core/src/ops/catalogue.rs": "the command line imports the catalogue",
  "core/src/ops/leaks.rs": "a scanner or the command line takes a leaked key out of use",
  "core/src/ops/invitations.rs": "an invitation lets its holder join",
  "core/src/ops/orgs/operator.rs": "operators, signed in or on the command line",
  "core/src/ops/second_factor.rs": "the command line turns off what was lost",
  "core/src/ops/seed.rs": "the demonstration and the bench",
  "core/src/ops/setup.rs": "the set-up link makes the first organisation",
  "core/src/ops/spend_check.rs": "the nightly job and the command line repair spend",
  "core/src/ops/sign_in.rs": "a one-time link resets a password",
};

const unlessAllowed = (line) => !Object.keys(RETIRED_ALLOWED).some((place) => line.startsWith(place));

export const RULES = [
  {
    name: "no two files import each other",
    say: "Move what both need into a file of its own.",
    run: (files) =>
      CRATES.flatMap((crate) =>
        mutual(imports(files, crate), (a, b) => (parentAndChild(a, b) ? null : [a, b])).map(
          ({ a, b, there, back }) => `${a} <-> ${b} (${there.path}, ${back.path})`,
        ),
      ),
  },
  {
    name: "no two folders import each other",
    say: "Move what both need beside them or below one of them.",
    run: (files) =>
      CRATES.flatMap((crate) =>
        mutual(imports(files, crate), folders).map(
          ({ a, b, there, back }) => `${a} <-> ${b} (${there.from}: ${there.path}, ${back.from}: ${back.path})`,
        ),
      ),
  },
  {
    name: "app does not know the store",
    say: "Pages and actions call operations; types that both need are in core/src/domain.",
    run: (files) => naming(files, rust("app/src"), "store"),
  },
  {
    name: "server knows the store only where a reason is given",
    say: "Call an operation, or give a reason in SERVER_USES_STORE of scripts/rules.mjs.",
    run: (files) => naming(files, without(rust("server/src"), ...Object.keys(SERVER_USES_STORE)), "store"),
  },
  {
    name: "domain imports nothing above it",
    say: "The domain is plain types and rules.",
    run: (files) =>
      crossing(files, "core/src", ["core/src/domain/"], ["core/src/forms/", "core/src/ops/", "core/src/store/", "core/src/admission/", "core/src/desk.rs", "core/src/vault.rs"]),
  },
  {
    name: "forms import only the domain",
    say: "Facts of the database come to a form as plain arguments.",
    run: (files) => crossing(files, "core/src", ["core/src/forms/"], ["core/src/ops/", "core/src/store/", "core/src/admission/", "core/src/desk.rs"]),
  },
  {
    name: "operations and the command line know no forms",
    say: "They take typed commands; app parses forms into them.",
    run: (files) => [
      ...crossing(files, "core/src", ["core/src/ops/", "core/src/admission/", "core/src/store/"], ["core/src/forms/"]),
      ...naming(files, rust("server/src"), "forms"),
    ],
  },
  {
    name: "the store imports nothing above it",
    say: "SQL knows no operations and no gates.",
    run: (files) => crossing(files, "core/src", ["core/src/store/"], ["core/src/ops/", "core/src/admission/", "core/src/desk.rs"]),
  },
  {
    name: "ui and islands name no feature",
    say: "Parts without a feature's words go everywhere; others belong to app/src/layout or a page.",
    run: (files) => {
      const pattern = new RegExp(`\\b(${FEATURE_WORDS.join("|")})\\b`, "i");
      const keyboard = /\b(event\.key|(ctrl|meta|alt|shift)_key)\(\)/g;
      // The icons are named after what they are pictures of.
      const which = without(rust("app/src/ui/", "app/src/islands/"), "app/src/ui/icon.rs");
      return matches(files, which, pattern, (file) => words(files.get(file).replace(keyboard, "")));
    },
  },
  {
    name: "names use the glossary's words",
    say: "The glossary of ARCHITECTURE.md has the word to use.",
    run: (files) => {
      const pattern = new RegExp(`\\b(${RETIRED_NAMES.join("|")})\\b`, "i");
      return matches(files, rust(...CRATES), pattern, (file) => words(bare(files.get(file)))).filter(unlessAllowed);
    },
  },
  {
    name: "texts use the glossary's words",
    say: "The glossary of ARCHITECTURE.md has the word to use.",
    run: (files) => {
      const pattern = new RegExp(`\\b(${RETIRED_TEXT.join("|")})\\b`, "i");
      const which = (file) => rust(...CRATES)(file) || (file.endsWith(".md") && !file.includes("/tests/"));
      return matches(files, which, pattern, (file) => files.get(file)).filter(unlessAllowed);
    },
  },
  {
    name: "write transactions begin only in core's ops, admission and store",
    say: "What writes is an operation.",
    run: (files) =>
      matches(files, without(rust(...CRATES), "core/src/ops/", "core/src/admission/", "core/src/store/"), /\bdb\s*\.write\(|\bTx::begin|\.begin_write\(/),
  },
  {
    name: "principals and permits are made only where a reason is given",
    say: "Ask OrgContext::permit, or give a reason in MAKES_PERMITS of scripts/rules.mjs.",
    run: (files) =>
      matches(
        files,
        without(rust(...CRATES), ...Object.keys(MAKES_PERMITS)),
        /\b(Principal::new|policy::permit|(Account|Operator)?Permit::(new|own|program)|test_permit)\b/,
      ),
  },
  {
    name: "SQL only in core/src/store",
    say: 'SQL has one home; a test that needs sqlx says "// sqlx here: <reason>".',
    run: (files) =>
      matches(
        files,
        (file) => file.endsWith(".rs") && !file.startsWith("core/src/store/") && !((isTest(file) || file.startsWith("test-support/")) && /\/\/.*sqlx here: .+/.test(files.get(file))),
        /\bsqlx::/,
      ),
  },
  {
    name: "time and random numbers only from server/src/clock.rs",
    say: "Take a Clock or a Random.",
    run: (files) =>
      matches(files, (file) => file.endsWith(".rs") && file !== "server/src/clock.rs" && !file.startsWith("server/tests/"), /\b(SystemTime|OffsetDateTime::now_(utc|local)|(Timestamp|Zoned)::now|getrandom)\b/),
  },
  {
    name: "no inline styles",
    say: "The content policy refuses them: use a class, or an SVG attribute.",
    run: (files) => matches(files, rust("app/src"), /(^|[^\w.-])style(=|:[a-z-]+=)/),
  },
  {
    name: "migrations in pairs",
    say: "Every migration exists under the same name in migrations/sqlite and migrations/postgres.",
    run: (files) => {
      const names = (folder) => [...files.keys()].filter((file) => file.startsWith(folder)).map((file) => path.basename(file));
      const [one, two] = [names("migrations/sqlite/"), names("migrations/postgres/")];
      const alone = (a, b, folder) => a.filter((name) => !b.includes(name)).map((name) => at(folder + name, 1, "has no twin"));
      return one.length === 0 ? ["migrations/sqlite has no .sql file"] : [...alone(one, two, "migrations/sqlite/"), ...alone(two, one, "migrations/postgres/")];
    },
  },
];

/** The sources below this folder: path → text. */
export function load(root) {
  const files = new Map();
  const walk = (folder) => {
    for (const entry of fs.readdirSync(path.join(root, folder), { withFileTypes: true })) {
      const file = folder ? `${folder}/${entry.name}` : entry.name;
      if (entry.isDirectory()) {
        if (!/^(target|node_modules|data|\.git|test-results|playwright-report)$/.test(entry.name)) walk(file);
      } else if (/\.(rs|md|sql|html|json|conf|py|ts)$/.test(entry.name) && !/package-lock/.test(entry.name)) {
        files.set(file, fs.readFileSync(path.join(root, file), "utf8"));
      }
    }
  };
  walk("");
  return files;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const files = load(process.argv.slice(2).find((word) => !word.startsWith("--")) ?? fileURLToPath(new URL("..", import.meta.url)));
  let broken = 0;
  for (const { name, say, run } of RULES) {
    const found = run(files);
    if (found.length === 0) continue;
    broken++;
    console.log(`${name}: ${found.length}`);
    for (const line of found) console.log(`    ${line}`);
    console.log(`  ${say}`);
  }
  console.log(broken === 0 ? `${RULES.length} rules` : `${broken} of ${RULES.length} rules are broken`);
  process.exit(broken === 0 ? 0 : 1);
}
