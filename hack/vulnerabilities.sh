#!/usr/bin/env bash
# Looks for known vulnerabilities in what the programs call: vulnerabilities.sh [MODULE_DIR...]
#
# govulncheck reads which functions of which modules are reached, and asks Go's database of vulnerabilities about them. Exit
# status: 0 nothing known, 1 something is known (or the check itself failed), 3 nothing was checked, since the database can't
# be had. 3 is no success: whoever calls this says so aloud, and doesn't release.
# GOVULNDB names a copy of the database: https://… or file:///…
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly checker=golang.org/x/vuln/cmd/govulncheck@v1.9.0
# The build that has the drivers of the clouds reaches more.
readonly tags=cloudstore

cd "$root"
if [ $# -gt 0 ]; then
  modules=("$@")
else
  # Tools run on developers' machines only, and reach what they reach: they are updated, and not looked at here.
  mapfile -t modules < <(hack/modules | grep -v '^hack/tools/')
fi

# known MODULE_DIR PACKAGES...: prints what is known; status as above.
known() {
  local dir=$1 output status=0
  shift
  output=$(cd "$dir" && go run "$checker" ${GOVULNDB:+-db "$GOVULNDB"} -tags "$tags" "$@" 2>&1) || status=$?
  echo "$output"
  # Whatever ends govulncheck, `go run` ends with 1.
  [ $status = 0 ] || case $output in
    *"fetching vulnerabilities:"*) return 3 ;;
    *) return 1 ;;
  esac
}

# nothing_checked: says so where nobody can overlook it.
nothing_checked() {
  cat >&2 <<END
################################################################################
# NOTHING WAS CHECKED FOR KNOWN VULNERABILITIES.
# The database (${GOVULNDB:-https://vuln.go.dev}) can't be had from here.
# Run this where it can be had, or name a copy in GOVULNDB. Don't release on this.
################################################################################
END
  exit 3
}

# First a package that reaches nearly nothing: whether the database is there is known in seconds.
status=0
known . ./internal/version >&2 || status=$?
[ $status != 3 ] || nothing_checked

worst=0
for module in "${modules[@]}"; do
  echo "vulnerabilities: $module"
  # Of the operator's own module the programs; tests and benchmarks ship with nobody.
  packages=(./...)
  [ "$module" != . ] || packages=(. ./cmd/...)
  status=0
  known "$module" "${packages[@]}" || status=$?
  [ $status != 3 ] || nothing_checked
  [ $status = 0 ] || worst=1
done
exit $worst
