#!/usr/bin/env bash
# The release build: target/site (what browsers load) first, then target/release/keydesk, which embeds it.
# cargo-leptos empties its site folder at every build, and a new date on a file rebuilds the program. So it builds beside the
# site, and only files whose content changed are copied over: a build with nothing to do takes a second.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
[ "${1:-}" = "" ] || die "it takes no argument"

export LEPTOS_OUTPUT_NAME=keydesk
NEXT=target/site-next
WASM=target/front/wasm32-unknown-unknown/wasm-release/keydesk_app.wasm
fingerprint() { cat "$WASM" style/*.css Cargo.toml Cargo.lock package-lock.json scripts/build.sh scripts/site-sync.mjs | sha256sum | cut -d' ' -f1; }

started=$SECONDS
say "build: what the browser loads"
# The same command that cargo-leptos runs, so that cargo says whether anything is new at all.
cargo build --locked --package=keydesk-app --lib --target-dir="$ROOT/target/front" --target=wasm32-unknown-unknown \
    --no-default-features --features=hydrate --profile=wasm-release
if [ "$(fingerprint)" != "$(cat target/site.built 2>/dev/null)" ] || ! node scripts/site-sync.mjs --check target/site; then
    rm -f target/site.built
    LEPTOS_SITE_ROOT=$NEXT cargo leptos build --release --frontend-only --cargo-locked
    node scripts/site-sync.mjs $NEXT target/site
    fingerprint >target/site.built
fi
say "build: the program"
cargo leptos build --release --server-only --cargo-locked
say "build: target/release/keydesk is ready ($((SECONDS - started)) s)"
