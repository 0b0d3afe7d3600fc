# The operator's image: docker buildx build --platform linux/amd64,linux/arm64 --build-arg VERSION=v0.1.0 .
# Go builds for every platform on the builder's own, so nothing is emulated. With SOURCE_DATE_EPOCH=0 and
# --output type=image,rewrite-timestamp=true the image is the same bit for bit, since hack/build.sh's binary is.
FROM --platform=$BUILDPLATFORM golang:1.26.8-alpine@sha256:8ac98ca534ac3f51e1f420a1dd2c15e74c75cfa0f23f3ad27eb5d7236c349a0c AS build
WORKDIR /src
# First what changes seldom: the modules are downloaded again only when these change.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION=dev
# --build-arg GOFLAGS=-tags=cloudstore: a store of modules in a bucket of S3, Google Cloud Storage or Azure needs that.
ARG GOFLAGS=
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH hack/build.sh bin/wasmplugin-operator

# No shell, no package manager, a user without rights.
FROM gcr.io/distroless/static-debian13:nonroot@sha256:e2e927ec666bae08560abb3c55d0659eceabb657f56b6782ab500a9fc7f555e3
LABEL org.opencontainers.image.title="wasmplugin-operator" \
      org.opencontainers.image.description="Runs WebAssembly plugins in the proxies of an Istio mesh" \
      org.opencontainers.image.source="https://github.com/solarmesh/wasmplugin-operator" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /src/bin/wasmplugin-operator /wasmplugin-operator
# By number: with a name the kubelet can't tell that it isn't root.
USER 65532:65532
ENTRYPOINT ["/wasmplugin-operator"]
