# make demo: the whole chain on embedded data. make test: all tests. make fast: those that take
# under two minutes. Each sets up .venv if needed; the demo needs fewer packages than the tests.
# Packages are compiled when they are first imported: most of their modules never are.
PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?=
BIN := $(VENV)/bin
# A process a core; tests of one file share what they set up. One that ends its process ends the run:
# with another process in its place pytest-xdist waits for ever.
PYTEST := OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

.PHONY: demo test fast lint install
.DEFAULT_GOAL := demo

demo: $(or $(wildcard $(VENV)/installed),$(VENV)/runs)
	$(BIN)/alp demo

test: install
	$(PYTEST)

fast: install
	$(PYTEST) -m "not slow"

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

install: $(VENV)/installed

$(VENV)/installed: EXTRA := dev
$(VENV)/runs: EXTRA := all
$(VENV)/installed $(VENV)/runs: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("alp needs Python 3.11 or newer, this is %s; run make PYTHON=python3.12, say" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --no-compile --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e '.[$(EXTRA)]'
	@touch $@
