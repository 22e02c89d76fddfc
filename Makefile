# Lifeboat. `make` lists what there is; `make demo` and `make test` need
# nothing but Go and Debian, and install what is missing.

GO := $(shell scripts/find-go)
ifeq ($(GO),)
$(error no Go tool chain)
endif

VERSION  ?= $(shell git describe --tags --dirty 2>/dev/null || \
                    echo "0.1.0-dev+$$(git rev-parse --short HEAD 2>/dev/null || echo unknown)")
LDFLAGS  := -s -w -X lifeboat/internal/cli/screen.Version=$(VERSION)
BUILD    := $(GO) build -trimpath -ldflags '$(LDFLAGS)'
FUZZTIME ?= 2s
SOAK     ?= 10m

export CGO_ENABLED := 0

.DEFAULT_GOAL := help
.PHONY: help build cross demo test lint race fuzz soak bench deps clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 14

build: ## bin/lifeboat for this machine
	$(BUILD) -o bin/ ./cmd/lifeboat

cross: ## dist/ for every system that is shipped; Windows gets the client program
	GOOS=linux GOARCH=amd64 $(BUILD) -o dist/lifeboat-linux-amd64 ./cmd/lifeboat
	GOOS=linux GOARCH=arm64 $(BUILD) -o dist/lifeboat-linux-arm64 ./cmd/lifeboat
	GOOS=windows GOARCH=amd64 $(BUILD) -o dist/lifeboat-windows-amd64.exe ./cmd/lifeboat

demo: ## a lost SMT server comes back, with real MariaDB (as root, in sandboxes)
	@scripts/deps demo
	@$(BUILD) -o bin/ ./cmd/lifeboat ./cmd/lab
	@scripts/demo

test: ## everything continuous integration checks, with a report at the end
	@scripts/deps test
	@$(MAKE) --no-print-directory lint
	@$(GO) run ./scripts/testreport -go $(GO) -fuzz $(FUZZTIME)

lint: ## vet, staticcheck, gofumpt and the rules of internal/architecture
	$(GO) vet ./...
	GOARCH=arm64 $(GO) build -o /dev/null ./cmd/lifeboat
	GOOS=windows GOARCH=amd64 $(GO) build -o /dev/null ./cmd/lifeboat
	$(GO) tool staticcheck ./...
	@unformatted=$$($(GO) tool gofumpt -l .); \
	if [ -n "$$unformatted" ]; then \
		printf 'not formatted with gofumpt:\n%s\nRun: %s tool gofumpt -w .\n' "$$unformatted" "$(GO)" >&2; \
		exit 1; \
	fi
	$(GO) test -count=1 ./internal/architecture

race: ## the tests beside the code under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race ./internal/...

fuzz: ## every fuzz target for FUZZTIME (2s)
	@$(GO) run ./scripts/testreport -go $(GO) -only-fuzz -fuzz $(FUZZTIME)

soak: ## random histories of a repository for SOAK (10m), each judged by restic
	@scripts/deps test
	$(GO) test ./internal/repository/model -run StockRestic -v -timeout 0 -soak $(SOAK) -first $$(date +%s)

bench: ## backup and restore beside restic, tar and cp in one run
	@scripts/deps bench
	@$(BUILD) -o bin/ ./cmd/lifeboat ./cmd/lab
	@$(GO) run ./scripts/bench

deps: ## the Debian packages that demo, test and bench need
	@scripts/deps demo
	@scripts/deps test
	@scripts/deps bench

clean: ## remove what was built
	rm -rf bin dist
