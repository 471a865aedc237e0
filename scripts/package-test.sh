#!/usr/bin/env bash
# package-test.sh [PROGRAM]: makes the Debian package of PROGRAM (or of target/release/keydesk), and installs, uses, upgrades, removes
# and purges it in a small Debian of its own: a container with systemd and no network, whose changes are in memory. It takes two
# minutes the first time, needs root, and stops by itself after ten. Nothing is skipped: what is missing is installed, or the run
# fails with a sentence.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
[ "$(id -u)" -eq 0 ] || die "only root can start a container: type 'sudo scripts/package-test.sh'"
[ -n "${KEYDESK_BOUNDED:-}" ] || KEYDESK_BOUNDED=yes exec timeout --kill-after=20 600 "$0" "$@"

# The Debian that the program was built on, or one whose libraries are newer.
SUITE=$(. /etc/os-release && [ "$ID" = debian ] && echo "$VERSION_CODENAME" || echo trixie)
SUITE=${KEYDESK_SUITE:-$SUITE}
PROGRAM=${1:-target/release/keydesk}
[ -x "$PROGRAM" ] || die "there is no program at $PROGRAM: type 'make build', or name the path of one"
export PATH="$PATH:/usr/sbin:/sbin"
have debootstrap || apt_install debootstrap debootstrap debian-archive-keyring
have systemd-nspawn || apt_install systemd-nspawn systemd-container
have nsenter || apt_install nsenter util-linux
PYTHON=$(find_python 3.10 4.0)
[ -n "$PYTHON" ] || die "Python 3.10 or newer with venv is missing: install it, then run this again"

WORK=$(mktemp -d /tmp/keydesk-package-test.XXXXXX)
CONTAINER=
finish() {
    local code=$?
    trap - EXIT
    if [ -n "$CONTAINER" ]; then
        if [ "$code" -ne 0 ]; then
            tail -n 3 "$WORK/boot.log"
            say "what the container's journal says of Keydesk at the end:"
            guest journalctl --unit=keydesk --lines=20 --no-pager --quiet || true
        fi
        kill -KILL "$(init)" "$CONTAINER" 2>/dev/null || true
        wait "$CONTAINER" 2>/dev/null || true
    fi
    rm -rf "$WORK"
    if [ "$code" -eq 0 ]; then say "package-test: all passed ($SECONDS s)"; else say "package-test: FAILED after $SECONDS s"; fi
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# 1. Two packages, of an older and a newer version. To compress them would take a minute each.
export DPKG_DEB_COMPRESSOR_TYPE=none
OLD=$(scripts/package.sh --version 0.0.1 "$PROGRAM")
NEW=$(scripts/package.sh --version 0.0.2 "$PROGRAM")
mv "$OLD" "$WORK/old.deb"
mv "$NEW" "$WORK/new.deb"

# 2. A Debian with systemd, and what the package depends on.
DEBIAN=target/package-root-$SUITE
if [ ! -e "$DEBIAN/made" ]; then
    rm -rf "$DEBIAN"
    quietly debootstrap debootstrap --variant=minbase --include=systemd-sysv,adduser,ca-certificates "$SUITE" "$DEBIAN" ||
        die "debootstrap could not make a Debian: read the lines above"
    touch "$DEBIAN/made"
fi

# 3. It starts, and what follows is done in it.
systemd-nspawn --quiet --directory="$DEBIAN" --volatile=overlay --private-network --register=no --keep-unit --bind-ro="$WORK:/mnt" \
    --boot </dev/null >"$WORK/boot.log" 2>&1 &
CONTAINER=$!
init() { pgrep --parent "$CONTAINER" | head -n 1; }
# guest CMD...: runs CMD in the container; person CMD...: runs CMD of this machine in the container's network.
guest() { timeout 60 nsenter --target="$(init)" --all -- "$@"; }
person() { timeout 60 nsenter --target="$(init)" --net -- "$PYTHON" end2end/package/person.py "$@"; }

# check WHAT CMD...: CMD has to succeed; until_so SECONDS WHAT CMD...: within this time.
check() {
    local what=$1 out
    shift
    out=$("$@" 2>&1) || { printf '%s\n' "$out"; die "$what: not so"; }
    say "  ok: $what"
}
until_so() {
    local ends=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$ends" ] || check "$what" "$@"
        sleep 0.3
    done
    say "  ok: $what"
}
is() { [ "$1" = "$2" ] || { echo "it is '$1', not '$2'"; return 1; }; }
not() { ! "$@"; }
pid() { guest systemctl show --property=MainPID --value keydesk; }
mode() { guest stat --format='%a %U:%G' "$1"; }
# What there is by its name, but for what dpkg remembers.
files() { guest find / -xdev -path /mnt -prune -o -iname '*keydesk*' ! -path '/var/lib/dpkg/*' ! -path '/proc/*' -print; }

until_so 60 "the container runs systemd" guest systemctl is-active basic.target

say "installing"
check "dpkg installs the package" guest dpkg --install /mnt/old.deb
until_so 20 "it can work" person ready
check "the service is enabled" guest systemctl --quiet is-enabled keydesk
check "it runs as its own user" is "$(guest stat --format=%U "/proc/$(pid)")" keydesk
check "only its user gets at the data" is "$(mode /var/lib/keydesk)" "700 keydesk:keydesk"
check "only root reads the settings" is "$(mode /etc/keydesk/keydesk.env)" "600 root:root"
check "the sandbox is rated under 2.0" guest systemd-analyze security --no-pager --threshold=19 keydesk
check "no file of the package was changed" guest dpkg --verify keydesk

say "first minutes"
LINK=$(guest keydeskctl setup-link)
check "the link sets it up" person set-up "$LINK"
KEY=$(person key first)
check "a key works" person ask "$KEY"
check "the health check says so" guest keydeskctl health
check "the doctor finds nothing wrong" guest keydeskctl doctor
guest sh -c "echo \"KEYDESK_MAIL_FROM='Key Desk <keydesk@example.com>'\" >>/etc/keydesk/keydesk.env"
check "the settings may have values with spaces" guest sh -c "keydeskctl doctor && systemctl restart keydesk"
until_so 20 "it can work again" person ready

say "trouble"
BEFORE=$(pid)
guest systemctl kill --signal=KILL keydesk
until_so 30 "it is started again when it was killed" person ready
check "it is another process" not is "$(pid)" "$BEFORE"
check "the key works as before" person ask "$KEY"

say "upgrading"
BEFORE=$(pid)
check "dpkg upgrades while it serves" guest dpkg --install --force-confold /mnt/new.deb
check "the newer version is installed" is "$(guest dpkg-query --show --showformat='${Version} ${Status}' keydesk)" "0.0.2 install ok installed"
check "it was restarted" not is "$(pid)" "$BEFORE"
until_so 20 "it can work" person ready
check "the key works as before" person ask "$KEY"
check "the owner signs in as before, and makes a key" person key second
check "the settings are kept" guest grep --quiet "Key Desk" /etc/keydesk/keydesk.env
check "the audit is intact" guest keydeskctl audit verify
check "the spend is right" guest keydeskctl spend verify
guest systemctl disable --now --quiet keydesk
check "dpkg installs it once more" guest dpkg --install --force-confold /mnt/new.deb
check "a service that was disabled stays so" not guest systemctl --quiet is-enabled keydesk
guest systemctl enable --now --quiet keydesk

say "removing"
check "dpkg removes it" guest dpkg --remove keydesk
check "nothing of it runs" not guest systemctl --quiet is-active keydesk
check "the program is gone" not guest test -e /usr/bin/keydesk
check "the data is kept" guest test -s /var/lib/keydesk/keydesk.sqlite
check "the settings are kept" guest grep --quiet "Key Desk" /etc/keydesk/keydesk.env
check "it can be installed again" guest dpkg --install /mnt/new.deb
until_so 20 "it can work" person ready
check "the key works as before" person ask "$KEY"
check "dpkg purges it" guest dpkg --purge keydesk
check "nothing of it is left" is "$(files)" ""
check "nor a trace in systemd" not guest systemctl --quiet is-enabled keydesk
