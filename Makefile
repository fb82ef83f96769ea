# `make demo` shows the bot at work, `make test` checks everything. Both set up their own virtual environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test format lint types unit stories clean

help:            ## what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "quay-buildbot needs Python 3.11 or newer; name one with: make PYTHON=python3.12"; exit 1; }
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

demo: $(READY)   ## pushes become builds become statuses, against the bundled sandboxes
	@$(BIN)/buildbot demo $(ARGS)

test: lint types unit stories   ## everything that has to hold

lint: $(READY)   ## formatting and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)  ## strict type checking of package and tests
	$(BIN)/mypy

unit: $(READY)   ## unit tests, architecture test, simulation
	$(BIN)/pytest -q --ignore=tests/stories

stories: $(READY) ## stories through the front door, on the sandboxes
	$(BIN)/pytest -q tests/stories

format: $(READY) ## rewrite the formatting
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:           ## forget the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
