#!/usr/bin/env bash
# Builds examples/embed against an installed l2o and does what its README says, at a small size.
#
#   embed.sh PREFIX PROJECT
set -euo pipefail

prefix=$1 project=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "FAILED: embed: $*" >&2
    exit 1
}

cmake -S "$project" -B "$work/build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$prefix" \
    -DCMAKE_CXX_FLAGS="-Wall -Wextra -Werror" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "does not configure"; }
cmake --build "$work/build"
# Plugins bring theirs; of a program or the command it would be a third of a start.
ldd "$work/build/solve_loop" "$prefix/bin/l2o" | grep -iE 'torch|blas' && fail "links LibTorch or a BLAS"

export L2O_PLUGIN_PATH=$prefix/lib/l2o/plugins
cd "$work"
build/make_problem problem.safetensors 64 128
"$prefix/bin/l2o" train "$project/train.info" optimizee.matrix=problem.safetensors train.epochs=5 --quiet
weights=$(echo runs/weights/alista-*.safetensors)
[ "$(stat -c %s "$weights")" -lt 8192 ] || fail "the weights of ALISTA take $(stat -c %s "$weights") bytes"
build/solve_loop problem.safetensors "$weights" 200 | tee out
# What it was trained for: solved, without a classic step.
read -r us db classic < <(awk '/^safeguarded/ { sub(/.*NMSE/, "NMSE"); print 1, $2, $6 }' out)
awk "BEGIN { exit !($db < -30) }" || fail "NMSE $db dB; expected less than -30"
awk "BEGIN { exit !($classic < 5) }" || fail "$classic % classic steps; expected less than 5"
build/solve_loop problem.safetensors none.safetensors 2>err && fail "solved with weights that are not there"
grep -q none.safetensors err || fail "does not name the missing weights: $(cat err)"
