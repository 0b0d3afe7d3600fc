#!/usr/bin/env bash
# Checks that everything in the tree is in step: verify.sh [CHECK...]. It changes nothing; all checks run, and the
# failing ones are named at the end.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=hack/versions.sh
source hack/versions.sh
# Python would leave compiled files beside the scripts.
export PYTHONDONTWRITEBYTECODE=1

# files [PATTERN...]: the files of the project, also those that are not added yet, without what git ignores.
files() {
  git ls-files -co --exclude-standard -- "$@" | while read -r file; do [ ! -e "$file" ] || echo "$file"; done
}

# The generators run in a copy of the tree.
check_generated() {
  local copy
  copy=$(mktemp -d)
  files | tar -cf - -T - | tar -xf - -C "$copy"
  cp -R "$copy" "$copy.before"
  "$copy/hack/generate.sh" &&
    diff -ru "$copy.before" "$copy" || { rm -rf "$copy" "$copy.before"; echo "run: make generate"; return 1; }
  rm -rf "$copy" "$copy.before"
}

check_modules() {
  local module status=0
  for module in $(hack/modules); do
    (cd "$module" && go mod tidy -diff) || { echo "run: (cd $module && go mod tidy)"; status=1; }
  done
  return $status
}

# The versions that hack/versions.sh names and those of the Go modules that they are built from; and the release's own.
check_versions() {
  local status=0
  same() { [ "$2" = "$3" ] || { echo "$1: $2, but it is to be $3"; status=1; }; }
  same hack/tools/kubernetes "$(version_in hack/tools/kubernetes k8s.io/kubernetes)" "$KUBERNETES_VERSION"
  local minor
  for minor in 1.31 1.30; do
    ISTIO_MINOR=$minor
    source hack/versions.sh
    same "$ISTIO_MODULE" "$(version_in "$ISTIO_MODULE" istio.io/istio)" "$ISTIO_VERSION"
    same "$ISTIO_MODULE, Gateway API" "$(version_in "$ISTIO_MODULE" sigs.k8s.io/gateway-api)" "$GATEWAY_API_VERSION"
  done
  # The staging modules of Kubernetes 1.37.2 are v0.37.2, and the operator is built with the same minor.
  local staging=v0.${KUBERNETES_VERSION#v1.} line
  while read -r line; do
    same "hack/tools/kubernetes, replace ${line%% *}" "${line##* }" "$staging"
  done < <(sed -n 's/^\t\(k8s\.io\/[^ ]*\) => /\1 /p' hack/tools/kubernetes/go.mod)
  local release file tag
  release=$(sed -n 's/^appVersion: //p' charts/wasmplugin-operator/Chart.yaml)
  same "Chart.yaml, version" "v$(sed -n 's/^version: //p' charts/wasmplugin-operator/Chart.yaml)" "$release"
  while IFS=: read -r file tag; do
    same "$file, newTag" "${tag##* }" "$release"
  done < <(grep -r '^ *newTag:' --include=kustomization.yaml config)
  same "go.mod, minor of k8s.io/client-go" "$(version_in . k8s.io/client-go | cut -d. -f1-2)" "$(cut -d. -f1-2 <<<"$staging")"
  return $status
}

version_in() { awk -v module="$2" '$1 == module && $2 != "=>" { print $2; exit } $2 == module { print $3; exit }' "$1/go.mod"; }

check_format() { hack/lint.sh fmt-diff; }

check_lint() { hack/lint.sh; }

check_scripts() {
  local file status=0 shell=()
  while read -r file; do
    case $(head -n 1 "$file") in
      '#!'*sh) shell+=("$file"); bash -n "$file" || status=1 ;;
      *python3*) python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$file" || status=1 ;;
    esac
  done < <(files hack .ci)
  # Where it is installed; it comes from no package registry of a language.
  if command -v shellcheck >/dev/null; then shellcheck -x "${shell[@]}" || status=1; fi
  return $status
}

# Every Go file names its licence, below a build tag if it has one.
check_licences() {
  local missing
  missing=$(files '*.go' | xargs grep -L '^// SPDX-License-Identifier: Apache-2.0$' || true)
  [ -z "$missing" ] || { echo "without a licence line:" "$missing"; return 1; }
}

check_docs() { hack/check-docs; }

check_robustness() { hack/robustness --check; }

[ $# -gt 0 ] || set -- generated modules versions scripts licences docs robustness format lint
failed=()
for check in "$@"; do
  started=$SECONDS
  # A subshell of its own with `set -e`, which a condition would switch off.
  set +e
  (set -e; "check_$check") >&2
  result=$?
  set -e
  if [ $result = 0 ]; then verdict=ok; else verdict=FAILED failed+=("$check"); fi
  printf 'verify %-10s %s (%d s)\n' "$check" "$verdict" $((SECONDS - started))
done
[ ${#failed[@]} = 0 ] || { echo "verify: failed: ${failed[*]}" >&2; exit 1; }
