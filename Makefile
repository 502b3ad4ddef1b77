# On a fresh machine: Go, git, make and, for the race detector, a C compiler.
# Everything else comes through the Go modules; tools are pinned in tools.mod.

SHELL         := bash
.SHELLFLAGS   := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS     += --no-builtin-rules

TOOL      := go tool -modfile=$(CURDIR)/tools.mod
GENERATED := ':(glob)api/**/zz_generated.*.go' config charts/hawser/crds charts/hawser/files/rbac docs/rbac.md
TESTFLAGS ?=
FUZZTIME  ?= 30s
BENCH     ?=
BENCHES   := rotation blackhole probe revoke ekstoken ekschain engage cachebytes fanout fairness rotate-all selector gate grant authplugin shard startup index ingest propagate union
KEEP      ?=
IMAGE_FLAGS ?=
VULNDB    ?= https://vuln.go.dev
# Modules beside the main one, with tests of their own. They read files of the main one, which Go's test cache does not watch.
MODULES   := conformance/eks conformance/consumers conformance/dashboards conformance/netpol hack/image

DEVFLEET_SOURCES := $(shell find devfleet -type f ! -name '*_test.go' \( -name '*.go' -o -name 'go.*' -o -name build.sh \))
# As build.sh compiles it, so that the linter takes Kubernetes from Go's build cache.
DEVFLEET_ENV := CGO_ENABLED=0 GOFLAGS="$$(go env GOFLAGS) -trimpath"

##@ Build

.PHONY: build
build: ## Build the programs into bin/
	go build -o bin/ ./cmd/...

.PHONY: devfleet
devfleet: bin/devfleet ## Build the API servers that tests and demo run on (minutes, the first time)

bin/devfleet: $(DEVFLEET_SOURCES)
	@mkdir -p bin
	devfleet/build.sh bin/devfleet
	@touch $@

bin/helm: tools.mod tools.sum
	@mkdir -p bin
	go build -modfile=tools.mod -o $@ helm.sh/helm/v4/cmd/helm
	@touch $@

.PHONY: clean
clean: ## Stop what runs in .devfleet and remove what was built
	@if [ -x bin/devfleet ] && [ -d .devfleet ]; then bin/devfleet down; fi
	rm -rf bin dist .devfleet cover.out

.PHONY: image
image: ## Write the container image to dist/image, without a container engine
	go run -C hack/image . --root "$(CURDIR)" --out "$(CURDIR)/dist" $(IMAGE_FLAGS)

##@ Test

# Those that take longest begin first, so that nothing is left to wait for in the end. They wait more than they compute.
LONGEST   := ./internal/manager ./internal/cli ./internal/rights ./internal/controller/endpointset ./internal/lifecycle ./fleet \
             ./internal/controller/federatedservice ./endpoint ./internal/controller/accessrequest ./cmd/hawser-auth

.PHONY: test
test: cc devfleet bin/helm ## Run all tests on real API servers, with the race detector
	CGO_ENABLED=1 go test -race -p 3 -timeout 15m $(TESTFLAGS) $(LONGEST) ./...
	for module in $(MODULES); do (cd $$module && CGO_ENABLED=1 go test -race -count=1 -timeout 5m $(TESTFLAGS) ./...); done

.PHONY: fuzz
fuzz: ## Fuzz every parser, FUZZTIME each (30s)
	@{ grep -rEo --include='*_test.go' --exclude-dir=devfleet '^func Fuzz[A-Z][A-Za-z0-9_]*' . || true; } | \
	while IFS=: read -r file func; do \
		echo "==> $${func#func } in $$(dirname "$$file")"; \
		go test -run '^$$' -fuzz "^$${func#func }\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" </dev/null || exit 1; \
	done

.PHONY: attempts
attempts: devfleet ## Take away each guard, and see that its attempt then succeeds (an hour); ATTEMPTS=part of a name
	go run ./internal/attempts/mutate $(if $(ATTEMPTS),'$(ATTEMPTS)')

.PHONY: bench
bench: devfleet ## Run all benchmarks, or one: BENCH=name; figures are put into bench.json
	@for name in $(or $(BENCH),$(BENCHES)); do echo "==> $$name"; go run ./internal/bench/$$name; done

.PHONY: demo
demo: build devfleet bin/helm ## Show Hawser at work on clusters of its own; KEEP=1 leaves them running
	KEEP=$(KEEP) PATH="$(CURDIR)/bin:$$PATH" go run ./hack/demo

##@ Keep in order

.PHONY: lint
lint: ## Lint and check the formatting
	$(TOOL) golangci-lint run ./...
	cd devfleet && $(DEVFLEET_ENV) $(TOOL) golangci-lint run ./...
	for module in $(MODULES); do (cd $$module && $(TOOL) golangci-lint run ./...); done

.PHONY: fmt
fmt: ## Format the code and sort its imports
	$(TOOL) golangci-lint fmt ./...

.PHONY: generate
generate: ## Generate the deep copies, the CRDs and the roles, and what of these is in the chart
	$(TOOL) controller-gen object:headerFile=hack/boilerplate.go.txt paths=./api/...
	rm -f config/crd/hawser.io_*.yaml
	$(TOOL) controller-gen crd:headerFile=hack/boilerplate.yaml.txt paths=./api/... output:crd:dir=config/crd
	mkdir -p charts/hawser/crds && rm -f charts/hawser/crds/*.yaml && cp config/crd/hawser.io_*.yaml charts/hawser/crds/
	go run ./hack/rbac

.PHONY: verify
verify: generate ## Fail if generated files or go.mod are not up to date
	go mod tidy -diff
	cd devfleet && go mod tidy -diff
	for module in $(MODULES); do (cd $$module && go mod tidy -diff); done
	@if [ -n "$$(git status --porcelain -- $(GENERATED))" ]; then \
		git --no-pager diff HEAD -- $(GENERATED); git status --short -- $(GENERATED); \
		echo "make verify: these files are not what is committed: commit what 'make generate' writes" >&2; exit 1; \
	fi

.PHONY: vuln vulncheck
vulncheck: vuln
vuln: ## Look for known vulnerabilities, by the Go project's database or a mirror: VULNDB=URL
	@GOBIN="$(CURDIR)/bin" go install golang.org/x/vuln/cmd/govulncheck@v1.8.0
	@said=$$(mktemp); trap 'rm -f "$$said"' EXIT; code=0; \
	bin/govulncheck -db "$(VULNDB)" ./... 2>"$$said" || code=$$?; cat "$$said" >&2; \
	if grep -q 'fetching vulnerabilities' "$$said"; then \
		echo "make vuln: NOTHING WAS CHECKED: the database $(VULNDB) cannot be reached from here. Run it where it can, or name a mirror: make vuln VULNDB=URL" >&2; \
	fi; exit $$code

.PHONY: cc
cc:
	@echo '#include <stdlib.h>' | "$$(go env CC)" -x c -fsyntax-only - 2>/dev/null || \
		{ echo "the race detector needs a C compiler: apt-get install build-essential" >&2; exit 1; }

.PHONY: help
help: ## Show this
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
