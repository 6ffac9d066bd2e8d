# One word for each thing a person does here. Needs python3 (3.11 or newer), git and make; uses uv when it is there.

PYTHON ?= python3
PYTEST_FLAGS ?=
DEMO_FLAGS ?=
CRASH_FLAGS ?=
FUZZ_FLAGS ?=
BENCH_FLAGS ?=
LOAD_FLAGS ?=

# What syncgov is measured against, in an environment of its own: Morango wants an old Django.
PEERS := build/peers
PEER_VERSIONS := morango==0.8.15 Django==3.2.25 apsw==3.54.1.0

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
UV := $(shell command -v uv 2>/dev/null)
LOCK_FLAGS := --all-extras --group dev --universal --python-version 3.11.0 \
	--generate-hashes --no-emit-index-url --no-annotate --no-header

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install test demo shots bench load month crash fuzz properties mutations guards vectors format lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## make .venv and install everything from requirements.lock

# The stamp is touched last: an installation that was cut short is repeated.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("syncgov needs Python 3.11 or newer, this is " + sys.version.split()[0] \
		if sys.version_info < (3, 11) else 0)'
ifdef UV
	@test -x $(BIN)/python || uv venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV)
	uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
else
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
endif
	@touch $@

test: $(INSTALLED) ## format check, lint, types, vectors, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict syncgov portal tests
	$(BIN)/python tests/vectors/generate.py --check
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

demo: $(INSTALLED) ## a year of one street into ./demo-data, then browse it
	$(BIN)/syncgov demo ./demo-data $(DEMO_FLAGS)

shots: $(INSTALLED) ## pictures of every kind of page of ./demo-data into ./shots: 390 and 1280 px, light, dark, large, on paper; fails if axe finds a fault
	$(BIN)/python -m tests.browser.shots ./demo-data/public/portal ./shots

bench: $(INSTALLED) $(PEERS)/.installed ## the benches of the design, medians of five
	$(BIN)/python -m tests.bench $(BENCH_FLAGS)

$(PEERS)/.installed: Makefile
	$(PYTHON) -m venv --clear $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check $(PEER_VERSIONS)
	@touch $@

load: $(INSTALLED) ## a centre under load: 184 devices in a minute, then 4 000
	$(BIN)/python -m tests.bench.load $(LOAD_FLAGS)

month: $(INSTALLED) ## 500 devices, 2 000 households, 30 days: every change has a fate
	$(BIN)/python -m tests.bench.month

crash: $(INSTALLED) ## kill every operation at every step, fill the disk at every write; prints the counts
	$(BIN)/python -W ignore -m tests.crash $(CRASH_FLAGS)

fuzz: $(INSTALLED) ## fuzz every parser, a minute each (needs the network once: atheris)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group fuzz
	$(BIN)/python -W ignore -m tests.fuzz $(FUZZ_FLAGS)

properties: $(INSTALLED) ## a long run of the street in the field, other examples each time
	SYNCGOV_FIELD_EXAMPLES=$${SYNCGOV_FIELD_EXAMPLES:-300} $(BIN)/python -m pytest -q -s tests/properties/test_field.py

mutations: $(INSTALLED) ## break merge, verdicts and redaction line by line; a property must fail each time
	$(BIN)/python -m tests.properties.mutations

guards: $(INSTALLED) ## take away the guard of each case of tests/cases.yml; its test must fail
	$(BIN)/python -m tests.guards

vectors: $(INSTALLED) ## write tests/vectors anew
	$(BIN)/python tests/vectors/generate.py

format: $(INSTALLED) ## format the code and repair what lint can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## resolve requirements.lock anew (needs uv)
	uv pip compile --quiet $(LOCK_FLAGS) --upgrade pyproject.toml -o requirements.lock

clean: ## remove .venv, ./demo-data and everything else that was made
	rm -rf $(VENV) build dist demo-data .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find syncgov portal tests -name __pycache__ -type d -prune -exec rm -rf {} +
