#!/usr/bin/env bash
# Builds a project of examples/third_party against an installed l2o, as its README says, and prints the folder with its
# plugins. Exit status 77: its compiler, or a library of its own, is not there,
# or the sources of COCO that it asks for.
#
#   build.sh PREFIX PROJECT WORK
set -euo pipefail

prefix=$1 project=$2 work=$3

fail() {
    echo "FAILED: $(basename "$project"): $*" >&2
    exit 1
}
skip() {
    echo "SKIPPED: $(basename "$project"): $*" >&2
    exit 77
}

if [ "$(basename "$project")" = coco_bbob ] && [ -z "${COCO_DIR-}" ]; then
    skip "no folder with COCO's coco.c is given; configure with -DL2O_COCO=FOLDER"
fi
if [ -f "$project/CMakeLists.txt" ]; then
    plugins=$work/build/lib/l2o/plugins
    cmake -S "$project" -B "$work/build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$prefix" \
        -DCMAKE_C_FLAGS="-Wall -Wextra -Werror" -DCMAKE_CXX_FLAGS="-Wall -Wextra -Werror" >"$work/log" 2>&1 ||
        { cat "$work/log" >&2; fail "does not configure"; }
    cmake --build "$work/build" >&2
else
    source=$(find "$project" -name '*.cpp' -o -name '*.rs')
    plugins=$work/plugins
    mkdir -p "$plugins"
    export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
    if [[ $source == *.rs ]]; then
        command -v rustc >/dev/null || skip "there is no rustc"
        rustc --edition 2021 --crate-type cdylib -O -D warnings "$source" -o "$plugins/plugin.so" \
            -C link-args="-Wl,-z,nodelete -Wl,--build-id=sha1"
    else
        read -ra flags <<<"$(pkg-config --cflags --libs l2o)"
        ${CXX:-c++} -std=c++20 -O2 -Wall -Wextra -Werror -fPIC -shared "$source" -o "$plugins/plugin.so" "${flags[@]}"
    fi
    "$(pkg-config --variable=manifest l2o)" "$plugins/plugin.so" >&2
fi
echo "$plugins"
