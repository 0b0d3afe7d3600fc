# The versions of everything that is downloaded or built for tests and the demo, and where it goes. Sourced by the scripts
# beside it and by test/chain; the Go modules under hack/tools must agree (`make verify` compares them).
# shellcheck shell=bash disable=SC2034
KUBERNETES_VERSION=v1.37.2
# The istio.io/istio module has no version tags: this is release-1.31.
ISTIO_VERSION=v0.0.0-20260827124520-eed52ebb66ad
ISTIO_RELEASE=1.31.0
# Istio 1.31 ships Envoy 1.39.
ENVOY_VERSION=1.39.3

CACHE=${WASMPLUGIN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wasmplugin-operator}
KUBERNETES_DIR=$CACHE/kubernetes-$KUBERNETES_VERSION
ISTIO_DIR=$CACHE/istio-$ISTIO_RELEASE-${ISTIO_VERSION##*-}
ENVOY_DIR=$CACHE/envoy-$ENVOY_VERSION
