# What people type. Each target says what it does; `make help` lists them.
GO        ?= go
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unreleased)
LDFLAGS   := -s -w -X main.version=$(VERSION)
FUZZTIME  ?= 20s
BENCHTIME ?= 1s
TOOLS     := $(CURDIR)/bin/tools

.PHONY: help build signer demo run test interop bench bench-peers lint fuzz generate deps clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

build: ## build bin/sealwright, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/sealwright ./cmd/sealwright

signer: ## build bin/sealwright-signer, which talks PKCS#11 to an HSM (needs a C compiler)
	CGO_ENABLED=1 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/sealwright-signer ./cmd/sealwright-signer

demo: build ## play the main job against a fresh installation and leave it running
	@./scripts/packages openssl curl
	./bin/sealwright demo

run: build ## start a development installation without playing anything
	./bin/sealwright dev

test: deps build ## install the peers and run all tests
	$(GO) vet ./...
	CGO_ENABLED=1 $(GO) test -timeout 25m ./...

interop: deps build ## run the tests with foreign clients from PyPI and Maven
	./scripts/interop

bench: ## measure, in benchstat format
	$(GO) test -run '^$$' -bench . -benchtime $(BENCHTIME) -timeout 60m ./...

bench-peers: build ## measure whole servers side by side with step-ca
	./scripts/bench-peers

lint: ## gofumpt, vet, staticcheck, golangci-lint, govulncheck and the architecture test
	./scripts/lint

fuzz: ## run each fuzz target for FUZZTIME (20s)
	./scripts/fuzz $(FUZZTIME)

generate: ## generate the templates' Go files again
	$(GO) generate ./...

deps: ## install the Debian packages that the tests use
	@./scripts/packages openssl curl python3 postgresql softhsm2 opensc gnutls-bin chromium default-jdk-headless nginx-light \
		bind9 bind9-utils unbound slapd ldap-utils openssh-server

clean: ## remove what was built
	rm -rf bin
