#!/bin/sh
# Builds a program: build.sh OUTPUT [PACKAGE], the operator unless a package is named. The same source gives the same bytes
# wherever it is built: by make, in the Dockerfile, and by ko (.ko.yaml). GOOS and GOARCH choose the platform; VERSION is
# what the binary says of itself.
set -eu

output=$1 package=${2:-.}
case $output in /*) ;; *) output=$PWD/$output ;; esac
cd "$(dirname "$0")/.."
export CGO_ENABLED=0
# No VCS stamp: it would differ between a clone and a build context without .git. VERSION tells the commit.
exec go build -trimpath -buildvcs=false \
  -ldflags "-s -w -buildid= -X github.com/solarmesh/wasmplugin-operator/internal/version.Version=${VERSION:-dev}" \
  -o "$output" "$package"
