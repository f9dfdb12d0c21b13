# One environment, .venv, made from locked, hashed files: run.lock runs the product, test.lock adds what checks and
# tests it. Fuzzers and load tools live in .venv-suites. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.run-installed
TEST := $(VENV)/.test-installed
SUITES := .venv-suites/.installed
# A lock is whole: pip adds nothing to it, resolves nothing and builds nothing.
INSTALL := -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: -r
PEERS_STAMP := .venv-evaluate/.made-from
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run dev gateway ml worker migrate demo train score check types lint audit sbom test test-slow test-browser screenshots crash fuzz soak test-install bench bench-scale evaluate lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

$(RUN): requirements/run.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "RetainStream needs Python 3.11, 3.12 or 3.13; set PYTHON=python3.12, for example."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	  || { echo "Python's venv module is missing: apt install python3-venv"; exit 1; }
	@echo "Installing what running needs into $(VENV); this takes a minute, once."
	@$(BIN)/python $(INSTALL) requirements/run.lock
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation --editable .
	@$(BIN)/python -m pip check
	@touch $@

$(TEST): requirements/test.lock $(RUN)
	@echo "Installing what checks and tests need into $(VENV); this takes half a minute, once."
	@$(BIN)/python $(INSTALL) requirements/test.lock
	@$(BIN)/python -m pip check
	@touch $@

$(SUITES): requirements/suites.lock
	@$(PYTHON) -m venv --clear $(@D)
	@echo "Installing the fuzzers and load tools into $(@D); this takes half a minute, once."
	@$(@D)/bin/python $(INSTALL) requirements/suites.lock
	@$(@D)/bin/python -m pip check
	@touch $@

run: $(RUN) ## Start everything; demo data, a model and scores on the first start (DEMO=0 starts empty)
	@exec $(BIN)/retainstream up

dev: $(TEST) ## The same, starting anew whenever a source file changes
	@LOG_FORMAT=$${LOG_FORMAT:-text} exec $(BIN)/retainstream up --dev

gateway: $(RUN) ## The gateway alone
	@exec $(BIN)/retainstream gateway

ml: $(RUN) ## The ML service alone
	@exec $(BIN)/python -m ml_service

worker: $(RUN) ## The worker alone
	@exec $(BIN)/retainstream worker

migrate: $(RUN) ## Bring the database up to date
	@$(BIN)/retainstream migrate

demo: $(RUN) ## Make the demo data (needs the ML service); ARGS=--remove takes it out
	@$(BIN)/retainstream demo $(ARGS)

train: $(RUN) ## Train a model on what has matured (needs the ML service)
	@$(BIN)/retainstream train $(ARGS)

score: $(RUN) ## Score every active customer (needs the ML service)
	@$(BIN)/retainstream score $(ARGS)

check: types lint audit sbom ## Lint, security rules, types, import contracts, dependencies, their known holes, the SBOM

# Apart from the rest, for `make -j2 check`: without its cache it takes as long as all of them.
types: $(TEST)
	@$(BIN)/mypy

lint: $(TEST)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/python -m pip check

AUDIT := .venv-suites/bin/pip-audit --disable-pip --no-deps --strict --progress-spinner off --timeout 10 -r
# Asked about one package first: an index that tells of no holes answers nothing about the others either.
audit: $(SUITES) ## Known holes of what the product needs, by the index; skipped, saying so, where it tells of none
	@mkdir -p build && sed -n '/^flask==/s/ .*//p' requirements/run.lock > build/audit-probe.txt
	@if $(AUDIT) build/audit-probe.txt 2>&1 | grep -qE 'not found on PyPI|[Cc]onnect|resolve|[Tt]imed out'; then \
	  echo "Known holes were not looked up: the package index can't be asked for them from here."; \
	else $(AUDIT) requirements/run.lock; fi

# Made of the locks, with their hashes: what an image holds is what its lock names.
sbom: $(SUITES) ## Packages of each image, as CycloneDX: build/sbom-gateway.json, build/sbom-ml.json
	@mkdir -p build
	@for part in gateway ml; do PYTHONWARNINGS=ignore .venv-suites/bin/cyclonedx-py requirements requirements/$$part.lock \
	  --pyproject pyproject.toml --output-reproducible --of JSON -o build/sbom-$$part.json || exit 1; done

test: $(TEST) ## The default tests
	@$(BIN)/python -m pytest $(ARGS)

test-slow: $(TEST) ## Slow tests: ten seeds, the documented floors, a million rows
	@$(BIN)/python -m pytest -m slow $(ARGS)

test-browser: $(TEST) ## Tests in a real browser (needs Chromium)
	@$(BIN)/python -m pytest -m browser -n 0 $(ARGS)

screenshots: $(TEST) ## Pictures of every view in both themes, below build/screenshots (needs Chromium)
	@$(BIN)/python -m tests.e2e.screenshots $(ARGS)

crash: $(TEST) ## Kill services and commands 200 times at random moments (see --help in ARGS)
	@$(BIN)/python -m tests.crash $(ARGS)

fuzz: $(TEST) $(SUITES) ## schemathesis on both services as everybody, then files, schemas and Arrow bodies (ARGS=--short)
	@$(BIN)/python -m tests.fuzz $(ARGS)

soak: $(TEST) $(SUITES) ## 50 users on all routes for ten minutes, work beside; errors, times, memory (see --help in ARGS)
	@$(BIN)/python -m tests.soak $(ARGS)

test-install: $(TEST) ## Both commands in fresh clones, oldest and newest pip of each Python; the wheel (needs the index)
	@$(BIN)/python -m pytest -m install -n 0 $(ARGS)

evaluate: $(TEST) $(if $(PEERS),$(PEERS_STAMP)) ## Real tables, ten seeds, the floors; PEERS=1 makes .venv-evaluate and sets the peers beside
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.evaluate $(ARGS)

$(PEERS_STAMP): requirements/evaluate.in
	@$(PYTHON) -m venv --clear $(@D)
	@echo "Installing the peers into $(@D); this takes a few minutes, once."
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

bench: $(TEST) ## Each speed bar beside its other side; 1 where a must is missed (ARGS="--rounds 3 --only reasons")
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/bench.in \
	  || echo "LightGBM and mlflow can't be installed here: their bars will say so."
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.bench --peers .venv-bench/bin/python $(ARGS)

bench-scale: $(TEST) ## How time grows from 10,000 to 1,000,000 customers
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.scale $(ARGS)

LOCKED := uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-strip-extras \
  --no-emit-index-url --no-emit-find-links --no-header --no-annotate

lock: ## Make the lock files anew (needs uv); UPGRADE=--upgrade takes newer versions
	@$(LOCKED) $(UPGRADE) requirements/run.in -o requirements/run.lock
	@for part in gateway ml; do $(LOCKED) -c requirements/run.lock requirements/$$part.in -o requirements/$$part.lock; done
	@for part in test suites; do $(LOCKED) $(UPGRADE) requirements/$$part.in -o requirements/$$part.lock; done

clean: ## Remove the environment and caches; data and models stay
	@rm -rf $(VENV) .venv-suites build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
