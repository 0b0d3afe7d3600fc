#!/usr/bin/env bash
# Runs the Go tests of one module and writes JUnit reports: test.sh SUITE MODULE_DIR [FLAGS...] PACKAGES...
#
# Plain Go tests go through gotestsum; a Ginkgo suite reports its specs itself, since to `go test` it is one test.
# All packages run, also when one fails. Reports: $REPORTS/SUITE/*.xml (default bin/reports).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
suite=$1 dir=$2
shift 2
flags=() patterns=()
for argument in "$@"; do
  case $argument in
    -*) flags+=("$argument") ;;
    *) patterns+=("$argument") ;;
  esac
done
reports=${REPORTS:-$root/bin/reports}/$suite
gotestsum=$("$root/hack/tool" gotestsum)
mkdir -p "$reports"
cd "$root/$dir"

# A line per package: its path and, for a Ginkgo suite, the word ginkgo.
packages=$(go list -f '{{ .ImportPath }}{{ range .TestImports }}{{ if eq . "github.com/onsi/ginkgo/v2" }} ginkgo{{ end }}{{ end }}{{
  range .XTestImports }}{{ if eq . "github.com/onsi/ginkgo/v2" }} ginkgo{{ end }}{{ end }}' "${patterns[@]}")
plain=() specs=()
while read -r package kind; do
  if [ -n "$kind" ]; then specs+=("$package"); else plain+=("$package"); fi
done <<<"$packages"

# Colors are for people.
color=()
[ -t 1 ] || color=(-ginkgo.no-color)

status=0
if [ ${#plain[@]} -gt 0 ]; then
  report=$reports/$(tr -c 'a-z0-9\n' - <<<"go-$dir").xml
  rm -f "$report"
  "$gotestsum" --format pkgname --format-hide-empty-pkg --junitfile "$report" -- \
    -count=1 -timeout 30m "${flags[@]+"${flags[@]}"}" "${plain[@]}" || status=1
fi
for package in "${specs[@]+"${specs[@]}"}"; do
  report=$reports/$(tr -c 'a-z0-9\n' - <<<"ginkgo-${package##*/test/}").xml
  rm -f "$report"
  go test -v -count=1 -timeout 60m "${flags[@]+"${flags[@]}"}" "$package" -args -ginkgo.junit-report="$report" \
    -ginkgo.randomize-all "${color[@]+"${color[@]}"}" -ginkgo.poll-progress-after=60s -ginkgo.poll-progress-interval=30s -ginkgo.timeout=3h || status=1
done
exit $status
