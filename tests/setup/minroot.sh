#!/bin/sh
# minroot.sh [--keep] [SCRIPT...]: does the clone need anything but apt? Makes a minimal Debian root with mmdebstrap (or
# debootstrap), copies HEAD into it (git archive: no git there, nothing uncommitted) and runs SCRIPTs in it, by default scripts/demo and
# scripts/test, each from a root of its own kind: the packages that one installs do not hide what the other forgot.
# Root only; by hand, a quarter of an hour; MINROOT_DIR says where (default: $TMPDIR), MINROOT_SUITE which Debian (bookworm).
set -eu
top=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
keep=
[ "${1:-}" != --keep ] || { keep=yes; shift; }
[ $# -gt 0 ] || set -- scripts/demo scripts/test
[ "$(id -u)" = 0 ] || { echo 'minroot: needs root' >&2; exit 2; }
suite=${MINROOT_SUITE:-bookworm}
base=$(mktemp -d "${MINROOT_DIR:-${TMPDIR:-/tmp}}/econtext-minroot.XXXXXX")
chmod 755 "$base"
# The mounts of the runs lie in namespaces of their own and are gone with them, so this removes only what it made.
cleanup() { [ -n "$keep" ] || rm -rf --one-file-system "$base"; }
trap cleanup EXIT
trap 'exit 130' INT TERM

echo "minroot: making $base/clean"
if command -v mmdebstrap >/dev/null; then
	mmdebstrap --quiet --variant=minbase "$suite" "$base/clean" >"$base/log" 2>&1 || { tail "$base/log" >&2; exit 1; }
elif command -v debootstrap >/dev/null; then
	debootstrap --variant=minbase "$suite" "$base/clean" >"$base/log" 2>&1 || { tail "$base/log" >&2; exit 1; }
else
	echo 'minroot: neither mmdebstrap nor debootstrap here' >&2
	exit 2
fi
cp -L /etc/resolv.conf "$base/clean/etc/resolv.conf"
mkdir "$base/clean/src"
git -C "$top" archive HEAD | tar -x -C "$base/clean/src"

failed=0
for script in "$@"; do
	root=$base/$(basename "$script")
	cp -a "$base/clean" "$root"
	echo "minroot: $script"
	# A pid namespace: whatever the script leaves behind ends with it.
	# shellcheck disable=SC2016 # expanded inside
	if env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb unshare --mount --pid --fork --kill-child sh -euc '
		mount -t proc proc "$1/proc"
		mount --rbind /dev "$1/dev"
		mount -t tmpfs tmpfs "$1/tmp"
		exec chroot "$1" sh -c "cd /src && exec \"\$0\"" "$2"
	' sh "$root" "./$script"; then
		echo "minroot: $script: well"
	else
		echo "minroot: $script: failed"
		failed=$((failed + 1))
	fi
	[ -n "$keep" ] || rm -rf --one-file-system "$root"
done
[ $failed -eq 0 ]
