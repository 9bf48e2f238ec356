#!/usr/bin/env bash
# What changed between two versions of the ABI: compare.sh OLD NEW, each a snapshot here or "now". Exit code 0: nothing
# that a compiled program could see, 1: something, 77: abidiff (Debian's abigail-tools) is missing.
set -euo pipefail
usage="usage: compare.sh OLD NEW"
old=${1:?"$usage"} new=${2:?"$usage"}
here=$(cd "$(dirname "$0")" && pwd)
command -v abidiff >/dev/null || { echo "compare.sh: abidiff is missing; install abigail-tools"; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# A library with a function per struct: its debug information has their fields, and the functions that are among them.
build() {
    local include=$here/$1 structs
    [ "$1" != now ] || include=$here/../include
    structs=$(sed -n 's/^typedef struct \(l2o_[a-z_]*\) {$/\1/p' "$include"/l2o/abi/*.h)
    {
        echo '#include <l2o/abi/loss.h>'
        echo '#include <l2o/abi/optimizee.h>'
        echo '#include <l2o/abi/plugin.h>'
        for name in $structs; do echo "const $name* keep_$name(void) { return 0; }"; done
    } >"$scratch/keep.c"
    # One path for both, so that nothing differs but the headers.
    rm -rf "$scratch/include"
    cp -r "$include" "$scratch/include"
    # abidiff sees no macro, and no enumerator of an enum without a name.
    {
        "${CC:-cc}" -std=c99 -E -dM -I"$include" "$scratch/keep.c" | grep '^#define L2O_'
        "${CC:-cc}" -std=c99 -E -P -I"$include" "$scratch/keep.c" | grep -o 'L2O_[A-Z0-9_]* = [-0-9]*'
    } | sort >"${2%.so}.constants"
    "${CC:-cc}" -std=c99 -g -shared -fPIC -I"$scratch/include" "$scratch/keep.c" -o "$2"
}
build "$old" "$scratch/old.so"
build "$new" "$scratch/new.so"
changed=0
diff "$scratch/old.constants" "$scratch/new.constants" || changed=1
abidiff --harmless "$scratch/old.so" "$scratch/new.so" || changed=1
[ $changed -eq 0 ] ||
    echo "compare.sh: '$new' differs from '$old'; if it is meant to, take another snapshot (sdk/README.md)"
exit $changed
