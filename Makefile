# Everything that a person types here. `make help` lists it.
SHELL := bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Most tests wait for something most of the time, so more of them than cores run side by side.
WORKERS ?= 3
NOTED := $(CURDIR)/$(VENV)/tests-noted
export PYTHONDONTWRITEBYTECODE ?=

.DEFAULT_GOAL := help

.PHONY: help
help: ## This list
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'

.PHONY: install
install: $(STAMP) ## Make .venv and install the project with all that its tests need

$(STAMP): pyproject.toml requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; PYTHON=... names one"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: run
run: install ## Create tradingbot.db, three sample bots if there is none, and serve them
	@$(BIN)/tradingbot db upgrade
	@$(BIN)/tradingbot bots sample
	@exec $(BIN)/tradingbot serve

.PHONY: lint
lint: install ## ruff, mypy, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: install ## Put every file into the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: test
test: lint ## All tests; those that need a cluster skip loudly without one (REQUIRE_CLUSTER=1 makes that a failure)
	@rm -f $(NOTED)
	TESTS_NOTED=$(NOTED) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not cluster and not alone"
	TESTS_NOTED=$(NOTED) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "cluster and not alone"
	TESTS_NOTED=$(NOTED) $(BIN)/python -m pytest -m alone
	scripts/requirements-proved $(NOTED)

.PHONY: test-fast
test-fast: install ## Only what needs neither a cluster nor much time
	$(BIN)/python -m pytest -m "not cluster and not slow"

.PHONY: docs
docs: install ## Write the generated pages anew
	$(BIN)/python scripts/document-strategies
	$(BIN)/python scripts/document-commands
	$(BIN)/python scripts/document-configuration
	$(BIN)/python scripts/document-chart

.PHONY: clean
clean: ## Remove what building and testing left behind; the database stays
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .bench

.PHONY: bench
bench: install ## Measure, and write docs/benchmarks.md; ONLY="backtest heartbeat" for some
	PYTHONPATH=tests $(BIN)/python -m benchmarks $(ONLY)

PEERS := freqtrade nautilus_trader backtrader

.PHONY: bench-peers
bench-peers: install $(PEERS:%=.bench/%/.installed) ## Install freqtrade, nautilus_trader and backtrader below .bench, and measure them beside ours
	PYTHONPATH=tests $(BIN)/python -m benchmarks peers

# Their versions are pinned, what they need themselves is the newest that they allow.
.bench/%/.installed: tests/benchmarks/peers/requirements/%.txt
	$(PYTHON) -m venv --clear .bench/$*
	.bench/$*/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

.PHONY: flame
flame: install .bench/flame/.installed ## Write docs/flame/*.svg: where a pod's start, a live bar and a reconcile spend their time; ONLY="reconcile" for some
	PYTHONPATH=tests $(BIN)/python -m benchmarks.flames $(ONLY)

.bench/flame/.installed: tests/benchmarks/flames/requirements.txt
	$(PYTHON) -m venv --clear .bench/flame
	.bench/flame/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

include Makefile.demo.mk
