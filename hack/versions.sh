# The versions of everything that is downloaded or built for tests and the demo, and where it goes. Sourced by the scripts
# beside it and by test/chain; the Go modules under hack/tools must agree (`make verify` compares them).
# shellcheck shell=bash disable=SC2034
KUBERNETES_VERSION=v1.37.2
# The istio.io/istio module has no version tags: these are release-1.31 and release-1.30. ISTIO_MINOR picks one; the
# Gateway API is in the version that it is built with.
case ${ISTIO_MINOR:-1.31} in
  1.31)
    ISTIO_VERSION=v0.0.0-20260827124520-eed52ebb66ad
    ISTIO_RELEASE=1.31.0
    ISTIO_MODULE=hack/tools/istio
    GATEWAY_API_VERSION=v1.6.0
    ;;
  1.30)
    ISTIO_VERSION=v0.0.0-20260826214018-9739e10eb9d7
    ISTIO_RELEASE=1.30.3
    ISTIO_MODULE=hack/tools/istio-1.30
    GATEWAY_API_VERSION=v1.5.1
    ;;
  *)
    echo "hack/versions.sh: ISTIO_MINOR is '$ISTIO_MINOR'; know 1.30 and 1.31" >&2
    exit 2
    ;;
esac
# Istio 1.31 ships Envoy 1.39.
ENVOY_VERSION=1.39.3

CACHE=${WASMPLUGIN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wasmplugin-operator}
KUBERNETES_DIR=$CACHE/kubernetes-$KUBERNETES_VERSION
ISTIO_DIR=$CACHE/istio-$ISTIO_RELEASE-${ISTIO_VERSION##*-}
GATEWAY_API_CRDS=$ISTIO_DIR/gateway-api-$GATEWAY_API_VERSION.yaml
ENVOY_DIR=$CACHE/envoy-$ENVOY_VERSION
