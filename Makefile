# Python 3.11 or newer and make are all that is needed. `make` alone explains the targets.
DEMO ?= 1
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
NATIVE := shared/sla/native shared/adapters/kafka/native
LIBRARIES := shared/sla/native/libswift.so shared/adapters/kafka/native/libcolumns.so
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
.DEFAULT_GOAL := help
.PHONY: help install dev run test test-slow nightly chaos mutation bench check lint formatting types imports rust native format reference lock lock-kafka clean

help:  ## show this
	@echo "make TARGET, where TARGET is one of"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1|\2/' | while IFS='|' read -r name text; do printf '  %-12s %s\n' "$$name" "$$text"; done

install: .venv/.run native  ## bring what running needs into .venv (locked versions, checked sums)
dev: .venv/.dev native  ## likewise, with what tests and checks need

.venv/bin/python:
	@if [ -z "$(PYTHON)" ]; then echo "slawatch needs Python 3.11 or newer, and finds none (say PYTHON=/path/to/python3.11)" >&2; exit 1; fi
	@echo "making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "that Python has no venv: on Debian, apt-get install python3-venv" >&2; exit 1; }

.venv/.run: requirements.txt pyproject.toml | .venv/bin/python
	@echo "installing what running needs (a minute at the first time)"
	@$(PIP) --require-hashes -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: requirements-dev.txt .venv/.run
	@echo "installing what tests and checks need"
	@$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@

native:  ## build what is native (the engine's swift path, columns of records), where there is cargo (Rust); without it all is the same, but slower
	@if command -v cargo >/dev/null 2>&1; then $(MAKE) --no-print-directory $(LIBRARIES); \
	else echo "no cargo (Rust) on this machine: it goes without native code, slower and the same"; fi

.SECONDEXPANSION:
$(LIBRARIES): %.so: $$(wildcard $$(@D)/src/*.rs) $$(@D)/Cargo.toml $$(@D)/Cargo.lock
	@echo "building $@"
	@{ cd $(@D) && cargo build --release --locked --offline --quiet && cp target/release/$(notdir $*).* target/ && \
		mv -f "$$(ls target/$(notdir $*).so target/$(notdir $*).dylib 2>/dev/null | head -n 1)" $(@F); } || \
		{ rm -f $@; echo "it could not be built: it goes without, slower and the same" >&2; }

run: install  ## run everything on this machine until Ctrl-C; DEMO=0 leaves the simulated vendors out
	@exec $(BIN)/slawatch up $(if $(filter 0 no false,$(DEMO)),--no-demo)

test: dev  ## all tests that take seconds; ARGS="tests/unit -k name" narrows
	@$(BIN)/python -m pytest -v -m "not slow and not nightly" --tb=short $(ARGS)

test-slow: dev  ## the tests that take minutes
	@$(BIN)/python -m pytest -v -m slow $(ARGS)

nightly: dev  ## the tests that take long: many seeds, whole archives
	@$(BIN)/python -m pytest -v -m nightly --timeout 7200 $(ARGS)

chaos: dev  ## every fault twenty times on a stack of its own, under load, and the table; ARGS="--fault 'broker killed' --runs 1" narrows
	@$(BIN)/python -m tests.chaos $(ARGS)

mutation: dev  ## plant faults into a copy of the engine; each must turn tests red
	@$(BIN)/python -m tests.mutation

bench: dev  ## measure, and print the figures
	@$(BIN)/python -m tests.bench

check: dev  ## the whole gate but the tests: lint, formatting, types, import contracts
	@$(MAKE) --no-print-directory --keep-going --output-sync=target -j4 lint formatting types imports rust

lint: dev
	@$(BIN)/ruff check --quiet . && echo "lint: clean"

formatting: dev
	@$(BIN)/ruff format --check --quiet . && echo "formatting: clean"

types: dev
	@$(BIN)/mypy --no-error-summary && echo "types: clean"

imports: dev
	@$(BIN)/lint-imports > .venv/imports.log 2>&1 && echo "import contracts: kept" || { cat .venv/imports.log; exit 1; }

rust:
	@if cargo clippy --version >/dev/null 2>&1 && cargo fmt --version >/dev/null 2>&1; then \
		for crate in $(NATIVE); do cargo fmt --check --manifest-path $$crate/Cargo.toml && \
			cargo clippy --quiet --locked --offline --manifest-path $$crate/Cargo.toml --all-targets -- -D warnings || exit 1; done; echo "rust: clean"; \
	else echo "rust: not looked at, there is no cargo with clippy and fmt here"; fi

format: dev  ## put the code into form
	@$(BIN)/ruff check --quiet --fix --select I . ; $(BIN)/ruff format .
	@if cargo fmt --version >/dev/null 2>&1; then for crate in $(NATIVE); do cargo fmt --manifest-path $$crate/Cargo.toml; done; fi

reference: dev  ## write docs/reference and the dashboards anew from the code
	@$(BIN)/python -m shared.language.schema
	@$(BIN)/python -m shared.runtime.asyncapi
	@$(BIN)/python -m deploy.grafana.dashboards

lock: dev  ## resolve and lock all Python dependencies anew
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && $(BIN)/python -m venv "$$scratch" && "$$scratch/bin/pip" install --quiet uv && \
	compile() { "$$scratch/bin/uv" pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
		--no-annotate --quiet --upgrade --custom-compile-command 'make lock' "$$@"; } && \
	compile --extra dev --extra build -o requirements-dev.txt && compile --extra build -c requirements-dev.txt -o requirements.txt

lock-kafka: dev  ## resolve and lock the newest Kafka's jars anew
	@$(BIN)/python -m shared.local.lock

clean:  ## remove the embedded stack's data, the downloaded jars and all caches
	@if [ -e .slawatch/stack.lock ] && command -v flock >/dev/null && ! flock -n .slawatch/stack.lock true; then echo "slawatch is running here: stop it first" >&2; exit 1; fi
	rm -rf .slawatch .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -path ./.venv -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf
