#!/bin/sh
# library_size.sh ARCHIVE CC SPIRV_DIR - the budgets: a stripped library of 2.3 MB, 150 modules of 500 KB for Vulkan.
set -eu
archive=$1 cc=$2 modules=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$cc" -shared -Wl,--whole-archive "$archive" -Wl,--no-whole-archive -pthread -ldl -lm -o "$work/wane.so"
strip "$work/wane.so"
bytes=$(wc -c < "$work/wane.so")
echo "stripped library: $bytes bytes of 2300000"
[ "$bytes" -le 2300000 ]
if [ -d "$modules" ]; then
    count=$(find "$modules" -name '*.spv' | wc -l)
    bytes=$(find "$modules" -name '*.spv' -exec cat {} + | wc -c)
    echo "SPIR-V: $count modules of 150, $bytes bytes of 500000"
    [ "$count" -le 150 ] && [ "$bytes" -le 500000 ]
fi
