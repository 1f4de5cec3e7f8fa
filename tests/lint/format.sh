#!/bin/sh
# format.sh [--fix]: every tracked C file is as .clang-format has it (--fix: makes it so). Without clang-format: 77, skipped.
set -u
cd "$(dirname "$0")/../.." || exit 1
command -v clang-format >/dev/null || { echo 'no clang-format here'; exit 77; }
files=$(git ls-files '*.c' '*.h' 2>/dev/null)
[ -n "$files" ] || files=$(find bench cli core examples include io mesh preamble router service tests topology transport -name '*.[ch]')
# shellcheck disable=SC2086 # a list
[ "${1:-}" != --fix ] || exec clang-format -i $files
# shellcheck disable=SC2086
clang-format --dry-run -Werror $files 2>&1 | grep -E 'error:' && exit 1
exit 0
