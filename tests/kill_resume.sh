#!/usr/bin/env bash
# Trains and compares with `l2o run` while the machine is lost or its disk fails, resumes until it is done, and
# compares every byte that decides (weights, curves, finals, summary, results, metrics; all but times) with a run that
# was left alone. After every end all files can be read; a disk that fails is exit code 5 and a sentence with the
# path, or is got over.
#
#   kill_resume.sh [--kills N] [--every N] [--moments N] [--jobs N] [--seed N] [MODE...]
#
#   MODE     flat stages layerwise curriculum es pes imitation seeds evaluate: `l2o run`; solve, report: these verbs, whose
#            output is there as a whole or not at all; default: all
#   --kills  runs that are killed at random file calls, again and again until they are done (10)
#   --every  a run of its own for every N-th file call, and for all that can happen there: it is killed before the
#            call or in the middle of a write, EIO is returned, the disk is full from there on, the call comes back
#            early (EINTR, half of a read or write); 0: none (1)
#   --jobs   contestants side by side, but in the run that was left alone (1); with more than one the calls come in any
#            order, so that nothing but kills makes sense: --every 0
#   --moments  kills at random moments of the clock, wherever the program is then (0)
#
# The program is $L2O, what lies beside it $L2O_FAULTS and $L2O_COMPARE_RUNS; default: those of build/dev.
set -euo pipefail

build=$(cd "$(dirname "$0")/.." && pwd)/build/dev
l2o=${L2O:-$build/bin/l2o} faults=${L2O_FAULTS:-$build/lib/l2o_file_faults.so}
compare_runs=${L2O_COMPARE_RUNS:-$build/bin/compare_runs}
export L2O_PLUGIN_PATH=${L2O_PLUGIN_PATH:-$build/lib/l2o/test_plugins}
kills=10 every=1 moments=0 jobs=1 jobs_now=1 seed=$$ modes=()
while [ $# -gt 0 ]; do
    case $1 in
        --kills) kills=$2 && shift 2 ;;
        --every) every=$2 && shift 2 ;;
        --jobs) jobs=$2 && shift 2 ;;
        --moments) moments=$2 && shift 2 ;;
        --seed) seed=$2 && shift 2 ;;
        -*) echo "unknown option $1" >&2 && exit 2 ;;
        *) modes+=("$1") && shift ;;
    esac
done
[ ${#modes[@]} -gt 0 ] || modes=(flat stages layerwise curriculum es pes imitation seeds evaluate solve report)
for file in "$l2o" "$faults" "$compare_runs"; do
    [ -e "$file" ] || { echo "there is no $file; build it, or name another one" >&2 && exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
RANDOM=$((seed % 32768))

mode=""
fail() {
    echo "FAILED ($mode, seed $seed): $*" >&2
    sed 's/^/    /' "$work/err" >&2
    exit 1
}

# Two classic contestants and a learned one on quadratics; nothing is trained longer than a moment.
learned() { # its train section
    cat <<INFO
name kill_resume
seed 5
optimizee { use quadratic  n 3 }
train {
    batch 4
    shard_rows 2
    checkpoint_every_s 0
    horizon 8
    unroll 4
    loss { use trajectory_sum }
    meta_optimizer { use adam  learning_rate 1e-2 }
    validate { every 1  instances 3 }
}
contestants {
    descent { optimizer { use gradient_descent  learning_rate 0.02 } }
    learned { optimizer { use learned_momentum }  train { $1 } }
    adam { optimizer { use adam  learning_rate 0.1 } }
}
evaluate { instances 5  iterations 6 }
INFO
}
experiment() {
    case $1 in
        flat) learned "epochs 3  average 0.9" ;;
        stages) learned "stages { one { epochs 2 } two { epochs 2  rate 0.5 } }  instances 8" ;;
        curriculum) learned "schedule curriculum  unroll_from 2
            stages { one { epochs 2  horizon 4 } two { epochs 2  horizon 8 } }
            imitation { probability 0.5  teacher { use adam  learning_rate 0.1 } }" ;;
        es) learned "epochs 3  estimator es  evolution { pairs 2 }" ;;
        pes) learned "epochs 3  estimator pes  evolution { pairs 2 }" ;;
        imitation) learned "epochs 4  imitation { probability 0.5  teacher { use adam  learning_rate 0.1 } }" ;;
        seeds) learned "epochs 2  seeds 2  unroll { sweep 4 8 }" ;;
        evaluate) learned "epochs 1" | sed 's/iterations 6/iterations 40  starts 3  checkpoint_every_s 0/' ;;
        layerwise) cat <<'INFO' ;;
name kill_resume
seed 5
optimizee { use sparse_recovery  m 4  n 6 }
contestants {
    ista { optimizer { use ista } }
    lista {
        optimizer { use lista  layers 2 }
        train {
            batch 4
            shard_rows 2
            checkpoint_every_s 0
            schedule layerwise
            layerwise { steps_new 2  steps_all 1  steps_fine 1 }
            horizon 2
            unroll 2
            loss { use mse_to_solution }
            validate { every 1  instances 3 }
        }
    }
}
evaluate { instances 5  iterations 2 }
INFO
        *) echo "unknown mode '$1'" >&2 && exit 2 ;;
    esac
}

run_folder() { # of a root folder; nothing if there is none that can be resumed
    local config
    for config in "$1"/kill_resume/*/config.info; do
        if [ -f "$config" ]; then dirname "$config"; fi
    done
}

# What a command finds in its root folder.
prepare() {
    rm -rf "$1"
    case $mode in
        solve) mkdir "$1" && cp "$(dirname "$0")/fuzz/corpus/problem/quadratic" "$1/problem.safetensors" ;;
        report) mkdir "$1" && cp -r "$work/finished" "$1/run" ;;
    esac
}

# In the foreground of a subshell, so that the process id is that of l2o. L2O_FAULTS_AT and _DO say what happens.
start() { # in a root folder
    local folder command
    case $mode in
        solve)
            command=(solve --problem "$1/problem.safetensors" --optimizer gradient_descent --iterations 5
                --output "$1/x.safetensors" --quiet)
            ;;
        report)
            command=(report "$1/run" --quiet)
            export PATH=  # without gnuplot, whose pictures know the time
            ;;
        *)
            folder=$(run_folder "$1")
            if [ -n "$folder" ]; then
                command=(run --resume "$folder" --quiet --no-report --threads 2 --jobs "$jobs_now")
            else
                command=(run "$work/$mode.info" --out "$1" --quiet --no-report --threads 2 --jobs "$jobs_now")
            fi
            ;;
    esac
    export L2O_FAULTS_UNDER=$1 L2O_FAULTS_LOG=$work/log
    # A sanitizer's runtime wants to come first; that it does not is seen by nothing but its own test.
    export ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0
    LD_PRELOAD=$faults exec "$l2o" "${command[@]}" >/dev/null 2>"$work/err"
}
code=0
run() { # ACTION CALL ROOT: sets code
    code=0
    { (L2O_FAULTS_DO=$1 L2O_FAULTS_AT=$2 start "$3"); } 2>/dev/null || code=$?
}

same() { # what this root folder holds is what a command that was left alone made
    case $mode in
        solve | report) complete "$work/whole" "$1" ;;
        *) "$compare_runs" "$work/whole" "$1" ;;
    esac >"$work/err" 2>&1 || fail "$2: not the same"
}
readable() {
    case $mode in
        solve) [ ! -e "$1/x.safetensors" ] || cmp "$work/whole/x.safetensors" "$1/x.safetensors" ;;
        report) [ ! -e "$1/run/report.html" ] || cmp "$work/whole/run/report.html" "$1/run/report.html" ;;
        *) "$compare_runs" "$1" ;;
    esac >"$work/err" 2>&1 || fail "$2: not readable"
}
complete() { # everything but temporary files
    diff -r --exclude='.*' "$1" "$2"
}

# "write PATH/.NAME.tmp.1.2" may be told as PATH/NAME.
names_what_failed() {
    local path target
    path=$(sed 's/^[a-z]* //' "$work/log")
    target=$(sed 's|/\.\([^/]*\)\.tmp\.[0-9.]*$|/\1|' <<<"$path")
    # Side by side another file may fail, too.
    if [ "$jobs_now" -gt 1 ]; then target=$work/; fi
    [ -n "$path" ] && grep -qF "l2o: error: " "$work/err" && grep -qF -e "$path" -e "$target" "$work/err"
}

trial() { # ACTION CALL: a run to which this happens, and what a run that goes on comes to
    local root=$work/trial
    prepare "$root"
    run "$1" "$2" "$root"
    case $1:$code in
        kill:137 | torn:137) ;;
        EIO:5 | ENOSPC:5 | EINTR:5) names_what_failed || fail "$1 at call $2: the message does not name $(cat "$work/log")" ;;
        *:0) same "$root" "$1 at call $2, got over" && return ;;
        *) fail "$1 at call $2 ended with $code: $(cat "$work/log")" ;;
    esac
    # In the middle of a write is in the middle of a line of the log, which a resumed run cuts off.
    if [ "$1" != torn ] && [ -d "$root" ]; then readable "$root" "$1 at call $2"; fi
    run none 0 "$root"
    [ "$code" -eq 0 ] || fail "resumed after $1 at call $2: ended with $code"
    same "$root" "$1 at call $2"
}

# Killed until it is done, at calls up to a fifth of a whole run; then anew until enough kills have hit.
killed_again_and_again() {
    local hit=0 root=$work/chain
    rm -rf "$root"
    while [ "$hit" -lt "$kills" ]; do
        local actions=(kill kill kill torn EIO ENOSPC)
        local action=${actions[RANDOM % 6]}
        run "$action" $((1 + RANDOM % (calls / 5 + 1))) "$root"
        case $action:$code in
            kill:137 | torn:137) hit=$((hit + 1)) ;;
            EIO:5 | ENOSPC:5) names_what_failed || fail "$action: the message does not name $(cat "$work/log")" ;;
            *:0) same "$root" "after $hit kills" && rm -rf "$root" ;;
            *) fail "$action ended with $code: $(cat "$work/log")" ;;
        esac
    done
    run none 0 "$root"
    [ "$code" -eq 0 ] || fail "resumed after $hit kills: ended with $code"
    same "$root" "after $hit kills"
}

what_can_happen() { # at this call
    case $1 in
        write*) echo kill torn EIO ENOSPC EINTR short ;;
        read*) echo EIO EINTR short ;;
        open*) echo kill EIO ENOSPC EINTR ;;
        close* | mmap*) echo EIO ;;
        *) echo kill EIO ENOSPC ;;
    esac
}

milliseconds() { date +%s%3N; }
killed_at_moments() { # up to a whole run of this many milliseconds after the start
    local hit=0 root=$work/moments wait_ms pid
    rm -rf "$root"
    while [ "$hit" -lt "$moments" ]; do
        (L2O_FAULTS_DO=none L2O_FAULTS_AT=0 start "$root") &
        pid=$! wait_ms=$((RANDOM % ($1 + 1)))
        sleep "$(printf '%d.%03d' $((wait_ms / 1000)) $((wait_ms % 1000)))"
        kill -KILL "$pid" 2>/dev/null || true
        code=0
        { wait "$pid"; } 2>/dev/null || code=$?
        case $code in
            137) hit=$((hit + 1)) ;;
            0) same "$root" "after kills at moments" && rm -rf "$root" ;;
            *) fail "ended with $code, killed after $wait_ms ms" ;;
        esac
        if [ -d "$root" ]; then readable "$root" "killed after $wait_ms ms"; fi
    done
    run none 0 "$root"
    [ "$code" -eq 0 ] || fail "resumed after kills at moments: ended with $code"
    same "$root" "after kills at moments"
}

for mode in "${modes[@]}"; do
    jobs_now=1
    case $mode in
        solve) ;;
        report)
            mode=flat
            experiment flat >"$work/flat.info"
            rm -rf "$work/made"
            run none 0 "$work/made"
            [ "$code" -eq 0 ] || fail "left alone it ended with $code"
            rm -rf "$work/finished"
            mv "$(run_folder "$work/made")" "$work/finished"
            mode=report
            ;;
        *) experiment "$mode" >"$work/$mode.info" ;;
    esac
    prepare "$work/whole"
    began=$(milliseconds)
    run none 0 "$work/whole"
    [ "$code" -eq 0 ] || fail "left alone it ended with $code"
    duration=$(($(milliseconds) - began))
    jobs_now=$jobs
    mapfile -t seen <"$work/log"
    calls=${#seen[@]} trials=0
    # Fewer would mean that the calls are not seen.
    [ "$calls" -gt 10 ] || fail "only $calls file calls"
    if [ "$mode" != solve ] && [ "$mode" != report ]; then
        killed_again_and_again
        killed_at_moments "$duration"
    fi
    if [ "$every" -gt 0 ]; then
        for ((call = 1 + RANDOM % every; call <= calls; call += every)); do
            for action in $(what_can_happen "${seen[call - 1]}"); do
                trial "$action" "$call"
                trials=$((trials + 1))
            done
        done
    fi
    killed=$((kills + moments))
    case $mode in solve | report) killed=0 ;; esac
    echo "$mode: $calls file calls; $killed kills, $trials failures at calls: 0 bytes differ (seed $seed)"
done
