#!/bin/sh
# symbols.sh ARCHIVE CC LIST [without-vulkan] [without-opencl] - what a shared library of wane exports is the list, no more
# and no less: a name that is missing breaks programs, a new one is a promise. Layouts are compared with abidiff once there
# is a tagged version to compare with. And whoever links the archive shares one space of names with us: all that it defines
# for others, hidden or not, begins with wane_.
set -eu
archive=$1 cc=$2 list=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
nm -g --defined-only "$archive" | awk 'NF == 3 { print $3 }' | LC_ALL=C sort -u >"$work/defined"
[ "$(grep -c '^wane_' "$work/defined")" -ge "$(grep -c '^wane_' "$list")" ]    # nm has read it
if grep -v '^wane_' "$work/defined"; then
    echo "these names of the archive lack the prefix: see src/core/prefix.h"
    exit 1
fi
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
echo "$(wc -l <"$work/exported") symbols, all in the list; $(wc -l <"$work/defined") names in the archive, all with the prefix"
