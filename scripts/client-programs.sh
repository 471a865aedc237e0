#!/usr/bin/env bash
# Programs and libraries that people use (Claude Code, Codex, Gemini CLI, aider, LangChain and more), each with good and bad keys,
# against the built program as scripts/clients.sh has it. They take 2.5 GB, so 'make test' does not run them. Arguments go to pytest:
# scripts/client-programs.sh -k codex.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

have node && have npm || die "Node is missing: install Node 20 or newer with npm (https://nodejs.org), then run this again"
PROGRAMS=end2end/clients/programs
if ! npm_ready $PROGRAMS; then
    say "client-programs: npm ci in $PROGRAMS (a minute, 900 MB)"
    quietly "npm ci" npm_install $PROGRAMS || die "npm ci failed in $PROGRAMS: read the lines above, then run this again"
fi

# aider runs on no newer Python.
PYTHON=$(find_python 3.10 3.13)
[ -n "$PYTHON" ] || die "aider needs Python 3.10, 3.11 or 3.12 with venv: install one, then run this again"
venv_install "$PYTHON" target/aider-venv $PROGRAMS/aider.txt
venv_install "$PYTHON" target/libraries-venv $PROGRAMS/libraries.txt
export KEYDESK_AIDER=$ROOT/target/aider-venv/bin/aider KEYDESK_LIBRARIES=$ROOT/target/libraries-venv/bin/python

exec scripts/clients.sh programs "$@"
