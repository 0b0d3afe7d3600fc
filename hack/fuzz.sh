#!/usr/bin/env bash
# Runs every fuzz target, also those of the examples, for a while: fuzz.sh DURATION [unguided]
# Go fuzzes one target at a time. An input that fails is written under the package's testdata/fuzz: commit it.
#
# Go's own way is guided by coverage, for which it builds all that a target is made of a second time: from an empty build
# cache 20 minutes of a processor and more, nearly all for Kubernetes' client and Envoy's API. Unguided takes the tests as
# they are built anyway, and changes the seeds and the corpus at random: less deep, but in CI at hardly more than DURATION.
# Where a target's ways differ from run to run, as those of a reconcile do, Go would spend its time on shorter inputs: it gets
# 20 attempts for that.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
duration=$1 way=${2:-guided}
suite=fuzz
[ "$way" = guided ] || suite=fuzz-short
reports=${REPORTS:-$root/bin/reports}/$suite
gotestsum=$(hack/tool gotestsum)
mkdir -p "$reports"
rm -f "$reports"/*.xml
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# targets lists "FOLDER TARGET", by folder.
targets() {
  git ls-files -co --exclude-standard '*_test.go' | while read -r file; do [ ! -e "$file" ] || echo "$file"; done |
    xargs grep -Ho '^func Fuzz[A-Za-z0-9_]*' | sed 's/func //; s|/[^/]*:| |' | sort
}

guided() {
  (cd "$1" && "$gotestsum" --format standard-verbose --junitfile "$3" -- -run '^$' -fuzz "^$2\$" -fuzztime "$duration" -fuzzminimizetime 20x .)
}

# unguided builds a package's tests once, and runs them where an input that fails is to be written.
unguided() {
  local binary=$scratch/${1//\//-}.test package
  package=$(cd "$1" && go list .)
  [ -e "$binary" ] || (cd "$1" && go test -c -o "$binary" .)
  (cd "$1" && "$gotestsum" --format pkgname-and-test-fails --junitfile "$3" --raw-command -- \
    go tool test2json -t -p "$package" "$binary" -test.v=test2json -test.run '^$' -test.fuzz "^$2\$" -test.fuzztime "$duration" -test.fuzzminimizetime 20x \
    -test.fuzzcachedir "$scratch/cache") 2> >(grep -v 'not built with coverage instrumentation' >&2)
}

# run repeats a target that failed without an input: at the end of the time Go now and then takes that for a failure.
run() {
  local log=$scratch/log
  "$way" "$@" 2>&1 | tee "$log" && return
  grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input' "$log" || return 1
  echo "no input failed: once more"
  "$way" "$@"
}

status=0
# From the package's own folder, since the examples are modules of their own.
while read -r folder target; do
  echo "fuzzing $target in $folder for $duration"
  run "$folder" "$target" "$reports/${folder//\//-}-$target.xml" || status=1
done < <(targets)
exit $status
