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
# none_of PATTERN SENTENCE FILE...: no line of code (comments aside) may match.
none_of() {
    local pattern=$1 sentence=$2 hits
    shift 2
    [ $# -gt 0 ] || return 0
    hits=$(grep -nHE "$pattern" "$@" | grep -vE '^[^:]+:[0-9]+:[[:space:]]*//' || true)
    [ -z "$hits" ] || { printf '%s\n  %s\n' "$hits" "$sentence"; return 1; }
}
rust_files() { find "$@" -name '*.rs' -not -path '*/target/*' | sort; }

one_place_for_sql() {
    local files=() file
    while read -r file; do
        case $file in core/src/store/*) continue ;; esac
        # A test may, when it says why in a comment: "sqlx here: <reason>".
        case $file in */tests/* | *_test.rs | *_tests.rs) grep -qE '//.*sqlx here: .+' "$file" && continue ;; esac
        files+=("$file")
    done < <(rust_files core app server)
    none_of '(^|[^[:alnum:]_])sqlx::' 'SQL has one home, core/src/store; a test that needs sqlx says "// sqlx here: <reason>".' ${files[@]+"${files[@]}"}
}
one_place_for_time() {
    local files=() file
    while read -r file; do
        [ "$file" = server/src/clock.rs ] || files+=("$file")
    done < <(rust_files core app server)
    none_of '(^|[^[:alnum:]_])(SystemTime|OffsetDateTime::now_(utc|local)|(Timestamp|Zoned)::now|getrandom)([^[:alnum:]_]|$)' \
        'Time and chance come in from server/src/clock.rs.' ${files[@]+"${files[@]}"}
}
no_inline_style() {
    local files
    mapfile -t files < <(rust_files app/src)
    none_of '(^|[^[:alnum:]_.-])style(=|:[a-z-]+=)' 'The content policy refuses inline styles: use a class, or an SVG attribute.' ${files[@]+"${files[@]}"}
}
paired_migrations() {
    local left
    [ -n "$(ls migrations/sqlite/*.sql 2>/dev/null)" ] || { echo "migrations/sqlite holds no .sql file"; return 1; }
    left=$(diff <(cd migrations/sqlite && ls) <(cd migrations/postgres && ls)) || { echo "$left"; echo "  Every migration exists under the same name in migrations/sqlite and migrations/postgres."; return 1; }
}
components() {
    cargo fmt --version && cargo clippy --version && return
    have rustup || { echo "rustfmt and clippy are missing: install Rust from https://rustup.rs"; return 1; }
    rustup component add rustfmt clippy
}

cd "$ROOT"
check "rustfmt and clippy are there" components
check "cargo fmt --check" cargo fmt --all --check
check "SQL only in core/src/store" one_place_for_sql
check "time and chance only from server/src/clock.rs" one_place_for_time
check "no inline styles in app/src" no_inline_style
check "migrations in pairs" paired_migrations
check "clippy, what the browser gets (wasm, hydrate)" \
    cargo clippy --locked -q -p keydesk-app --target wasm32-unknown-unknown --no-default-features --features hydrate -- -D warnings
check "clippy, everything else (native, ssr)" cargo clippy --locked -q --workspace --all-targets -- -D warnings
if visit=$(node scripts/first-visit.mjs 2>&1); then say "check: $visit"; else
    say "check: FAILED $visit"
    FAILED=1
fi

[ "$FAILED" -eq 0 ] || { say "check: FAILED"; exit 1; }
say "check: all passed"
