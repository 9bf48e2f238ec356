#!/usr/bin/env bash
# Installs what the tests need (Debian 12, as root), builds and runs them. Arguments: presets, default dev.
set -euo pipefail
cd "$(dirname "$0")/.."

# A compiler cache that finds its entries again from another clone.
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime  # precompiled headers

bash examples/install_debian_packages.sh doctest-dev libbenchmark-dev clang-format-14 lld pkg-config
for preset in "${@:-dev}"; do
    SECONDS=0
    cmake --preset "$preset" >/dev/null
    cmake --build --preset "$preset"
    echo "$preset: built in $SECONDS s"
    ctest --preset "$preset"
done
