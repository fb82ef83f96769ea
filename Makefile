# `make demo` shows the bot at work, `make test` checks everything. Both set up their own virtual environment first, with
# nothing but Python 3.11 or newer and make. The first Python that is new enough is taken; PYTHON=… names another.
PYTHON ?= $(shell for one in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	$$one -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$one && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH := $(VENV)/.ready-for-bench

# one after the other, also under `make -j`: the suites share two cores and the reader one terminal
.NOTPARALLEL:
.PHONY: help demo test lint types unit stories bench soak format clean

help:            ## what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# Made anew whenever what it holds has changed, and marked only when it is whole: an interrupted set-up is begun again.
$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "quay-buildbot needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than Python 3.11, which quay-buildbot needs"; exit 1; }
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

# What the baselines need.
$(BENCH): $(READY)
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,bench]'
	@touch $(BENCH)

demo: $(READY)   ## pushes become builds become statuses, against the bundled sandboxes
	@$(BIN)/buildbot demo --once $(ARGS)

test: lint types unit stories ## everything that has to hold

lint: $(READY)   ## formatting and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)  ## strict type checking of package and tests
	$(BIN)/mypy

unit: $(READY)   ## unit tests, architecture test, simulation, documentation
	$(BIN)/pytest -q --numprocesses=auto --ignore=tests/stories

stories: $(READY) ## stories through the front door, on the sandboxes
	$(BIN)/pytest -q --numprocesses=4 tests/stories

bench: $(BENCH) ## measure speed beside baselines, into docs/performance.md; ARGS=intake for one
	@$(BIN)/python -m tests.benchmarks --write $(ARGS)

soak: $(READY)   ## chaos for as long as you like: make soak ARGS="--minutes 30 --seed 1 --store postgresql"
	@$(BIN)/python -m tests.stories.soak $(ARGS)

format: $(READY) ## rewrite the formatting
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:           ## forget the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
