# Each target first makes what it needs.
#   make run   ARGS="--port 9000"        start the server
#   make test  TESTS=tests/unit          run some tests; all without TESTS
#   make test-web                        the page: its checks, and Chromium
#   make lint                            ruff, flake8 and mypy
#   make format                          sort imports, format
#   make bench                           measure (minutes)
#   make fuzz                            give millions of damaged inputs
#   make torture                         kill the broker hundreds of times
#   make torture-cluster                 kill the primary under load
#   make mutants ARGS='zchat.chat.sync*' change the code, expect a failure
#   make coverage                        fail if a branch has no unit test
#   make dist                            build, and try what was built
#   make pictures                        take the pictures of the page anew
#   make docs                            write the generated pages anew
PYTHON ?= python3
ARGS ?=
TESTS ?= tests
# Test processes at a time; 0 runs them all in this one.
WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CHECKED := $(wildcard zchat tests benchmarks docs examples)

.PHONY: run test test-web lint format bench torture-cluster mutants pictures \
    docs coverage dist clean

run: $(VENV)/.run
	@exec $(BIN)/zchat serve $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile $(TESTS)

# Node checks the modules; Chromium is found by tests/web/browser.py.
test-web: $(VENV)/.dev node_modules/.web
	npm run --silent check
	npm run --silent test
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile tests/web

lint: $(VENV)/.dev
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/flake8 $(CHECKED)
	$(BIN)/mypy --strict $(CHECKED)

format: $(VENV)/.dev
	$(BIN)/ruff check --fix $(CHECKED)
	$(BIN)/ruff format $(CHECKED)

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks $(ARGS)

fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.fuzzing $(ARGS)

torture: $(VENV)/.dev
	$(BIN)/python -m tests.torture $(ARGS)

torture-cluster: $(VENV)/.dev
	$(BIN)/python -m benchmarks.torture_cluster $(ARGS)

mutants: $(VENV)/.dev
	$(BIN)/python -m tests.mutants $(ARGS)

pictures: $(VENV)/.dev
	$(BIN)/python -m tests.web.pictures

docs: $(VENV)/.dev
	$(BIN)/python -m docs.generate

coverage: $(VENV)/.dev
	$(BIN)/coverage run -m pytest -q tests/unit $(ARGS)
	$(BIN)/coverage report

dist: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m tests.distribution dist

clean:
	rm -rf $(VENV) node_modules build dist *.egg-info \
	    .mypy_cache .ruff_cache .pytest_cache

# The stamps are older than a changed list, which installs again.
$(VENV)/.run: requirements.txt $(wildcard requirements/*.txt) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit( \
	    "zchat needs Python 3.11 or later; say make PYTHON=python3.12")'
	@echo "Setting up $(VENV); this takes a minute, once."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --quiet --requirement requirements.txt --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	@$(PIP) install --quiet --requirement requirements-dev.txt
	@touch $@

node_modules/.web: package.json package-lock.json
	@command -v npm > /dev/null || { echo "The page is checked with Node 20 \
	    or later; install it: apt-get install nodejs npm"; exit 1; }
	@npm ci --silent
	@touch $@

$(VENV)/.bench: requirements-bench.txt $(VENV)/.dev
	$(PIP) install --quiet --requirement requirements-bench.txt
	@touch $@
