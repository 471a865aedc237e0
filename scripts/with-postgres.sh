#!/usr/bin/env bash
# with-postgres.sh [--durable] CMD...: runs CMD with a Postgres of its own, made for it and removed after it.
# CMD finds it in KEYDESK_TEST_POSTGRES; the exit code is CMD's. Tests need no disk to be waited for; a bench does.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
DURABLE=off
if [ "${1:-}" = --durable ]; then
    DURABLE=on
    shift
fi
[ $# -gt 0 ] || die "give the command to run, for example: scripts/with-postgres.sh cargo test"

newest_bin() { find /usr/lib/postgresql/*/bin -maxdepth 1 -name initdb 2>/dev/null | sort -V | tail -n 1 | xargs -r dirname; }
BIN=$(newest_bin)
if [ -z "$BIN" ] && have initdb && have pg_ctl; then BIN=$(dirname "$(command -v initdb)"); fi
if [ -z "$BIN" ]; then
    apt_install Postgres postgresql
    BIN=$(newest_bin)
    [ -n "$BIN" ] || die "Postgres was installed, but /usr/lib/postgresql/*/bin/initdb is not there"
fi

# A short path, as a socket's path must be short; readable for the user below, as TMPDIR may not be.
DIR=$(mktemp -d /tmp/keydesk-pg.XXXXXX)
AS=()
if [ "$(id -u)" -eq 0 ]; then
    # Postgres refuses to run as root.
    who=nobody
    id postgres >/dev/null 2>&1 && who=postgres
    chown "$who" "$DIR"
    AS=(runuser -u "$who" --)
fi
pg() { (cd "$DIR" && exec env -u PGHOST -u PGPORT -u PGUSER -u PGDATA LC_ALL=C.UTF-8 ${AS[@]+"${AS[@]}"} "$@"); }

JOB=
cleanup() {
    local code=$?
    trap - EXIT
    trap '' INT TERM HUP
    if [ -n "$JOB" ] && kill -0 -- "-$JOB" 2>/dev/null; then
        kill -TERM -- "-$JOB" 2>/dev/null || true
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            kill -0 -- "-$JOB" 2>/dev/null || break
            sleep 0.3
        done
    fi
    [ -f "$DIR/data/postmaster.pid" ] && pg "$BIN/pg_ctl" -D "$DIR/data" -m immediate -w stop >/dev/null 2>&1
    rm -rf "$DIR"
    exit "$code"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

pg "$BIN/initdb" -D "$DIR/data" -U keydesk -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$DIR/initdb.log" 2>&1 ||
    { cat "$DIR/initdb.log" >&2; die "initdb failed"; }
cat >>"$DIR/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$DIR'
fsync = $DURABLE
synchronous_commit = $DURABLE
full_page_writes = $DURABLE
max_connections = 300
CONF

# Nobody can reserve a port for another process, so a taken one is answered by the next try.
started=
for _ in 1 2 3 4 5 6; do
    PORT=$((20000 + RANDOM % 12000))
    if (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; then continue; fi
    if pg "$BIN/pg_ctl" -D "$DIR/data" -l "$DIR/log" -o "-p $PORT" -w -t 60 start >/dev/null 2>&1; then
        started=yes
        break
    fi
done
[ -n "$started" ] || { cat "$DIR/log" >&2 || true; die "Postgres did not start"; }

export KEYDESK_TEST_POSTGRES="postgres://keydesk@127.0.0.1:$PORT/postgres"
# A process group of its own: whatever ends this script ends all of CMD too.
set -m
"$@" <&0 &
JOB=$!
set +m
code=0
wait "$JOB" || code=$?
JOB=
exit "$code"
