# install-packages without leave to install: says what it would, changes nothing, and knows a wrong command line.
set -eu
script=$1/tools/install-packages
for purpose in build test; do
    sh "$script" --no-install "$purpose" </dev/null
done
code=0
sh "$script" --no-install everything >/dev/null 2>&1 || code=$?
[ "$code" -eq 2 ] || { echo "a wrong purpose ended with $code, not 2"; exit 1; }
for tool in quickstart test; do
    sh "$1/tools/$tool" --help >/dev/null
    code=0
    sh "$1/tools/$tool" --nonsense >/dev/null 2>&1 || code=$?
    [ "$code" -eq 2 ] || { echo "$tool --nonsense ended with $code, not 2"; exit 1; }
done
