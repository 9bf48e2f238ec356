#!/usr/bin/env bash
# Kills `l2o run` with SIGKILL at random moments of its trainings and resumes it until it is done: the weights
# and the metrics must be those of a run that was left alone, and every file readable at any time. A run that
# is done before enough kills have hit starts over.
#
#   kill_resume.sh [KILLS] [SEED]      KILLS: 10; the program is $L2O, or build/release/bin/l2o
set -euo pipefail

kills=${1:-10} seed=${2:-$$}
l2o=${L2O:-$(dirname "$0")/../build/release/bin/l2o}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
RANDOM=$seed

fail() {
    echo "FAILED (seed $seed): $*" >&2
    exit 1
}

cat >"$work/experiment.info" <<'INFO'
name kill_resume
seed 5
optimizee { use sparse_recovery  m 10  n 20 }
train {
    batch 10
    shard_rows 4
    checkpoint_every_s 0.02
    validate { every 5  instances 8 }
}
contestants {
    ista { optimizer { use ista } }
    dm {
        optimizer { use l2o_dm  hidden 8 }
        train { epochs 60  horizon 25  unroll 10 }
    }
    lista {
        optimizer { use lista  layers 4 }
        train {
            schedule layerwise
            layerwise { steps_new 40  steps_all 20  steps_fine 10 }
            horizon 4
            unroll 4
            loss { use mse_to_solution }
        }
    }
}
evaluate { instances 8  iterations 4 }
INFO

run_folder() { # of a root folder; nothing if there is none that can be resumed
    local config
    for config in "$1"/kill_resume/*/config.info; do
        if [ -f "$config" ]; then dirname "$config"; fi
    done
}

# In the foreground of a subshell, so that the process id is that of l2o.
start() {
    local folder
    folder=$(run_folder "$1")
    if [ -n "$folder" ]; then
        exec "$l2o" run --resume "$folder" --quiet --threads 2 >/dev/null
    else
        exec "$l2o" run "$work/experiment.info" --out "$1" --quiet --threads 2 >/dev/null
    fi
}

header_bytes() { od -An -tu8 -N8 "$1" | tr -d ' '; }

# The header says how long the file is.
check_readable() {
    local file header end
    while IFS= read -r file; do
        # In this order: head would end first, and tail by SIGPIPE, which pipefail takes for a failure.
        header=$(head -c $((8 + $(header_bytes "$file"))) "$file" | tail -c +9)
        end=$(grep -o '"data_offsets":\[[0-9]*,[0-9]*\]' <<<"$header" | sed 's/.*,\(.*\)\]/\1/' | sort -n | tail -1)
        [ "$(stat -c %s "$file")" -eq $((8 + $(header_bytes "$file") + end)) ] || fail "$file is cut off"
    done < <(find "$1" -name '*.safetensors' ! -name '.*')
}

# Names, shapes and bits of a weight file, without the time that it took and the padding.
weights_of() {
    tail -c +9 "$1" | head -c "$(header_bytes "$1")" | sed 's/"l2o.training_seconds":"[^"]*"//' | tr -d ' '
    tail -c +$((9 + $(header_bytes "$1"))) "$1"
}

compare() { # the run in root folder $1 with the one that was left alone
    local folder whole name
    folder=$(run_folder "$1") whole=$(run_folder "$work/whole")
    for name in dm lista; do
        cmp <(weights_of "$whole/checkpoints/$name.safetensors") <(weights_of "$folder/checkpoints/$name.safetensors") ||
            fail "weights of $name differ"
    done
    diff <(sed 's/"seconds":[^,}]*//' "$whole/metrics.jsonl") <(sed 's/"seconds":[^,}]*//' "$folder/metrics.jsonl") ||
        fail "metrics differ"
    cmp <(cut -d, -f1-2 "$whole/summary.csv") <(cut -d, -f1-2 "$folder/summary.csv") || fail "summaries differ"
}

milliseconds() { date +%s%3N; }
began=$(milliseconds)
(start "$work/whole")
duration=$(($(milliseconds) - began))

hit=0 rounds=1
while [ "$hit" -lt "$kills" ]; do
    start "$work/killed$rounds" &
    pid=$!
    # Up to a fourth of a whole run.
    sleep "$(printf '%d.%03d' $((RANDOM * duration / 131072 / 1000)) $((RANDOM * duration / 131072 % 1000)))"
    kill -KILL "$pid" 2>/dev/null || true
    code=0
    { wait "$pid"; } 2>/dev/null || code=$?
    check_readable "$work/killed$rounds"
    case $code in
        137) hit=$((hit + 1)) ;;
        0)
            compare "$work/killed$rounds"
            rounds=$((rounds + 1))
            ;;
        *) fail "l2o ended with $code" ;;
    esac
done
(start "$work/killed$rounds")
compare "$work/killed$rounds"
echo "seed $seed: $hit kills in $rounds runs of $duration ms, same weights, every file readable"
