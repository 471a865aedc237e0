#!/usr/bin/env bash
# Tests that break what the program stands on: disks, clocks, connections, databases; against target/release/keydesk, or KEYDESK_BIN.
# Arguments go to pytest: scripts/faults.sh test_log.py. Nothing is skipped but the small disk, which only root can mount: what is
# missing is installed, or the run fails with a sentence.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

export KEYDESK_BIN=${KEYDESK_BIN:-$ROOT/target/release/keydesk}
[ -x "$KEYDESK_BIN" ] || die "there is no program at $KEYDESK_BIN: type 'make build', or set KEYDESK_BIN to the path of one"
case $KEYDESK_BIN in /*) ;; *) KEYDESK_BIN=$PWD/$KEYDESK_BIN ;; esac

# 1. Python with what the tests of clients have.
PYTHON=$(find_python 3.10 4.0)
if [ -z "$PYTHON" ]; then
    apt_install "Python with venv" python3 python3-venv
    PYTHON=$(find_python 3.10 4.0)
    [ -n "$PYTHON" ] || die "Python 3.10 or newer with venv is missing: install it, then run this again"
fi
VENV=target/clients-venv
venv_install "$PYTHON" "$VENV" end2end/clients/requirements.txt

# 2. Postgres' programs, a clock that can be moved, and what stands between a program and its network.
newest() { find "$1" -maxdepth 4 -name "$2" 2>/dev/null | sort -V | tail -n 1; }
INITDB=$(newest /usr/lib/postgresql initdb)
if [ -z "$INITDB" ]; then
    apt_install Postgres postgresql
    INITDB=$(newest /usr/lib/postgresql initdb)
    [ -n "$INITDB" ] || die "Postgres was installed, but /usr/lib/postgresql/*/bin/initdb is not there"
fi
KEYDESK_PG_BIN=$(dirname "$INITDB")
KEYDESK_FAKETIME=$(newest /usr/lib libfaketimeMT.so.1)
if [ -z "$KEYDESK_FAKETIME" ]; then
    apt_install libfaketime faketime
    KEYDESK_FAKETIME=$(newest /usr/lib libfaketimeMT.so.1)
    [ -n "$KEYDESK_FAKETIME" ] || die "libfaketime was installed, but libfaketimeMT.so.1 is not in /usr/lib"
fi
export KEYDESK_PG_BIN KEYDESK_FAKETIME
export PATH="$PATH:/usr/sbin:/sbin"
have prlimit || apt_install prlimit util-linux
have pgbouncer || apt_install PgBouncer pgbouncer
have nginx || apt_install nginx nginx-light
KEYDESK_PGBOUNCER=$(command -v pgbouncer) KEYDESK_NGINX=$(command -v nginx)
export KEYDESK_PGBOUNCER KEYDESK_NGINX
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
export PYTHONDONTWRITEBYTECODE=1

# 3. A Postgres that the tests share, and the tests. Some open a thousand connections.
ulimit -n 4096 2>/dev/null || die "at least 4096 open files are needed: raise the hard limit ('ulimit -Hn')"
cd end2end/faults
exec "$ROOT/scripts/with-postgres.sh" "$ROOT/$VENV/bin/python" -m pytest -p no:cacheprovider "$@"
