#!/usr/bin/env bash
# bench-check.sh [--record]: measures requests for half a minute on each database, and fails where a ratio is below half of what
# docs/bench.json has. With --record it writes that file. Uses target/release/keydesk as it is.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
case "${1:-}" in
"") act=--check ;;
--record) act=--record ;;
*) die "it takes --record or nothing" ;;
esac
[ -x target/release/keydesk ] || die "target/release/keydesk is missing: type 'make build'"

# The name that the program was built with: another one would build it anew.
export LEPTOS_OUTPUT_NAME=keydesk
cargo build --release --locked -p keydesk --no-default-features --features ssr --bin keydesk-bench
target/release/keydesk-bench --keys 2000 --database sqlite "$act" docs/bench.json
scripts/with-postgres.sh --durable target/release/keydesk-bench --keys 2000 --database postgres "$act" docs/bench.json
