# Everything runs in .venv, made from nothing but Python >= 3.11 and make.
PYTHON ?= python3
BIN := .venv/bin
# One process per core with one thread each: threads of two processes would wait for each other.
SUITE := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --dist loadfile
.DEFAULT_GOAL := help
# Which slow tests finished; `.ci/run` prints the others.
RECORD := .pytest_cache/slow-tests.txt
.PHONY: help demo test test-unit test-slow nightly coverage mutation bench bench-peers lint format docs notebooks audit dist install clean

help: ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /: /'

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "bayespde needs Python 3.11 or newer; try: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv

.venv/.run: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

.venv/.test: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test,notebooks]"
	@touch $@ .venv/.run

.venv/.dev: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@ .venv/.test .venv/.run

.venv/.bench: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test,bench]"
	@touch $@

demo: .venv/.run ## install, find the equation behind a bundled video, show where the results are
	$(BIN)/bayespde run allen_cahn_front --check --output runs/demo
	$(BIN)/bayespde derivatives runs/demo --smoother network
	$(BIN)/bayespde report runs/demo

test: .venv/.test ## run the default test suite
	$(SUITE) -m "not slow"

test-unit: .venv/.test ## the same without documentation pages, notebooks and whole models
	$(SUITE) -m "not slow and not system"

test-slow: .venv/.test ## run only what takes longer
	$(SUITE) -m slow --record=$(RECORD)

nightly: .venv/.test ## the tests of faults, with 1000 kills and 10,000 damaged files
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/faults --kills 1000 --damaged 10000

coverage: .venv/.test ## the default suite, then lines and branches that it does not reach, compiled functions left out
	$(SUITE) -m "not slow" --cov --cov-report term-missing

mutation: .venv/.test ## change 400 places of the sampler and the likelihoods one at a time: which changes no test notices
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test,mutation]"
	$(SUITE) -m "not slow" --cov --cov-report= --cov-context=test --junitxml=.pytest_cache/mutation.xml
	OMP_NUM_THREADS=1 $(BIN)/python tests/mutation/run_mutants.py --durations .pytest_cache/mutation.xml

bench: .venv/.test ## run the benchmarks and print their tables
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only -s

bench-peers: .venv/.bench ## compare with pysindy for about an hour and write the table into the docs
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/benchmarks/test_peers.py --full

lint: .venv/.dev ## style, types and the import contract
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.dev ## put the code in shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

notebooks: .venv/.dev ## execute the notebooks and keep their outputs
	OMP_NUM_THREADS=1 $(BIN)/python docs/execute_notebooks.py

docs: .venv/.dev ## build the documentation into docs/_build
	$(BIN)/python -m sphinx -W -b html docs docs/_build/html

audit: .venv/.dev ## look up known vulnerabilities of all that is installed, over the network
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/python -m pip_audit --skip-editable

dist: .venv/.dev ## build the source distribution and the wheel into dist/
	$(BIN)/python -m build

install: .venv/.dev ## the development environment only

clean: ## remove what the other targets made
	rm -rf .venv runs dist docs/_build .pytest_cache .ruff_cache .mypy_cache .coverage
