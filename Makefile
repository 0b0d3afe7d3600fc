# Everything that a developer or CI does. `make` alone lists the targets; each is also what CI calls.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

# What the binary says of itself.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# Arguments of `make run`, and whether `make demo` leaves everything running.
ARGS ?=
KEEP ?=
# How long `make full` runs each fuzz target.
FUZZTIME ?= 2m

# The suites of `make test`, each a target test-NAME, and how many run at a time: the longest begins. `make full` adds those
# that take longer.
ALL_SUITES := e2e unit modules envtest helm image plugins conformance fuzz-short bench faults
SUITES ?= $(ALL_SUITES)
AT_ONCE ?= 2
FULL_SUITES := $(ALL_SUITES) conformance-oldest checker agreement templates release race fuzz
MODULE_PACKAGES := ./cmd/... $(addprefix ./internal/,module/... signature/... proxywasm/... drystart/... checker/... resolve/... store/... schema/... runtimeconfig/... httpcase/... scaffold/...)
UNIT_PACKAGES := . ./api/... ./controllers/... $(addprefix ./internal/,apply convert explain metrics proxies rollout rules status translate version) ./charts ./test/conformance/table
REPORTS := $(CURDIR)/bin/reports

##@ General

.PHONY: help
help: ## Lists the targets.
	@awk 'BEGIN { FS = ":.*##" } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*##/ { printf "  %-25s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: control-plane ## Shows the whole story on a real control plane; KEEP=1 leaves it running.
	@hack/tool helm >/dev/null
	@KEEP=$(KEEP) go run ./test/demo

.PHONY: recording
recording: control-plane ## Writes docs/journey.txt: from an empty folder to a header in a response, as a terminal shows it.
	@hack/tool helm registry cosign >/dev/null
	@JOURNEY_RECORDING=$(CURDIR)/docs/journey.txt go test -count=1 -timeout 15m ./test/e2e -args -ginkgo.focus="journey of a plugin"

.PHONY: proof
proof: control-plane ## Counts what bad plugins cost, beside Istio's own WasmPlugin; BIG=1 adds one of 30 MB.
	@hack/tool helm >/dev/null
	@go run ./test/proof

.PHONY: run
run: ## Runs the operator against a cluster: make run ARGS='--kubeconfig FILE'.
	@go run . $(ARGS)

.PHONY: clean
clean: ## Removes what was built here. The cache folder stays (see CONTRIBUTING.md).
	rm -rf bin

##@ Build

.PHONY: build
build: ## Builds the operator and the command line: bin/wasmplugin-operator, bin/wasmctl.
	@VERSION=$(VERSION) hack/build.sh bin/wasmplugin-operator
	@VERSION=$(VERSION) hack/build.sh bin/wasmctl ./cmd/wasmctl

.PHONY: plugins
plugins: ## Builds the example plugins: bin/plugins/NAME.wasm.
	@mkdir -p bin/plugins
	@for dir in examples/*/; do \
		name=$$(basename "$$dir"); echo "bin/plugins/$$name.wasm"; \
		(cd "$$dir" && GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -buildvcs=false -trimpath -ldflags "-s -w" \
			-o "$(CURDIR)/bin/plugins/$$name.wasm" .); \
	done

.PHONY: control-plane
control-plane: ## Puts Kubernetes, Istio and Envoy into the cache folder (minutes, the first time).
	@hack/control-plane.sh

.PHONY: tools
tools: ## Builds the tools into the cache folder (minutes, the first time).
	@hack/tool controller-gen crd-ref-docs setup-envtest gotestsum helm registry cosign golangci-lint golangci-lint-kube-api-linter >/dev/null

##@ Code

.PHONY: generate
generate: ## Writes deepcopy, apply configurations, CRD, RBAC, the chart's copies and the field reference.
	@hack/generate.sh

.PHONY: fmt
fmt: ## Formats the Go code.
	@hack/lint.sh fmt

.PHONY: lint
lint: ## Lints the Go code and the API types.
	@hack/lint.sh

.PHONY: verify
verify: ## Checks that all that is generated, formatted and documented is in step. Changes nothing.
	@hack/verify.sh

##@ Tests

.PHONY: test
test: ## Runs every suite, two at a time, and ends with the count. SUITES='unit helm' picks some, AT_ONCE=1 runs one after the other.
	@hack/suites "$(REPORTS)" $(AT_ONCE) $(SUITES) -- $(ALL_SUITES)

.PHONY: full
full: export CONTROL_PLANE_FROM_SOURCE = 1
full: export LONG_FLAGS = -tags=long -timeout=180m
full: ## As test, and what takes longer: control plane from source, the oldest Istio, 2,000 proxies, every kill point, a soak, race detector (needs a C compiler), fuzzing; needs cargo with wasm32-wasip1, too.
	@hack/suites "$(REPORTS)" 1 $(FULL_SUITES) -- $(FULL_SUITES)

.PHONY: test-unit
test-unit: ## Tables, goldens, error paths, seeds of the fuzz targets.
	@hack/test.sh unit . $(UNIT_PACKAGES)

.PHONY: test-modules
test-modules: ## wasmctl, and the fetching, verifying, starting and storing of modules.
	@hack/test.sh modules . $(MODULE_PACKAGES)

.PHONY: test-envtest
test-envtest: ## The operator and the CRD against a real API server.
	@hack/control-plane.sh kubernetes
	@hack/test.sh envtest . $(LONG_FLAGS) ./test/envtest/...

.PHONY: test-helm
test-helm: ## The chart: rendered, linted, and its rights on a real API server.
	@hack/control-plane.sh kubernetes
	@hack/tool helm >/dev/null
	@hack/test.sh helm . $(LONG_FLAGS) ./test/helm/...

.PHONY: test-image
test-image: ## The container image, without a container engine.
	@hack/test.sh image test/image ./...

.PHONY: test-plugins
test-plugins: ## The plugins, examples and those of the tests, in the SDK's host emulator.
	@status=0; for dir in examples/*/ test/plugins/*/; do hack/test.sh plugins "$${dir%/}" ./... || status=1; done; exit $$status

.PHONY: conformance
conformance: test-conformance ## As test-conformance: a line for each case, and how many cases each field has.

.PHONY: test-conformance
test-conformance: ## What istiod sends for every field, compared with Istio's own WasmPlugin.
	@hack/control-plane.sh kubernetes istio
	@hack/test.sh conformance . ./test/conformance

.PHONY: test-conformance-oldest
test-conformance-oldest: export ISTIO_MINOR := 1.30
test-conformance-oldest: ## The same with the oldest supported Istio.
	@hack/control-plane.sh kubernetes istio
	@hack/test.sh conformance-oldest . ./test/conformance

.PHONY: test-e2e
test-e2e: control-plane ## The whole chain: control plane, istiod, Envoy, real requests.
	@hack/tool helm registry cosign >/dev/null
	@$(if $(findstring long,$(LONG_FLAGS)),hack/compilers.sh)
	@hack/test.sh e2e . $(LONG_FLAGS) ./test/chain/... ./test/story/... ./test/e2e/...

.PHONY: faults
faults: export LONG_FLAGS = -tags=long -timeout=180m
faults: test-faults ## As test-faults, with every kill point, more random plans and the soak (SOAK_MINUTES=30).
	@cat "$(REPORTS)/faults/summary"

.PHONY: test-faults
test-faults: export FAULTS_SUMMARY = $(REPORTS)/faults/summary
test-faults: ## The operator is killed, refused, cut off, frozen and told old news: what it leaves behind is right.
	@mkdir -p "$(REPORTS)/faults"
	@hack/control-plane.sh kubernetes istio
	@hack/test.sh faults . $(LONG_FLAGS) ./test/faults/...

.PHONY: bench
bench: ## What the operator costs, beside a raw client that writes the same: a table and JSON, in minutes.
	@hack/control-plane.sh kubernetes
	@go run ./test/bench $(ARGS)

.PHONY: test-bench
test-bench: ## The same in short, with gates on what can be counted.
	@hack/control-plane.sh kubernetes
	@hack/test.sh bench . ./test/bench/...

.PHONY: test-checker
test-checker: ## The checker with a plugin of 30 MB.
	@hack/test.sh checker . ./test/checker/...

.PHONY: test-agreement
test-agreement: ## The dry start and Envoy agree on modules in Go, Rust, C++, AssemblyScript and by hand (installs compilers).
	@hack/control-plane.sh envoy
	@hack/compilers.sh
	@hack/test.sh agreement . ./test/agreement

.PHONY: test-templates
test-templates: ## What wasmctl init makes, in every language: built, started, asked (installs compilers; Rust needs cargo and wasm32-wasip1).
	@hack/compilers.sh
	@hack/test.sh templates . -tags=long -timeout=30m -run=TestTemplates ./cmd/wasmctl/internal/author

.PHONY: release-check
release-check: test-release ## As test-release. Publishes nothing.

.PHONY: test-release
test-release: ## goreleaser's configuration, and the programs, completion scripts and man pages that it makes here.
	@hack/tool goreleaser >/dev/null
	@hack/test.sh release . ./test/release

.PHONY: test-race
test-race: ## Unit tests with Go's race detector (needs cgo and a C compiler).
	@CGO_ENABLED=1 hack/test.sh race . -race $(UNIT_PACKAGES) $(MODULE_PACKAGES)

.PHONY: test-fuzz-short
test-fuzz-short: ## Each fuzz target for 2 s, changing its seeds at random.
	@hack/fuzz.sh 2s unguided

.PHONY: vulnerabilities
vulnerabilities: ## govulncheck of what is built; says so loudly where its database can't be reached.
	@hack/vulnerabilities.sh

.PHONY: robustness
robustness: ## Writes docs/robustness.md from the reports of the last make test or make full.
	@hack/robustness "$(REPORTS)"

.PHONY: test-fuzz
test-fuzz: ## Each fuzz target for FUZZTIME.
	@hack/fuzz.sh $(FUZZTIME)
