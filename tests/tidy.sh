#!/usr/bin/env bash
# clang-tidy 14 with the checks of .clang-tidy over what is not a test. Arguments: regular expressions of paths.
set -euo pipefail
cd "$(dirname "$0")/.."

bash examples/install_debian_packages.sh clang-tidy-14 doctest-dev libbenchmark-dev
cmake --preset dev >/dev/null
# GCC's own warnings are GCC's business.
run-clang-tidy-14 -quiet -p build/dev -extra-arg=-Wno-unknown-warning-option -extra-arg=-w \
    "${@:-^$PWD/(framework|host|plugins)/}"
