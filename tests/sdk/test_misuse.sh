#!/usr/bin/env bash
# test_misuse.sh SOURCE COMPILER ARGUMENT...: a source whose mistakes have to be refused with the sentences behind "// says:".
set -euo pipefail
source=$1
shift
if said=$("$@" -fsyntax-only "$source" 2>&1); then
    echo "it compiles; expected it to be refused"
    exit 1
fi
missing=0
while read -r sentence; do
    grep -qF "$sentence" <<<"$said" && continue
    echo "not said: $sentence"
    missing=1
done < <(sed -n 's,^// says: ,,p' "$source")
[ "$missing" = 0 ] || { echo "$said"; exit 1; }
