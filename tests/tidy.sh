#!/usr/bin/env bash
# clang-tidy 14 with the checks of .clang-tidy:
#     tests/tidy.sh                       over the whole tree
#     tests/tidy.sh PATH...               over these sources, or those in these folders
#     tests/tidy.sh --changed [SECONDS]   over those that differ from the merge base with the main branch, for at most so
#                                         long; says which it had no time for
# Not over what includes LibTorch, whose headers clang 14 does not compile; says so.
set -euo pipefail
cd "$(dirname "$0")/.."

bash examples/install_debian_packages.sh clang-tidy-14 doctest-dev libbenchmark-dev

paths=()
export deadline=9999999999
if [ "${1-}" = --changed ]; then
    deadline=$((EPOCHSECONDS + ${2-120}))
    # On the main branch itself, what its last commit changed.
    base=$(git merge-base HEAD origin/HEAD 2>/dev/null || true)
    if [ -z "$base" ] || [ "$base" = "$(git rev-parse HEAD)" ]; then
        base=$(git rev-parse --quiet --verify HEAD~1 2>/dev/null || true)
    fi
    if [ -z "$base" ]; then
        echo "tidy: skipped: no earlier commit to compare with"
        exit 0
    fi
    mapfile -t paths < <(git diff --name-only --diff-filter=d "$base" -- '*.cpp')
    echo "tidy: ${#paths[@]} sources differ from $(git log -1 --format='%h (%s)' "$base")"
    [ ${#paths[@]} -gt 0 ] || exit 0
else
    [ $# -gt 0 ] || set -- examples framework host plugins sdk tests
    mapfile -t paths < <(find "$@" -name '*.cpp' | sort)
    [ ${#paths[@]} -gt 0 ] || { echo "tidy: no .cpp file in $*" >&2 && exit 2; }
fi

# Not the build of the tests: clang cannot read the precompiled headers of GCC.
build=build/tidy
cmake --preset dev -B $build -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON >/dev/null

# Prints the findings in one source, and a line: clean, FOUND, no time, skipped.
tidy() {
    if grep -qE '^#include <(torch|l2o/torch)/' "$1"; then
        echo "tidy: skipped: $1: clang 14 does not compile LibTorch's headers"
        return
    fi
    local left=$((deadline - EPOCHSECONDS)) status=124
    # GCC's own warnings are GCC's business.
    if [ $left -gt 0 ]; then
        timeout $left clang-tidy-14 -quiet -p "$0" --extra-arg=-Wno-unknown-warning-option --extra-arg=-w "$1" 2>/dev/null &&
            status=0 || status=$?
    fi
    case $status in
        0) echo "tidy: clean: $1" ;;
        124) echo "tidy: no time: $1" ;;
        *) echo "tidy: FOUND: $1" && return 1 ;;
    esac
}
export -f tidy

built=() not_built=()
for path in "${paths[@]}"; do
    if grep -q "\"file\": \"$PWD/$path\"" $build/compile_commands.json; then built+=("$path"); else not_built+=("$path"); fi
done
[ ${#not_built[@]} -eq 0 ] || printf 'tidy: not in this build: %s\n' "${not_built[@]}"
[ ${#built[@]} -eq 0 ] || printf '%s\n' "${built[@]}" | xargs -P "$(nproc)" -I{} bash -c 'tidy {}' $build || exit 1
