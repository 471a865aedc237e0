#!/usr/bin/env bash
# Tests with the official clients, psycopg, nginx, Caddy and promtool, in Python, against the built program (target/release/keydesk, or KEYDESK_BIN).
# Arguments go to pytest: scripts/clients.sh test_nginx.py. Nothing is skipped: what is missing is installed, or the run fails with a sentence.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

export KEYDESK_BIN=${KEYDESK_BIN:-$ROOT/target/release/keydesk}
[ -x "$KEYDESK_BIN" ] || die "there is no program at $KEYDESK_BIN: type 'make build', or set KEYDESK_BIN to the path of one"
case $KEYDESK_BIN in /*) ;; *) KEYDESK_BIN=$PWD/$KEYDESK_BIN ;; esac

# 1. A Python that can make virtual environments.
PYTHON=$(find_python 3.10 4.0)
if [ -z "$PYTHON" ]; then
    apt_install "Python with venv" python3 python3-venv
    PYTHON=$(find_python 3.10 4.0)
    [ -n "$PYTHON" ] || die "Python 3.10 or newer with venv is missing: install it, then run this again"
fi

# 2. The clients, exactly as pinned. llm needs another version of Anthropic's client than the tests, so it stands apart.
VENV=target/clients-venv
venv_install "$PYTHON" "$VENV" end2end/clients/requirements.txt
venv_install "$PYTHON" target/llm-venv end2end/clients/llm.txt
export KEYDESK_LLM=$ROOT/target/llm-venv/bin/llm
# FOCUS's validator needs libraries of before 2024, and a Python that has them.
OLDER=$(find_python 3.10 3.13)
[ -n "$OLDER" ] || die "Python 3.10, 3.11 or 3.12 with venv is missing, which FOCUS's validator needs: install one, then run this again"
venv_install "$OLDER" target/focus-venv end2end/clients/focus.txt
export KEYDESK_FOCUS=$ROOT/target/focus-venv

# 3. The clients for Node, for the snippets of the page that shows a key, and the AI SDK.
have node && have npm || die "Node is missing: install Node 20 or newer with npm (https://nodejs.org), then run this again"
if ! npm_ready end2end/clients; then
    say "clients: npm ci in end2end/clients (seconds)"
    quietly "npm ci" npm_install end2end/clients || die "npm ci failed in end2end/clients: read the lines above, then run this again"
fi

# 4. nginx and Caddy, which stand in front of gateways, and promtool, which reads metrics and rules as Prometheus does.
find_nginx() { command -v nginx || { [ -x /usr/sbin/nginx ] && echo /usr/sbin/nginx; }; }
NGINX=$(find_nginx || true)
if [ -z "$NGINX" ]; then
    apt_install nginx nginx-light
    NGINX=$(find_nginx || true)
    [ -n "$NGINX" ] || die "nginx was installed, but it is neither in the PATH nor in /usr/sbin"
fi
export KEYDESK_NGINX=$NGINX
have caddy || apt_install Caddy caddy
KEYDESK_CADDY=$(command -v caddy) || die "caddy was installed, but it is not in the PATH"
export KEYDESK_CADDY
have promtool || apt_install promtool prometheus
KEYDESK_PROMTOOL=$(command -v promtool) || die "prometheus was installed, but promtool is not in the PATH"
export KEYDESK_PROMTOOL
# Never its parent's settings, caches or keys.
unset OPENAI_API_KEY OPENAI_BASE_URL ANTHROPIC_API_KEY ANTHROPIC_AUTH_TOKEN ANTHROPIC_BASE_URL GEMINI_API_KEY GOOGLE_API_KEY \
    http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
export PYTHONDONTWRITEBYTECODE=1

# 5. A Postgres of their own, and the tests.
cd end2end/clients
exec "$ROOT/scripts/with-postgres.sh" "$ROOT/$VENV/bin/python" -m pytest -p no:cacheprovider "$@"
