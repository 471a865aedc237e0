#!/usr/bin/env bash
# The release build: what browsers load (target/site) first, then target/release/keydesk, which embeds it.
# A new date on a file of the site rebuilds the program. So they are made beside it, and only those whose content changed are copied
# over: a build with nothing to do takes a second.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
[ "${1:-}" = "" ] || die "it takes no argument"

NEXT=target/site-next
WASM=target/front/wasm32-unknown-unknown/wasm-release/keydesk_app.wasm
fingerprint() { cat "$WASM" style/*.css package-lock.json scripts/build.sh scripts/browser-files.mjs scripts/site-sync.mjs | sha256sum | cut -d' ' -f1; }

started=$SECONDS
say "build: what the browser loads"
cargo build --locked --package=keydesk-app --lib --target-dir=target/front --target=wasm32-unknown-unknown \
    --no-default-features --features=hydrate --profile=wasm-release
if [ "$(fingerprint)" != "$(cat target/site.built 2>/dev/null)" ] || ! node scripts/site-sync.mjs --check target/site; then
    rm -f target/site.built
    node scripts/browser-files.mjs "$WASM" $NEXT
    node scripts/site-sync.mjs $NEXT target/site
    fingerprint >target/site.built
fi
say "build: the program"
cargo build --locked --package=keydesk --bin=keydesk --no-default-features --features=ssr --release
say "build: target/release/keydesk is ready ($((SECONDS - started)) s)"
