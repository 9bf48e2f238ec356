#!/usr/bin/env bash
# Writes results/NAME.csv and results/NAME.md: what a panel of Figure 6 came to.
#   bash examples/paper/table6.sh NAME RUN_FOLDER "COMMAND"
# Columns: relative_loss, the sum of f - f* over the sum of f*, after 16, 100 and 1,000 iterations, and the minutes of
# training.
set -euo pipefail
name=$1 run=$2 command=$3
here=$(cd "$(dirname "$0")" && pwd)
csv=$here/results/$name.csv
value() { # CONTESTANT ITERATION
    awk -F, -v c="$1" -v i="$2" '
        NR == 1 { for (k = 1; k <= NF; ++k) at[$k] = k; next }
        $at["contestant"] == c && $at["iteration"] == i && $at["metric"] == "relative_loss" { printf "%.2g", $at["mean"] }' "$run/curves.csv"
}
minutes() { # CONTESTANT
    awk -F, -v c="$1" '
        NR == 1 { for (k = 1; k <= NF; ++k) at[$k] = k; next }
        $at["contestant"] == c && !done++ { printf "%.1f", $at["training_seconds"] / 60 }' "$run/summary.csv"
}
echo contestant,after_16,after_100,after_1000,training_minutes >"$csv"
for contestant in $(awk -F, 'NR > 1 && !seen[$1]++ { print $1 }' "$run/curves.csv"); do
    echo "$contestant,$(value "$contestant" 16),$(value "$contestant" 100),$(value "$contestant" 1000),$(minutes "$contestant")" >>"$csv"
done
{
    echo "# $name"
    echo
    echo "\`$command\` at commit $(git -C "$here" rev-parse --short HEAD), seed $(awk '$1 == "seed" { print $2; exit }' "$run/config.info"). Sum of f - f* over the sum of f* of 1,280 test instances."
    echo
    awk -F, '
        NR == 1 { print "| method | after 16 iterations | 100 | 1,000 | training, minutes |"; print "|---|---|---|---|---|"; next }
        { print "| " $1 " | " $2 " | " $3 " | " $4 " | " $5 " |" }' "$csv"
} >"$here/results/$name.md"
cat "$here/results/$name.md"
