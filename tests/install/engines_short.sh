# The example engines stay short enough to be read at once and copied.
set -eu
for file in "$1"/examples/engine_*; do
    lines=$(wc -l <"$file")
    if [ "$lines" -gt 200 ]; then
        echo "$file has $lines lines, and 200 is the most"
        exit 1
    fi
done
