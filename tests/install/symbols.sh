#!/bin/sh
# symbols.sh ARCHIVE CC LIST [without-vulkan] [without-opencl] - what a shared library of wane exports is the list, no more
# and no less: a name that is missing breaks programs, a new one is a promise. Layouts are compared with abidiff once there
# is a tagged version to compare with.
set -eu
archive=$1 cc=$2 list=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$cc" -shared -Wl,--whole-archive "$archive" -Wl,--no-whole-archive -pthread -ldl -lm -o "$work/wane.so"
nm -D --defined-only "$work/wane.so" | awk '{ print $NF }' | LC_ALL=C sort >"$work/exported"
grep -v '^#' "$list" | LC_ALL=C sort >"$work/listed"
for without in "$@"; do
    grep -v "_${without#without-}$" "$work/listed" >"$work/fewer"
    mv "$work/fewer" "$work/listed"
done
if ! diff "$work/listed" "$work/exported"; then
    echo "< is in $list alone, > is exported and not in it"
    exit 1
fi
echo "$(wc -l <"$work/exported") symbols, all in the list"
