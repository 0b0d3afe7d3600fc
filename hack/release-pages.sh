#!/usr/bin/env bash
# Writes what stands beside the binary of wasmctl in a release: release-pages.sh FOLDER makes FOLDER/completions and
# FOLDER/man. The pages carry the month of the commit, so that they are the same whenever they are made.
set -euo pipefail

[ $# = 1 ] || { echo "usage: hack/release-pages.sh FOLDER" >&2; exit 2; }
cd "$(dirname "${BASH_SOURCE[0]}")/.."
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

rm -rf "$1"
mkdir -p "$1/completions"
wasmctl=$(mktemp)
trap 'rm -f "$wasmctl"' EXIT
# For this machine, whatever platform is being released.
GOOS='' GOARCH='' hack/build.sh "$wasmctl" ./cmd/wasmctl
"$wasmctl" docs -o man "$1/man"
for shell in bash zsh fish powershell; do
  "$wasmctl" completion "$shell" >"$1/completions/wasmctl.${shell/powershell/ps1}"
done
