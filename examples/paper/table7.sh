#!/usr/bin/env bash
# Writes results/NAME.csv and results/NAME.md: what a panel of Figure 7 came to.
#   bash examples/paper/table7.sh NAME RUN_FOLDER "COMMAND"
# Columns: mean final objective over functions and starts; its difference to that of 'adam' on the same functions, with the
# half-width of a 95 % interval (normal, over functions, whose starts are averaged first); minutes of training.
set -euo pipefail
name=$1 run=$2 command=$3
here=$(cd "$(dirname "$0")" && pwd)
csv=$here/results/$name.csv
awk -F, '
    FNR == 1 { ++file; for (k = 1; k <= NF; ++k) at[$k] = k; next }
    file == 1 { if (!($at["contestant"] in minutes)) minutes[$at["contestant"]] = $at["training_seconds"] / 60; next }
    {
        c = $at["contestant"]; i = $at["instance"]
        if (!(c in rows)) order[++contestants] = c
        sum[c, i] += $at["objective"]; ++starts[c, i]; total[c] += $at["objective"]; ++rows[c]
        if (i >= functions) functions = i + 1
    }
    END {
        print "contestant,final,difference,half_width,training_minutes"
        for (k = 1; k <= contestants; ++k) {
            c = order[k]; mean = 0; squares = 0
            for (i = 0; i < functions; ++i) {
                d = sum[c, i] / starts[c, i] - sum["adam", i] / starts["adam", i]
                mean += d / functions; squares += d * d / functions
            }
            half = 1.96 * sqrt((squares - mean * mean) / (functions - 1))
            printf "%s,%.2f,%+.2f,%.2f,%.1f\n", c, total[c] / rows[c], mean, half, minutes[c]
        }
    }' "$run/summary.csv" "$run/finals.csv" >"$csv"
{
    echo "# $name"
    echo
    echo "\`$command\` at commit $(git -C "$here" rev-parse --short HEAD), seed $(awk '$1 == "seed" { print $2; exit }' "$run/config.info"). Mean objective after 1,000 steps over 128 functions with 10 starts, and its difference to adam's with a 95 % interval over functions."
    echo
    awk -F, '
        NR == 1 { print "| method | final objective | minus adam | training, minutes |"; print "|---|---|---|---|"; next }
        { print "| " $1 " | " $2 " | " $3 " ± " $4 " | " $5 " |" }' "$csv"
} >"$here/results/$name.md"
cat "$here/results/$name.md"
