#!/usr/bin/env bash
# What a reader need not look for: format, lints, and the rules of ARCHITECTURE.md that a search can hold up.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
mkdir -p target/site

FAILED=0
# check WHAT CMD...: one line; CMD's output follows when it fails.
check() {
    local what=$1 started=$SECONDS out
    shift
    if out=$("$@" 2>&1); then
        printf 'check: %-58s ok (%s s)\n' "$what" "$((SECONDS - started))"
    else
        printf 'check: %-58s FAILED\n%s\n' "$what" "$out"
        FAILED=1
    fi
}
components() {
    cargo fmt --version && cargo clippy --version && return
    have rustup || { echo "rustfmt and clippy are missing: install Rust from https://rustup.rs"; return 1; }
    rustup component add rustfmt clippy
}

cd "$ROOT"
check "rustfmt and clippy are there" components
check "cargo fmt --check" cargo fmt --all --check
check "rules of scripts/rules.mjs" node scripts/rules.mjs
check "each rule finds a planted violation" node scripts/rules.test.mjs
check "clippy, what the browser gets (wasm, hydrate)" \
    cargo clippy --locked -q -p keydesk-app --target wasm32-unknown-unknown --no-default-features --features hydrate -- -D warnings
check "clippy, everything else (native, ssr)" cargo clippy --locked -q --workspace --all-targets -- -D warnings
check "documentation of core" env RUSTDOCFLAGS="-D warnings" cargo doc --locked -q -p keydesk-core --features store --no-deps
if visit=$(node scripts/first-visit.mjs 2>&1); then say "check: $visit"; else
    say "check: FAILED $visit"
    FAILED=1
fi

[ "$FAILED" -eq 0 ] || { say "check: FAILED"; exit 1; }
say "check: all passed"
