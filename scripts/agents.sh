#!/usr/bin/env bash
# Claude Code and aider with a key of $0.50 a day, against the built program as scripts/clients.sh has it. They take about a gigabyte,
# so 'make test' does not run them.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

have node && have npm || die "Node is missing: install Node 20 or newer with npm (https://nodejs.org), then run this again"
AGENTS=end2end/clients/agents
if ! npm_ready $AGENTS; then
    say "agents: npm ci in $AGENTS (seconds, 400 MB)"
    quietly "npm ci" npm_install $AGENTS || die "npm ci failed in $AGENTS: read the lines above, then run this again"
fi

# aider runs on no newer Python.
PYTHON=$(find_python 3.10 3.13)
[ -n "$PYTHON" ] || die "aider needs Python 3.10, 3.11 or 3.12 with venv: install one, then run this again"
venv_install "$PYTHON" target/aider-venv $AGENTS/aider.txt
export KEYDESK_AIDER=$ROOT/target/aider-venv/bin/aider

exec scripts/clients.sh agents/test_coding_agents.py "$@"
