#!/usr/bin/env bash
# Keeps the ABI as it stands under the name of its version (v1rc1, v1.0, v1.1 ...): the headers and where everything
# lies. Add the name to L2O_ABI_SNAPSHOTS in tests/CMakeLists.txt.
set -euo pipefail
name=${1:?"usage: snapshot.sh NAME"}
cd "$(dirname "$0")/../.."
to=sdk/abi_history/$name
fail() { echo "snapshot.sh: $*" >&2; exit 1; }

[ ! -e "$to" ] || fail "$to is there; a snapshot never changes, take one of another name"
grep -q "\"l2o_plugin_entry_${name%%.*}\"" sdk/include/l2o/abi/plugin.h ||
    fail "'$name' is not what these headers are: $(grep -o '"l2o_plugin_entry_.*"' sdk/include/l2o/abi/plugin.h)"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${CC:-cc}" -std=c99 -Isdk/include tests/sdk/abi_layout.c tests/sdk/abi_layout_main.c -o "$scratch/layout"
mkdir -p "$scratch/$name/l2o"
"$scratch/layout" >"$scratch/$name/layout.txt"
cp -r sdk/include/l2o/abi "$scratch/$name/l2o/"
mv "$scratch/$name" "$to"
