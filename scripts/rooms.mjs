// Which file imports which, by the `use` paths and the qualified paths in the code.
// A module named through its parent's re-export counts as itself. Tests are left out.
import path from "node:path";

/** The code without comments, the contents of strings and `#[cfg(test)]` items. Line numbers stay. */
export function bare(text) {
  const blank = (found) => found.replace(/[^\n]/g, " ");
  text = text.replace(
    /\/\/[^\n]*|\/\*[^]*?\*\/|r(#+)"[^]*?"\1|r"[^"]*"|"(?:\\[^]|[^"\\])*"|'(?:\\[^']+|[^\\'\n])'/g,
    blank,
  );
  const test = /#\[cfg\((?:test|all\(test[^\]]*)\)\]/g;
  for (let found; (found = test.exec(text)); ) {
    let at = found.index;
    while (at < text.length && text[at] !== "{" && text[at] !== ";") at++;
    if (text[at] === "{") at = closing(text, at);
    text = text.slice(0, found.index) + blank(text.slice(found.index, at + 1)) + text.slice(at + 1);
  }
  return text;
}

function closing(text, at) {
  for (let depth = 0; at < text.length; at++) {
    if (text[at] === "{") depth++;
    if (text[at] === "}" && --depth === 0) break;
  }
  return at;
}

/** `a::{b, c::{self, d as e}}` as `[[a, b], [a, c], [a, c, d]]`, each with the name that it gets. */
function useTree(text) {
  const parts = [];
  let depth = 0;
  let from = 0;
  for (let at = 0; at <= text.length; at++) {
    if (text[at] === "{") depth++;
    if (text[at] === "}") depth--;
    if (at === text.length || (text[at] === "," && depth === 0)) {
      parts.push(text.slice(from, at).trim());
      from = at + 1;
    }
  }
  return parts.filter(Boolean).flatMap((part) => {
    const brace = part.indexOf("{");
    if (brace >= 0) {
      const before = part.slice(0, brace).split("::").map((word) => word.trim()).filter(Boolean);
      const inside = useTree(part.slice(brace + 1, part.lastIndexOf("}")));
      return inside.map(({ names, as }) => ({ names: [...before, ...names].filter((name, at) => name !== "self" || at === 0), as: as ?? before.at(-1) }));
    }
    const [whole, as] = part.split(/\s+as\s+/);
    const names = whole.split("::").map((word) => word.trim()).filter(Boolean);
    return [{ names, as: as ?? (names.at(-1) === "self" ? null : names.at(-1)) }];
  });
}

/** Every `use` of a file: its path, the name that it gets, its line and whether it is re-exported. */
export function uses(code) {
  const found = [];
  for (const match of code.matchAll(/(pub(?:\([^)]*\))?\s+)?\buse\s+([^;]+);/g)) {
    const line = code.slice(0, match.index).split("\n").length;
    for (const { names, as } of useTree(match[2])) found.push({ names, as, line, reexport: Boolean(match[1]) });
  }
  return found;
}

export const isTest = (file) => /(^|\/)tests?(\/|\.rs$)|_tests?\.rs$/.test(file);

/** The imports inside one crate: `[{ from, to, line, path }]`. `files` is a Map of paths below the root to text. */
export function imports(files, source) {
  const own = [...files.keys()].filter((file) => file.startsWith(source + "/") && file.endsWith(".rs") && !isTest(file));
  const root = [`${source}/lib.rs`, `${source}/main.rs`].find((file) => files.has(file));
  const code = new Map(own.map((file) => [file, bare(files.get(file))]));
  const parsed = new Map(own.map((file) => [file, uses(code.get(file))]));
  // A file's folder for its children, and back.
  const home = (file) => (file === root || file.endsWith("/mod.rs") ? path.dirname(file) : file.replace(/\.rs$/, ""));
  const child = (folder, name) => [`${folder}/${name}.rs`, `${folder}/${name}/mod.rs`].find((file) => code.has(file));
  const parent = (file) => {
    const up = path.dirname(home(file));
    if (home(file) === source) return root;
    if (up === source) return root;
    return [`${up}/mod.rs`, `${up}.rs`].find((other) => code.has(other)) ?? root;
  };
  /** The file that a path leads to from this file, or null when it leads out of the crate. */
  const resolve = (file, names, depth = 0) => {
    if (depth > 12 || names.length === 0) return null;
    let at = file;
    let rest = names;
    if (rest[0] === "crate") [at, rest] = [root, rest.slice(1)];
    else if (rest[0] === "self") rest = rest.slice(1);
    else if (rest[0] === "super") {
      while (rest[0] === "super") [at, rest] = [parent(at), rest.slice(1)];
    } else if (!child(home(file), rest[0])) {
      // A name that this file imports, or another crate.
      const known = parsed.get(file)?.find((use) => use.as === rest[0] && use.names.length > 1);
      return known ? resolve(file, [...known.names, ...rest.slice(1)], depth + 1) : null;
    }
    while (rest.length > 0) {
      const next = child(home(at), rest[0]);
      if (next) {
        [at, rest] = [next, rest.slice(1)];
        continue;
      }
      const through = parsed.get(at)?.find((use) => use.reexport && use.as === rest[0]);
      if (through && at !== file) return resolve(at, [...through.names, ...rest.slice(1)], depth + 1) ?? at;
      break;
    }
    return at;
  };
  const edges = [];
  const add = (from, names, line) => {
    const to = resolve(from, names);
    if (to && to !== from) edges.push({ from, to, line, path: names.join("::") });
  };
  for (const file of own) {
    for (const use of parsed.get(file)) {
      // A module that re-exports its children does not depend on them.
      if (use.reexport) continue;
      add(file, use.names, use.line);
    }
    const text = code.get(file).replace(/\buse\s[^;]+;/g, (use) => use.replace(/[^\n]/g, " "));
    for (const match of text.matchAll(/\b(?:crate|super|self)(?:::\w+)+/g)) {
      add(file, match[0].split("::"), text.slice(0, match.index).split("\n").length);
    }
    for (const match of text.matchAll(/(?<![\w:.])([a-z]\w*)(?:::\w+)+/g)) {
      if (["crate", "super", "self"].includes(match[1]) || !child(home(file), match[1])) continue;
      add(file, match[0].split("::"), text.slice(0, match.index).split("\n").length);
    }
  }
  return edges;
}

/** Pairs that import each other: `[{ a, b, there, back }]`, with one import each way. */
export function mutual(edges, of) {
  const seen = new Map();
  for (const edge of edges) {
    const [a, b] = of(edge.from, edge.to) ?? [];
    if (!a || a === b) continue;
    if (!seen.has(`${a} ${b}`)) seen.set(`${a} ${b}`, { a, b, edge });
  }
  return [...seen.values()]
    .filter(({ a, b }) => a < b && seen.has(`${b} ${a}`))
    .map(({ a, b, edge }) => ({ a, b, there: edge, back: seen.get(`${b} ${a}`).edge }));
}

/** Is one of the two the file of the module that the other is directly in? */
export function parentAndChild(a, b) {
  const inside = (up, down) => {
    const folder = up.endsWith("/mod.rs") ? path.dirname(up) : up.replace(/\.rs$/, "");
    return path.dirname(down.replace(/\/mod\.rs$/, ".rs")) === folder;
  };
  return inside(a, b) || inside(b, a);
}

/** The two folders under the nearest folder that both files are in; null when one of them is a file right there. */
export function folders(from, to) {
  const [a, b] = [from.split("/"), to.split("/")];
  let at = 0;
  while (a[at] === b[at]) at++;
  return a.length > at + 1 && b.length > at + 1 ? [a.slice(0, at + 1).join("/"), b.slice(0, at + 1).join("/")] : null;
}
