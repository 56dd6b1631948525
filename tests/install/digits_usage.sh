# What the digits example answers to a wrong command line: an exit code, and a message that names what is wrong.
set -eu
digits=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# expect CODE WORD ARGUMENT...
expect() {
    expected=$1
    word=$2
    shift 2
    code=0
    "$digits" "$@" >"$work/out" 2>&1 </dev/null || code=$?
    if [ "$code" -ne "$expected" ] || ! grep -q -- "$word" "$work/out"; then
        echo "digits $*: exit code $code, wanted $expected and a message with '$word':"
        cat "$work/out"
        exit 1
    fi
}

sed 400q "$(dirname "$0")/../data/digits.csv" >"$work/short.csv"
sed 's/$/,0/' "$(dirname "$0")/../data/digits.csv" >"$work/wide.csv"
sed 's/,16,/,17,/' "$(dirname "$0")/../data/digits.csv" >"$work/dark.csv"
expect 0 'Exit code' --help
expect 2 '--nonsense' --nonsense 1
expect 2 'needs a value' --epochs
expect 2 'zero' --epochs zero
expect 2 '1001' --epochs 1001
expect 2 'nowhere.csv' --data "$work/nowhere.csv"
expect 2 'too few rows' --data "$work/short.csv"
expect 2 'more than 65' --data "$work/wide.csv"
expect 2 'out of range' --data "$work/dark.csv"
expect 1 'elsewhere' --device elsewhere --svg "$work/x.svg"
expect 1 'no/such' --device cpu --epochs 1 --svg "$work/no/such/x.svg"
# one pass is too little to learn from, and it says so
expect 1 'NOT LEARNT' --device cpu --epochs 1 --svg "$work/x.svg"
grep -q '<polyline' "$work/x.svg"
