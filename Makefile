# Two commands on a fresh machine: `make demo` and `make test`. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
ARGS ?=

DEV := .venv
DEMO := .venv-demo
BENCH := .venv-bench
MUTATE := .mutate
LOCKS := deploy/requirements
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --no-input

# $(call venv,DIRECTORY,LOCK): a virtual environment holding exactly what the lock names, and this checkout.
# Debian keeps `venv` in a package of its own, so the first failure is answered by installing that.
define venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "refreshd needs Python 3.11 or later, and '$(PYTHON)' is not one. Name another: make $@ PYTHON=python3.13" >&2; exit 1; }
	@test -x $(1)/bin/pip || $(PYTHON) -m venv $(1) >/dev/null 2>&1 || { \
	  rm -rf $(1); \
	  package=$$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
	  command="apt-get install -y --no-install-recommends $$package"; \
	  if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	    echo "'$(PYTHON) -m venv' does not work here. On Debian this mends it: sudo $$command" >&2; exit 1; fi; \
	  echo "Installing $$package" >&2; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  { apt-get update && $$command; } >/dev/null; \
	  $(PYTHON) -m venv $(1); }
	@echo "Installing $(2) into $(1)" >&2
	@$(1)/bin/python $(PIP_INSTALL) --require-hashes -r $(LOCKS)/$(2)
	@$(1)/bin/python $(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $(1)/.complete
endef

# $(call programme,NAME,N,MINUTES): a long run of tests/programme/NAME.py, its result appended to docs/reliability.md.
# It ends after N cases or MINUTES. Without SEED one is drawn; it is printed first, and repeats the same cases.
# REPLICAS is for those that start several, CREDENTIALS and DAYS for the worlds of simulate.
define programme
	@tests/components/setup
	@$(DEV)/bin/python -m tests.programme $(1) --n $(or $(N),$(2)) --minutes $(or $(MINUTES),$(3)) $(addprefix --seed ,$(SEED)) \
	  $(addprefix --replicas ,$(REPLICAS)) $(addprefix --credentials ,$(CREDENTIALS)) $(addprefix --days ,$(DAYS)) --record
endef

.PHONY: help demo test test-browser check states crash simulate fuzz stateful shutdown wire disk replicas primary bench bench-scale bench-replicas mutate lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(DEMO)/.complete ## watch tokens being refreshed, no setup needed; ARGS="--for 60s" ends by itself
	@$(DEMO)/bin/refreshd demo $(ARGS)

test: $(DEV)/.complete ## set up what is missing and run the whole suite; ARGS="-k name" goes to pytest
	@tests/components/setup
	@$(DEV)/bin/pytest -n 4 --dist loadgroup $(ARGS)

test-browser: $(DEV)/.complete ## the logins in a real browser alone; `make test` has them too
	@tests/components/setup
	@$(DEV)/bin/pytest -n 2 tests/system/test_browser_login.py $(ARGS)

check: $(DEV)/.complete ## format, lint, types, layers and unit tests, in under a minute
	@$(DEV)/bin/ruff format --check .
	@$(DEV)/bin/ruff check .
	@$(DEV)/bin/mypy
	@cd clients/python && $(abspath $(DEV))/bin/mypy
	@$(DEV)/bin/lint-imports
	@$(DEV)/bin/pytest -q -n 2 tests/unit

crash: $(DEV)/.complete ## reliability: kill -9 at random instants; as for those below: N=1000 SEED=1 MINUTES=30
	$(call programme,crash,10000,120)

simulate: $(DEV)/.complete ## reliability: days of many credentials on virtual time, with faults of every kind; CREDENTIALS=1000 DAYS=60
	$(call programme,simulate,1000,60)

fuzz: $(DEV)/.complete ## reliability: generated provider answers, read in memory and over a socket
	$(call programme,fuzz,1000000,20)

stateful: $(DEV)/.complete ## reliability: random sequences of operations, checked against a model
	$(call programme,stateful,10000,60)

shutdown: $(DEV)/.complete ## reliability: stopped at random instants, by every signal and again
	$(call programme,shutdown,1000,60)

wire: $(DEV)/.complete ## reliability: connections cut, stalled and reset at every byte
	$(call programme,wire,10000,60)

disk: $(DEV)/.complete ## reliability: a store that is full, slow, locked or damaged
	$(call programme,disk,1000,60)

replicas: $(DEV)/.complete ## reliability: replicas on one PostgreSQL, killed and frozen, their clocks apart; REPLICAS=5
	$(call programme,replicas,1000000,60)

primary: $(DEV)/.complete ## reliability: PostgreSQL killed again and again while replicas commit; REPLICAS=3
	$(call programme,primary,50,30)

bench: $(BENCH)/.complete ## CPU, throughput and latency beside what users would pick instead, into docs/performance.md; ROUNDS=5
	@tests/components/setup
	@$(BENCH)/bin/python -m bench speed --rounds $(or $(ROUNDS),5)

bench-scale: $(BENCH)/.complete ## the same daemon with up to N=1000000 stored credentials, into docs/performance.md
	@tests/components/setup
	@$(BENCH)/bin/python -m bench scale --most $(or $(N),1000000)

bench-replicas: $(DEV)/.complete ## refreshes a second of one and of REPLICAS=2 on PostgreSQL, into docs/performance.md; ROUNDS=5 N=4000
	@tests/components/setup
	@$(DEV)/bin/python -m bench.replicas --rounds $(or $(ROUNDS),5) --credentials $(or $(N),4000) --replicas $(or $(REPLICAS),2)

states: $(DEV)/.complete ## print the table of transitions into docs/states.md
	@$(DEV)/bin/python -m tests.unit.domain.states

mutate: $(DEV)/.complete ## break the domain in one place after another, and list what no test notices; ARGS='*settle*' for a part
	@rm -rf $(MUTATE) && mkdir -p $(MUTATE)/src $(MUTATE)/tests/unit $(MUTATE)/tests/components
	@cp -R daemon/refreshd $(MUTATE)/src/  # mutmut looks for packages in ./, src/ and source/ only
	@cp -R pyproject.toml docs $(MUTATE)/
	@cp tests/*.py $(MUTATE)/tests/ && cp tests/components/*.py $(MUTATE)/tests/components/
	@cp -R tests/unit/domain $(MUTATE)/tests/unit/
	@cd $(MUTATE) && $(abspath $(DEV))/bin/mutmut run --max-children 1 $(ARGS)
	@cd $(MUTATE) && $(abspath $(DEV))/bin/mutmut results --all true | awk -F '[.: ]+' \
	  '$$NF == "checked" { next } { total[$$4]++; if ($$NF == "killed") killed[$$4]++; else print } \
	  END { for (one in total) { printf "%-16s%5d mutants%5d killed\n", one, total[one], killed[one]; n += total[one]; k += killed[one] } \
	  printf "%-16s%5d mutants%5d killed, %.1f %%\n", "all", n, k, 100 * k / n }'

lock: ## lock the requirements anew, keeping versions that still fit; ARGS=--upgrade takes the newest
	@set -e; scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	$(PYTHON) -m venv "$$scratch/venv"; \
	"$$scratch/venv/bin/python" $(PIP_INSTALL) uv; \
	printf 'hatchling\neditables\n' > "$$scratch/build.in"; \
	compile() { "$$scratch/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate $(ARGS) pyproject.toml "$$@"; }; \
	compile -o $(LOCKS)/runtime.txt; \
	compile --extra postgres -c $(LOCKS)/runtime.txt -o $(LOCKS)/postgres.txt; \
	compile "$$scratch/build.in" --extra demo -c $(LOCKS)/runtime.txt -o $(LOCKS)/demo.txt; \
	compile "$$scratch/build.in" --extra demo --extra dev --extra postgres -c $(LOCKS)/demo.txt -c $(LOCKS)/postgres.txt -o $(LOCKS)/dev.txt; \
	compile "$$scratch/build.in" --extra bench -c $(LOCKS)/dev.txt -o $(LOCKS)/bench.txt

clean: ## remove virtual environments, installed npm packages, caches and build output
	@rm -rf $(DEV) $(DEMO) $(BENCH) $(MUTATE) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@rm -rf tests/components/*/node_modules
	@find daemon tests bench clients -name __pycache__ -type d -prune -exec rm -rf {} +

$(DEV)/.complete: $(LOCKS)/dev.txt pyproject.toml
	$(call venv,$(DEV),dev.txt)

$(BENCH)/.complete: $(LOCKS)/bench.txt pyproject.toml
	$(call venv,$(BENCH),bench.txt)

$(DEMO)/.complete: $(LOCKS)/demo.txt pyproject.toml
	$(call venv,$(DEMO),demo.txt)
