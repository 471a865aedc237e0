# A thin front: every line here can be typed by hand.
SHELL := /bin/bash
TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/keydesk/tools
export PATH := $(TOOLS)/bin:$(CURDIR)/node_modules/.bin:$(PATH)

DATA ?= data
LISTEN ?= 127.0.0.1:3000
N ?= 100000
DB ?= sqlite

.DEFAULT_GOAL := help
.PHONY: help setup build package run demo dev test check faults fuzz clients bench

help: ## this list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 16

setup: ## install the build tools that are missing
	@scripts/setup.sh

build: setup ## release build: target/release/keydesk
	@scripts/build.sh

package: build ## the Debian package: target/keydesk_VERSION_ARCHITECTURE.deb
	@scripts/package.sh

run: build ## build and serve on LISTEN (127.0.0.1:3000), data in DATA (data/)
	@exec target/release/keydesk serve --listen $(LISTEN) --data $(DATA)

demo: build ## build and serve a made-up organisation to look around in
	@exec target/release/keydesk demo --serve

dev: ## serve a debug build that follows every change of the sources
	@scripts/setup.sh dev
	@exec cargo leptos watch -- serve --listen $(LISTEN) --data $(DATA)

test: ## everything: checks, cargo test on both databases, release build, short bench, client and browser tests
	@scripts/test.sh

check: setup ## format, lints, the rules a search can hold up
	@scripts/check.sh

faults: build ## break disk, clock, connections and database beside the built program; under a quarter of an hour
	@scripts/faults.sh

fuzz: export KEYDESK_FUZZ_SECONDS ?= 3600
fuzz: ## try each property for KEYDESK_FUZZ_SECONDS (3600), as before a release
	@cargo test --locked -p keydesk-core --features store,testing --test fuzz
	@scripts/with-postgres.sh cargo test --locked -p keydesk --bin keydesk -- fuzz whatever_is_sent

clients: build ## Claude Code, Codex, Gemini CLI, aider, LangChain and more with good and bad keys; installs 2.5 GB
	@scripts/client-programs.sh

bench: setup ## measure questions and requests with N keys (100000) on DB (sqlite or postgres), or with USAGE requests (10000000) alone
	@cargo build --release --locked -p keydesk --no-default-features --features ssr --bin keydesk-bench --bin keydesk
	@$(if $(filter postgres,$(DB)),scripts/with-postgres.sh --durable )target/release/keydesk-bench --database $(DB) --keys $(N)$(if $(USAGE), --usage $(USAGE))
