#!/bin/sh
# library_size.sh ARCHIVE CC SPIRV_DIR - the budgets: a stripped library of 3.6 MB, 150 modules of 750 KB for Vulkan:
# four families of losses. Each engine (one tensor, two tensors, products, pairs) is some 100 to 200 KB of modules, and some 150 KB
# of hand-written code and as much of compiled text an instruction set; a loss of an engine adds none of either.
set -eu
archive=$1 cc=$2 modules=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$cc" -shared -Wl,--whole-archive "$archive" -Wl,--no-whole-archive -pthread -ldl -lm -o "$work/wane.so"
strip "$work/wane.so"
bytes=$(wc -c < "$work/wane.so")
echo "stripped library: $bytes bytes of 3600000"
[ "$bytes" -le 3600000 ]
if [ -d "$modules" ]; then
    count=$(find "$modules" -name '*.spv' | wc -l)
    bytes=$(find "$modules" -name '*.spv' -exec cat {} + | wc -c)
    echo "SPIR-V: $count modules of 150, $bytes bytes of 750000"
    [ "$count" -le 150 ] && [ "$bytes" -le 750000 ]
fi
