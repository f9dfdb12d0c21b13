# One environment for everything: .venv, made from a locked, hashed file. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/dev.lock
STAMP := $(VENV)/.made-from
PEERS_STAMP := .venv-evaluate/.made-from
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run dev gateway ml worker migrate demo train score check test test-slow test-browser bench bench-scale evaluate lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

$(STAMP): $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "RetainStream needs Python 3.11, 3.12 or 3.13; set PYTHON=python3.12, for example."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	  || { echo "Python's venv module is missing: apt install python3-venv"; exit 1; }
	@echo "Installing into $(VENV); this takes a minute, once."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

run: $(STAMP) ## Start everything; demo data, a model and scores on the first start (DEMO=0 starts empty)
	@exec $(BIN)/retainstream up

dev: $(STAMP) ## The same, starting anew whenever a source file changes
	@LOG_FORMAT=$${LOG_FORMAT:-text} exec $(BIN)/retainstream up --dev

gateway: $(STAMP) ## The gateway alone
	@exec $(BIN)/retainstream gateway

ml: $(STAMP) ## The ML service alone
	@exec $(BIN)/python -m ml_service

worker: $(STAMP) ## The worker alone
	@exec $(BIN)/retainstream worker

migrate: $(STAMP) ## Bring the database up to date
	@$(BIN)/retainstream migrate

demo: $(STAMP) ## Make the demo data (needs the ML service); ARGS=--remove takes it out
	@$(BIN)/retainstream demo $(ARGS)

train: $(STAMP) ## Train a model on what has matured (needs the ML service)
	@$(BIN)/retainstream train $(ARGS)

score: $(STAMP) ## Score every active customer (needs the ML service)
	@$(BIN)/retainstream score $(ARGS)

check: $(STAMP) ## Lint, types, import contracts, dependencies
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pip check

test: $(STAMP) ## The default tests
	@$(BIN)/python -m pytest $(ARGS)

test-slow: $(STAMP) ## Slow tests: ten seeds, the documented floors, a million rows
	@$(BIN)/python -m pytest -m slow $(ARGS)

test-browser: $(STAMP) ## Tests in a real browser (needs Chromium)
	@$(BIN)/python -m pytest -m browser -n 0 $(ARGS)

evaluate: $(STAMP) $(if $(PEERS),$(PEERS_STAMP)) ## Real tables, ten seeds, the floors; PEERS=1 makes .venv-evaluate and sets the peers beside
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.evaluate $(ARGS)

$(PEERS_STAMP): requirements/evaluate.in
	@$(PYTHON) -m venv --clear $(@D)
	@echo "Installing the peers into $(@D); this takes a few minutes, once."
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

bench: $(STAMP) ## Each speed bar beside its other side; 1 where a must is missed (ARGS="--rounds 3 --only reasons")
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/bench.in \
	  || echo "LightGBM and mlflow can't be installed here: their bars will say so."
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.bench --peers .venv-bench/bin/python $(ARGS)

bench-scale: $(STAMP) ## How time grows from 10,000 to 1,000,000 customers
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.scale $(ARGS)

lock: ## Make the lock files anew (needs uv)
	@for part in dev gateway ml; do \
	  constraint=; [ $$part = dev ] || constraint="-c requirements/dev.lock"; \
	  uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
	    --no-emit-find-links --no-header --no-annotate $$constraint requirements/$$part.in -o requirements/$$part.lock; \
	done

clean: ## Remove the environment and caches; data and models stay
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
