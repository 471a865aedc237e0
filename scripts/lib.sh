# Shared by the scripts beside it; sourced, never run.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TOOLS=${XDG_CACHE_HOME:-$HOME/.cache}/keydesk/tools
export PATH="$TOOLS/bin:$ROOT/node_modules/.bin:$PATH"
# The browser comes from the system: see scripts/test.sh.
export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1

say() { printf '%s\n' "$*"; }
die() {
    printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# at_least WANTED HAVE: is version HAVE the same as WANTED or newer?
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# quietly WHAT CMD...: runs CMD with its output in a file, says every 15 seconds how far it is, and shows the output's end when it fails.
quietly() {
    local what=$1 log pid started=$SECONDS code=0 last
    shift
    log=$(mktemp "${TMPDIR:-/tmp}/keydesk-step.XXXXXX")
    "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    local tick=0
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.5
        tick=$((tick + 1))
        if [ $((tick % 30)) -eq 0 ]; then
            last=$(tail -n 1 "$log" | tr -d '\r' | sed 's/^ *//' | cut -c1-80)
            say "  … $what: $((SECONDS - started)) s, $(grep -c '' "$log") lines so far, now: ${last:-waiting}"
        fi
    done
    wait "$pid" || code=$?
    if [ "$code" -ne 0 ]; then
        say "  $what failed after $((SECONDS - started)) s; the end of its output:" >&2
        tail -n 30 "$log" >&2
    fi
    rm -f "$log"
    return "$code"
}

# npm_ready FOLDER: does FOLDER/node_modules hold what its lock file says? (npm_install leaves a copy of the lock file to compare with.)
npm_ready() { cmp -s "$1/package-lock.json" "$1/node_modules/.keydesk-installed.json"; }
npm_install() {
    (cd "$1" && npm ci --no-audit --no-fund --loglevel=error) && cp "$1/package-lock.json" "$1/node_modules/.keydesk-installed.json"
}

# apt_install WHAT PACKAGE...: installs when it may, says what to type when it may not.
apt_install() {
    local what=$1
    shift
    have apt-get || die "$what is missing and this is no Debian: install it, then run this again"
    [ "$(id -u)" -eq 0 ] || die "$what is missing: type 'sudo apt-get install $*', then run this again"
    say "$what is missing: installing $* with apt-get"
    export DEBIAN_FRONTEND=noninteractive
    quietly "apt-get update" apt-get update -q || die "apt-get cannot reach its package lists; $what has to be installed by hand"
    quietly "apt-get install $*" apt-get install -y -q --no-install-recommends "$@" || die "apt-get could not install $*"
}

# find_python OLDEST BELOW: a Python between these versions that can make virtual environments. The system's comes first: another one
# in the PATH may be a front for several.
find_python() {
    local python
    for python in /usr/bin/python3 python3 python3.12 python3.11 python3.10; do
        "$python" -c "import sys, venv, ensurepip; sys.exit(not (${1/./, }) <= sys.version_info[:2] < (${2/./, }))" >/dev/null 2>&1 || continue
        command -v "$python"
        return
    done
}

# venv_install PYTHON VENV PINS: makes VENV with exactly what PINS names; again when the pins or the Python are others.
venv_install() {
    local python=$1 venv=$2 pins=$3 wanted
    wanted=$({ cat "$pins"; "$python" -c 'import sys; print(sys.version)'; } | sha256sum | cut -d' ' -f1)
    [ "$wanted" != "$(cat "$venv/installed" 2>/dev/null)" ] || return 0
    say "installing what $pins names into $venv"
    rm -rf "$venv"
    "$python" -m venv "$venv" || die "$python cannot make a virtual environment: install python3-venv, then run this again"
    # Without dependencies: everything is pinned, and what is not pinned must not come along.
    quietly "pip install" "$venv/bin/pip" install --disable-pip-version-check --no-input --no-deps -r "$pins" ||
        die "pip could not install $pins: read the lines above, then run this again"
    "$venv/bin/pip" check >/dev/null || die "$pins does not fit together: $("$venv/bin/pip" check | head -n 1)"
    echo "$wanted" >"$venv/installed"
}
