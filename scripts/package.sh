#!/usr/bin/env bash
# package.sh [--version VERSION] [PROGRAM]: makes target/keydesk_VERSION_ARCHITECTURE.deb of PROGRAM, or of target/release/keydesk, and
# prints its path. What is in it is in packaging/debian.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

VERSION=
if [ "${1:-}" = --version ]; then
    VERSION=${2:?--version needs a version}
    shift 2
fi
PROGRAM=${1:-target/release/keydesk}
[ -x "$PROGRAM" ] || die "there is no program at $PROGRAM: type 'make build', or name the path of one"
have dpkg-shlibdeps || apt_install dpkg-shlibdeps dpkg-dev
# Debian sorts 1.0.0~rc.1 before 1.0.0, as Cargo sorts 1.0.0-rc.1.
[ -n "$VERSION" ] || VERSION=$("$PROGRAM" --version | sed 's/^keydesk //; s/-/~/')
ARCHITECTURE=$(dpkg --print-architecture)

TREE=$(mktemp -d "${TMPDIR:-/tmp}/keydesk-package.XXXXXX")
trap 'rm -rf "$TREE"' EXIT
umask 022
chmod 755 "$TREE"
FROM=packaging/debian
put() { install -D -m "$1" "$2" "$TREE/$3"; }
put 755 "$PROGRAM" usr/bin/keydesk
put 755 $FROM/keydeskctl usr/sbin/keydeskctl
put 644 $FROM/keydesk.service usr/lib/systemd/system/keydesk.service
put 600 $FROM/keydesk.env etc/keydesk/keydesk.env
put 644 $FROM/copyright usr/share/doc/keydesk/copyright
put 644 LICENSE-MIT usr/share/doc/keydesk/LICENSE-MIT
put 644 docs/gateway_role.sql usr/share/doc/keydesk/gateway_role.sql
gzip -9n <CHANGELOG.md >"$TREE/usr/share/doc/keydesk/changelog.gz"

# Which versions of the system's libraries the program needs; none if it is linked statically.
mkdir "$TREE/debian"
printf 'Source: keydesk\n\nPackage: keydesk\nArchitecture: any\n' >"$TREE/debian/control"
LIBRARIES=$(cd "$TREE" && dpkg-shlibdeps -O -eusr/bin/keydesk 2>/dev/null | sed -n 's/^shlibs:Depends=\(.*\)/\1, /p') ||
    die "dpkg-shlibdeps does not know the libraries of $PROGRAM: build it on the Debian that it is packaged on"
rm -r "$TREE/debian"

SIZE=$(du -k -s "$TREE" | cut -f1)
for file in conffiles postinst prerm postrm; do
    mode=755
    [ "$file" != conffiles ] || mode=644
    put "$mode" "$FROM/$file" "DEBIAN/$file"
done
sed -e "s/@VERSION@/$VERSION/; s/@ARCHITECTURE@/$ARCHITECTURE/; s/@SIZE@/$SIZE/; s/@LIBRARIES@/$LIBRARIES/" $FROM/control >"$TREE/DEBIAN/control"
(cd "$TREE" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)

mkdir -p target
PACKAGE=target/keydesk_${VERSION}_$ARCHITECTURE.deb
dpkg-deb --root-owner-group --build "$TREE" "$PACKAGE" >/dev/null
say "$PACKAGE"
