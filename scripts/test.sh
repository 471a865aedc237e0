#!/usr/bin/env bash
# Everything: checks, tests in Rust on both databases, the release build, a short bench, tests with the official clients and in a
# browser. Nothing is skipped: what is missing is installed, or the run fails with a sentence.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

LOGS=$(mktemp -d "${TMPDIR:-/tmp}/keydesk-test.XXXXXX")
STAGE=start
finish() {
    local code=$?
    rm -rf "$LOGS"
    [ "$code" -eq 0 ] || say "test: FAILED in the stage '$STAGE' after $SECONDS s"
}
trap finish EXIT
stage() {
    STAGE=$1
    printf '\n== %s (%d:%02d)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60))
}

stage "setup"
scripts/setup.sh
CHROMIUM=${KEYDESK_CHROMIUM:-}
find_chromium() {
    local name
    for name in chromium chromium-browser google-chrome-stable google-chrome; do
        if have "$name"; then command -v "$name"; return; fi
    done
}
[ -n "$CHROMIUM" ] || CHROMIUM=$(find_chromium)
if [ -z "$CHROMIUM" ]; then
    apt_install "Chromium" chromium
    CHROMIUM=$(find_chromium)
fi
[ -n "$CHROMIUM" ] && [ -x "$CHROMIUM" ] || die "there is no Chromium: set KEYDESK_CHROMIUM to the path of one"
export KEYDESK_CHROMIUM=$CHROMIUM
printf 'setup: %-18s %s\n' chromium "$CHROMIUM"

stage "check"
scripts/check.sh

stage "cargo test, SQLite and Postgres"
# Fuzzing takes about a minute of it.
KEYDESK_FUZZ_SECONDS=${KEYDESK_FUZZ_SECONDS:-3} scripts/with-postgres.sh cargo test --workspace --locked 2>&1 | tee "$LOGS/cargo"

stage "release build"
scripts/build.sh
node scripts/first-visit.mjs

stage "bench, short"
scripts/bench-check.sh

stage "client tests"
scripts/clients.sh 2>&1 | tee "$LOGS/clients"

stage "browser tests"
if ! npm_ready end2end; then
    say "end2end: npm ci (seconds)"
    quietly "npm ci" npm_install end2end || die "npm ci failed in end2end: read the lines above, then run this again"
fi
(cd end2end && npx --no-install tsc --noEmit && npx --no-install playwright test) 2>&1 | tee "$LOGS/playwright"

printf '\n== done (%d:%02d)\n' $((SECONDS / 60)) $((SECONDS % 60))
say "check: all passed"
# Measured by first-visit.spec.ts: what a browser receives.
grep -E '^first visit: ' "$LOGS/playwright" || die "no browser test measured the first visit"
awk '/^test result:/ { for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) p += $(i-1); if ($i ~ /^failed/) f += $(i-1); if ($i ~ /^ignored/) g += $(i-1) } n++ }
     END { printf "test result: ok. %d passed; %d failed; %d ignored (cargo test, %d programs)\n", p, f, g, n }' "$LOGS/cargo"
grep -E '^ +[0-9]+ (passed|failed|flaky|skipped|did not run)' "$LOGS/playwright" | sed 's/^ */playwright: /' || die "Playwright said nothing about passed tests"
# pytest's last line, such as "===== 412 passed in 61.20s (0:01:01) =====".
passed=$(sed -nE 's/^=+ (([0-9]+ [a-z]+, )*[0-9]+ passed.*) in [0-9.]+s.*$/\1/p' "$LOGS/clients" | tail -n 1)
[ -n "$passed" ] || die "pytest said nothing about passed tests"
say "clients: $passed"
