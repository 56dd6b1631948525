# The README's C example is examples/hello.c, to the letter, and has at most 40 lines.
set -eu
root=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
awk '/^```c$/ { inside = 1; next } /^```$/ { if (inside) exit } inside' "$root/README.md" >"$work/example.c"
if ! diff "$root/examples/hello.c" "$work/example.c"; then
    echo "README.md shows another text than examples/hello.c: copy it over"
    exit 1
fi
lines=$(wc -l <"$work/example.c")
if [ "$lines" -gt 40 ]; then
    echo "the example has $lines lines, and 40 is what a newcomer reads"
    exit 1
fi
