# make demo    install fusemax and show what it does
# make test    every check there is: style, types, tests, doctests, examples, packaging
# make bench   measured times against their targets
# make fuzz    random and damaged cascade texts against the parser and the checker
# make clean   remove everything that make created
#
# Needs Python 3.11 or newer with venv, and make. Everything else is installed into .venv, and every cache
# is kept in .cache, both inside this folder.

CHECKS := fusemax tests benchmarks examples
BIN    := .venv/bin

# PYTHON can be given: make test PYTHON=python3.13
PYTHON := $(shell for python in python3.11 python3 python3.12 python3.13 python3.14; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$python && break; done)

export PIP_CACHE_DIR := $(CURDIR)/.cache/pip
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export MPLCONFIGDIR := $(CURDIR)/.cache/matplotlib
export HYPOTHESIS_STORAGE_DIRECTORY := $(CURDIR)/.cache/hypothesis
export TMPDIR := $(CURDIR)/.cache/tmp

.PHONY: demo test bench fuzz clean
.NOTPARALLEL:

demo: .venv/installed | .cache/tmp
	$(BIN)/fusemax analyze attention-3pass
	$(BIN)/fusemax analyze attention-1pass
	$(BIN)/fusemax run attention-1pass --shape B=1,H=2,E=16,F=16,M=128,P=64,M0=32 --against attention --tolerance 1e-9
	$(BIN)/python examples/02_attention_family.py
	$(BIN)/fusemax compare unfused flat fusemax-binding --model bert,xlm --seq 1K,16K,256K --baseline flat

test: .venv/installed-dev | .cache/tmp
	$(BIN)/ruff check $(CHECKS)
	$(BIN)/ruff format --check $(CHECKS)
	$(BIN)/mypy --strict
	$(BIN)/pytest --numprocesses=auto

bench: .venv/installed | .cache/tmp
	for benchmark in analyze model simulate mapper; do $(BIN)/python -m benchmarks.$$benchmark || exit 1; done

fuzz: .venv/installed-dev | .cache/tmp
	$(BIN)/python tests/fuzz.py --count 100000

clean:
	rm -rf .venv .cache dist .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps make the second run quick: the package is installed as a link to this folder, so only a change of
# pyproject.toml (dependencies, entry points) calls for a new installation.
.venv/installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed-dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch .venv/installed $@

.venv/bin/python: | .cache/tmp
	@test -n "$(PYTHON)" || { echo "fusemax needs Python 3.11 or newer (make PYTHON=/path/to/python)" >&2; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.cache/tmp:
	mkdir -p $@
