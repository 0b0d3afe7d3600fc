#!/usr/bin/env bash
# Runs every fuzz target, also those of the examples, for a while: fuzz.sh DURATION
# Go fuzzes one target at a time. An input that fails is written under the package's testdata/fuzz: commit it.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
reports=${REPORTS:-$PWD/bin/reports}/fuzz
gotestsum=$(hack/tool gotestsum)
mkdir -p "$reports"
rm -f "$reports"/*.xml

status=0
while IFS=: read -r file target; do
  dir=$(dirname "$file")
  echo "fuzzing $target in $dir for $1"
  # From the package's own folder, since the examples are modules of their own.
  (cd "$dir" && "$gotestsum" --format standard-verbose --junitfile "$reports/${dir//\//-}-$target.xml" -- \
    -run '^$' -fuzz "^$target\$" -fuzztime "$1" .) || status=1
done < <(git ls-files -co --exclude-standard '*_test.go' | xargs grep -Ho '^func Fuzz[A-Za-z0-9_]*' | sed 's/func //')
exit $status
