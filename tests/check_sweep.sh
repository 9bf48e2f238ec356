#!/usr/bin/env bash
# Looks for false alarms of `l2o check`: checks every plugin of a build, and every example plugin of third parties that can
# be built here, with its defaults and with every variant of its options, each on every optimizee that it fits. Prints a
# line per variant, then the findings that failed, and their number.
#
#   tests/check_sweep.sh [--without OPTIMIZEE | --on OPTIMIZEE [KEY=VALUE ...]] [--only REGEX] [--default | --fuzz N] BUILD_DIR
#
# --without: not on this one; mlp takes most of the time. --on: on this one alone, with these of its options: "--on mlp
# hidden=2" is what populations, whose points are as many as the coordinates, can be checked on. --only: components whose "KIND ID"
# matches. --default: with defaults, as `l2o check FILE` does, for its times. --fuzz: N random cases of each in place of
# variants.
# A variant sets one option: every other value of a choice or a boolean, and the ends of the range of a number, but for an
# upper end of a whole number, which may be gigabytes. Takes jq. One process at a time; with variants for an hour or two.
set -euo pipefail

mode=thorough cases= without= only=.
on=()
if [ "${1:-}" = --without ]; then
    without=$2
    shift 2
elif [ "${1:-}" = --on ]; then
    on=(--optimizee "$2")
    shift 2
    while [[ ${1:-} == [a-z]*=* ]]; do
        on+=(--optimizee-set "$1")
        shift
    done
fi
if [ "${1:-}" = --only ]; then
    only=$2
    shift 2
fi
case ${1:-} in
    --default) mode=default; shift ;;
    --fuzz) mode=fuzz cases=$2; shift 2 ;;
esac
[ $# = 1 ] || { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
build=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
l2o=${L2O:-$build/bin/l2o}
command -v jq >/dev/null || { echo "check_sweep.sh: jq is missing; apt-get install jq" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/plugins" "$work/bin"
cp "$l2o" "$work/bin/l2o"  # it looks for plugins beside itself, too
l2o=$work/bin/l2o
for file in "$build"/lib/l2o/plugins/* "$build"/lib/l2o/test_plugins/*; do
    [[ -n $without && $(basename "$file") == "l2o_optimizee_$without".* ]] || ln -s "$file" "$work/plugins/"
done
export L2O_PLUGIN_PATH=$work/plugins XDG_DATA_HOME=$work/nobody
export OMP_WAIT_POLICY=passive OPENBLAS_NUM_THREADS=1

libraries=("$build"/lib/l2o/plugins/*.so "$build"/lib/l2o/test_plugins/*.so)
if [ "$mode" != default ]; then
    cmake --install "$build" --prefix "$work/prefix" >/dev/null
    for project in "$here"/../examples/third_party/*/; do
        mkdir -p "$work/$(basename "$project")"
        if plugins=$("$here/third_party/build.sh" "$work/prefix" "$project" "$work/$(basename "$project")" 2>"$work/log"); then
            libraries+=("$plugins"/*.so)
        else
            tail -1 "$work/log"
        fi
    done
fi

# Of the component of a manifest, one a line: "" for the defaults, then KEY=VALUE.
variants() {
    echo
    [ "$mode" = thorough ] || return 0
    jq -r --arg id "$2" '.components[] | select(.id == $id) | .options[] | . as $o | .flags // 0 | . as $f |
        if $o.type == 1 then ["false", "true"]
        elif $o.type == 4 then $o.choices
        elif $o.type == 2 then [$o.min // empty | if ($f / 2 | floor) % 2 == 0 then . else . + 1 end | tostring]
        elif $o.type == 3 then
            [(if ($f / 2 | floor) % 2 == 0 then $o.min // empty else empty end),
             (if ($f / 4 | floor) % 2 == 0 then $o.max // empty else empty end)] | map(tostring)
        else [] end | map(select(. != $o.default)) | .[] | "\($o.key)=\(.)"' "$1"
}

echo "l2o check: $mode, $(git -C "$here" describe --always 2>/dev/null), $(date -u +%F)"
total=0 runs=0 refused=0 findings=0 skipped=0
for library in "${libraries[@]}"; do
    manifest=${library%.so}.l2o.json
    while read -r kind id; do
        [[ "$kind $id" =~ $only ]] || continue
        while read -r variant; do
            arguments=("$library" --component "$id" --json "${on[@]}")
            [ "$mode" != thorough ] || arguments+=(--thorough)
            [ "$mode" != fuzz ] || arguments+=(--fuzz "$cases" --seed 1)
            [ -z "$variant" ] || arguments+=(--set "$variant")
            start=$(date +%s%N)
            "$l2o" check "${arguments[@]}" >"$work/out" 2>"$work/err" || true
            ms=$((($(date +%s%N) - start) / 1000000))
            # A variant that is refused in a sentence is no variant: an option about what another one sets.
            refusal=$(jq -r '[.[] | select(.verdict == "FAIL")] | select(length == 1 and .[0].check == "creates") | .[0].text' \
                "$work/out" 2>/dev/null || true)
            if [ -n "$variant" ] && [ -n "$refusal" ] && [ "$mode" = thorough ]; then
                ok=0 failed=0 skip=0 refused=$((refused + 1))
                echo "refused: $refusal"
            elif [ -s "$work/out" ] && jq -e . "$work/out" >/dev/null 2>&1; then
                read -r ok failed skip < <(jq -r '[.[].verdict] |
                    "\(map(select(. == "ok")) | length) \(map(select(. == "FAIL")) | length) \(map(select(. == "skipped")) | length)"' "$work/out")
                jq -r --arg variant "$variant" '.[] | select(.verdict == "FAIL") |
                    "FAIL \(.component) \($variant) on \(.optimizee): \(.check): \(.text) \(.repeat // "")"' \
                    "$work/out" | tee -a "$work/failed"
            else
                ok=0 failed=1 skip=0
                echo "FAIL $id $variant: $(head -1 "$work/err")" | tee -a "$work/failed"
            fi
            printf '%-10s %-28s %-28s %5d ok %3d failed %4d skipped %7d.%03d s\n' \
                "$kind" "$id" "$variant" "$ok" "$failed" "$skip" $((ms / 1000)) $((ms % 1000))
            echo "$ms" >>"$work/times"
            total=$((total + failed)) runs=$((runs + 1)) findings=$((findings + ok + failed)) skipped=$((skipped + skip))
        done < <(variants "$manifest" "$id")
    done < <(jq -r '.components[] | "\(.kind) \(.id)"' "$manifest")
done
echo
[ ! -s "$work/failed" ] || cat "$work/failed"
sort -n "$work/times" | awk '{ t[NR] = $1; sum += $1 }
    END { printf "time: median %.3f s, longest %.3f s, all %.0f s\n", t[int((NR + 1) / 2)] / 1000, t[NR] / 1000, sum / 1000 }'
echo "$runs variants, of which $refused are refused, $findings findings, $skipped skipped, $total failed"
[ "$total" = 0 ]
