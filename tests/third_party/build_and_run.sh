#!/usr/bin/env bash
# Builds a project of examples/third_party against an installed l2o, in a folder of its own, checks it, and runs its
# experiment with that l2o, as its README says. Fails if its author wrote more lines than are allowed. Exit status 77:
# its compiler is not there.
#
#   build_and_run.sh PREFIX PROJECT MAX_LINES BAR
#
# BAR: what the median of the first contestant must be: "same" as that of the second, "less" than it, or less than a
# number.
set -euo pipefail

prefix=$1 project=$2 max_lines=$3 bar=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "FAILED: $(basename "$project"): $*" >&2
    exit 1
}

# What is neither blank nor only a comment.
source=$(find "$project" -name '*.c' -o -name '*.cpp' -o -name '*.rs')
lines=$(grep -cvE '^[[:space:]]*(//.*|/\*.*\*/)?[[:space:]]*$' "$source")
echo "$source: $lines lines, at most $max_lines"
[ "$lines" -le "$max_lines" ] || fail "$lines lines; expected at most $max_lines"

plugins=$("$(dirname "$0")/build.sh" "$prefix" "$project" "$work") || exit $?

for library in "$plugins"/*.so; do
    symbols=$(nm -D --defined-only "$library" | awk '{ print $3 }')
    [ "$symbols" = l2o_plugin_entry_v1rc1 ] || fail "exports $symbols; expected l2o_plugin_entry_v1rc1 alone"
done
# Of nothing but the prefix and --plugin-path.
unset L2O_PLUGIN_PATH
"$prefix/bin/l2o" list --plugin-path "$plugins" | grep -F "org.example." ||
    fail "l2o list does not show it"
for library in "$plugins"/*.so; do
    "$prefix/bin/l2o" check "$library" --quiet || fail "l2o check finds fault with it"
done
"$prefix/bin/l2o" run "$project/experiment.info" --plugin-path "$plugins" --out "$work/runs" --quiet
# Of the metric that the experiment is about, or else of the first.
metric=$(awk '$1 == "metric" { print $2 }' "$project/experiment.info")
read -r first second _ < <(awk -F, -v metric="$metric" \
    'NR > 1 && metric == "" { metric = $2 } NR > 1 && $2 == metric { print $3 }' "$work"/runs/*/*/summary.csv | paste -sd' ')
[[ $first =~ ^[0-9.e+-]+$ && $second =~ ^[0-9.e+-]+$ ]] || fail "medians '$first' and '$second' are no numbers"
case $bar in
    same) awk "BEGIN { exit !(($first - $second)^2 <= (1e-4 * $second)^2) }" || fail "$first and $second differ" ;;
    less) awk "BEGIN { exit !($first < $second) }" || fail "$first is not less than $second" ;;
    *) awk "BEGIN { exit !($first < $bar) }" || fail "$first is not less than $bar" ;;
esac
