#!/usr/bin/env bash
# Writes results/NAME.csv and results/NAME.md: what a figure of examples/paper came to.
#   bash examples/paper/table.sh NAME RUN_FOLDER UNTRAINED_RUN_FOLDER "COMMAND"
# RUN_FOLDER is that of 'l2o run', UNTRAINED_RUN_FOLDER that of 'l2o evaluate --untrained'. Columns: the mean over the
# test instances of nmse_db after iterations 4, 8, 12 and 16, the pooled one after 16, the untrained one, and the
# minutes of training.
set -euo pipefail
name=$1 run=$2 untrained=$3 command=$4
here=$(cd "$(dirname "$0")" && pwd)
csv=$here/results/$name.csv
value() { # FILE CONTESTANT ITERATION METRIC: the mean column of curves.csv
    awk -F, -v c="$2" -v i="$3" -v m="$4" '
        NR == 1 { for (k = 1; k <= NF; ++k) at[$k] = k; next }
        $at["contestant"] == c && $at["iteration"] == i && $at["metric"] == m { printf "%.2f", $at["mean"] }' "$1/curves.csv"
}
minutes() { # FILE CONTESTANT
    awk -F, -v c="$2" '
        NR == 1 { for (k = 1; k <= NF; ++k) at[$k] = k; next }
        $at["contestant"] == c && !done++ { printf "%.1f", $at["training_seconds"] / 60 }' "$1/summary.csv"
}
echo contestant,layer_4,layer_8,layer_12,layer_16,pooled_16,untrained_16,training_minutes >"$csv"
for contestant in $(awk -F, 'NR > 1 && !seen[$1]++ { print $1 }' "$run/curves.csv"); do
    row=$contestant
    for layer in 4 8 12 16; do row+=,$(value "$run" "$contestant" "$layer" nmse_db); done
    row+=,$(value "$run" "$contestant" 16 nmse_pooled_db),$(value "$untrained" "$contestant" 16 nmse_db)
    echo "$row,$(minutes "$run" "$contestant")" >>"$csv"
done
{
    echo "# $name"
    echo
    echo "\`$command\` at commit $(git -C "$here" rev-parse --short HEAD), seed $(awk '$1 == "seed" { print $2; exit }' "$run/config.info"). Mean NMSE in dB over 1,024 test instances."
    echo
    awk -F, '
        NR == 1 { print "| method | layer 4 | 8 | 12 | 16 | pooled, 16 | untrained, 16 | training, minutes |"; print "|---|---|---|---|---|---|---|---|"; next }
        { print "| " $1 " | " $2 " | " $3 " | " $4 " | **" $5 "** | " $6 " | " $7 " | " $8 " |" }' "$csv"
} >"$here/results/$name.md"
cat "$here/results/$name.md"
