#!/bin/sh
# freestanding.sh [FOLDER...]: core/ and router/ (or the folders named) need no libc. They also run in the native agent,
# which has none. Each is compiled for x86_64 and i386 with no headers but the compiler's own, linked into one object, and
# what that object still asks for must be in ALLOWED: six functions that the host program defines. Anything else
# fails: strlen that the compiler recognised in a loop, a 64-bit division (__udivdi3 on i386), a stack protector.
# i386 is left out only where the compiler cannot do it, and that is said. CC names the compiler.
set -u
cd "$(dirname "$0")/../.." || exit 1
top=$PWD
CC=${CC:-gcc}
ALLOWED='memcpy memmove memset memcmp eci_mem_alloc eci_mem_free'
[ $# -gt 0 ] || set -- core router
command -v "$CC" >/dev/null || { echo "no $CC here"; exit 77; }
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
headers=$($CC -print-file-name=include)
flags='-std=c11 -ffreestanding -nostdinc -nostdlib -fno-pic -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables'
flags="$flags -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror"
failed=0

# Compiles and links the folders for one machine and optimisation: check NAME COMPILER-FLAGS FOLDER...
check() {
	name=$1 machine=$2
	shift 2
	folders=$*
	objects=''
	for folder; do
		set -- "$top/$folder"/*.c
		[ -e "$1" ] || continue
		made=$tmp/${name%% *}/$folder
		mkdir -p "$made"
		# One run of the compiler, which goes on behind what it refuses.
		# shellcheck disable=SC2086 # lists
		(cd "$made" && $CC $machine $flags -isystem "$headers" -I"$top" -I"$top/include" -c "$@") || failed=1
		objects="$objects $(echo "$made"/*.o)"
	done
	[ -n "$objects" ] || { echo "$name: nothing to check in $folders"; failed=1; return; }
	# shellcheck disable=SC2086
	$CC $machine -nostdlib -no-pie -r $objects -o "$tmp/all.o" || { failed=1; return; }
	for symbol in $(nm -u "$tmp/all.o" | awk '{print $NF}'); do
		case " $ALLOWED " in
		*" $symbol "*) ;;
		*)
			echo "$name: undefined symbol $symbol, wanted by:"
			# shellcheck disable=SC2086
			nm -uA $objects | awk -v s="$symbol" '$NF == s {sub(/.*\//, "  ", $1); print "  " $1}'
			failed=1
			;;
		esac
	done
}

echo 'int probe;' >"$tmp/probe.c"
check 'x86_64 -O2' '-m64 -O2' "$@"
if $CC -m32 -ffreestanding -nostdlib -r "$tmp/probe.c" -o "$tmp/probe.o" 2>"$tmp/probe.err"; then
	check 'i386 -Os' '-m32 -Os' "$@"
else
	check 'x86_64 -Os' '-m64 -Os' "$@"
	echo "i386 not checked: $CC -m32 does not work here: $(head -1 "$tmp/probe.err")"
fi
exit $failed
