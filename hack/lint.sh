#!/usr/bin/env bash
# Lints or formats every Go module of the project: lint.sh [fmt | fmt-diff]
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
golangci_lint=$("$root/hack/tool" golangci-lint)
case ${1:-lint} in
  lint) command=(run) ;;
  fmt) command=(fmt) ;;
  fmt-diff) command=(fmt --diff) ;;
  *) echo "usage: hack/lint.sh [fmt | fmt-diff]" >&2; exit 2 ;;
esac

status=0
for module in $("$root/hack/modules"); do
  # Modules of tools hold no Go code.
  case $module in hack/tools/*) continue ;; esac
  echo "${command[*]}: $module" >&2
  (cd "$root/$module" && "$golangci_lint" "${command[@]}" -c "$root/.golangci.yml" ./...) || status=1
done

if [ "${1:-lint}" = lint ]; then
  kube_api_linter=$("$root/hack/tool" golangci-lint-kube-api-linter)
  echo "kube-api-linter: api" >&2
  (cd "$root" && "$kube_api_linter" run -c .golangci-kal.yml ./api/...) || status=1
fi
exit $status
