# make demo         install fusemax and show what it does
# make test         every check there is: style, types, tests, doctests, examples, packaging
# make quick        style and the tests that take milliseconds; tells how many it leaves out
# make bench        measured times as ratios to a reference, beside their targets
# make fuzz         random and damaged cascade texts against the parser and the checker
# make mutants      changes 40 operators and constants one at a time, and prints those that no test notices
# make test-latest  make test with the newest releases of all dependencies
# make test-oldest  style and tests with the oldest releases that pyproject.toml allows, on Python 3.11
# make lock         write requirements/ again: after a change of dependencies, or to move to newer releases
# make clean        remove everything that make created
#
# Needs Python 3.11 or newer with venv, and make. Everything else is installed into .venv (.venv-latest,
# .venv-oldest), and every cache is kept in .cache, all inside this folder.

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

.PHONY: demo test quick bench fuzz mutants test-latest test-oldest lock clean
.NOTPARALLEL:

demo: .venv/installed | .cache/tmp
	$(BIN)/fusemax analyze attention-3pass
	$(BIN)/fusemax analyze attention-1pass
	$(BIN)/fusemax run attention-1pass --shape B=1,H=2,E=16,F=16,M=128,P=64,M0=32 --against attention --tolerance 1e-9
	$(BIN)/python examples/02_attention_family.py
	$(BIN)/fusemax compare unfused flat fusemax-binding --model bert,xlm --seq 1K,16K,256K --baseline flat

# Ends in pytest, so that options may follow. mypy is a test among the others (tests/test_types.py).
define check
$(1)/ruff check $(CHECKS)
	$(1)/ruff format --check $(CHECKS)
	$(1)/pytest --numprocesses=auto --dist=worksteal
endef

test: .venv/installed-dev | .cache/tmp
	$(call check,$(BIN))

quick: .venv/installed-dev | .cache/tmp
	$(call check,$(BIN)) -m 'not slow'

bench: export OPENBLAS_NUM_THREADS := 1
bench: .venv/installed | .cache/tmp
	status=0; for benchmark in analyze distinct model simulate mapper; do $(BIN)/python -m benchmarks.$$benchmark || status=1; done; exit $$status

test-latest: .venv-latest/bin/python | .cache/tmp
	.venv-latest/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager --editable '.[dev]'
	$(call check,.venv-latest/bin)

# What other packages of different ages warn each other of is no mistake here. mypy reads their types, which change more
# often than what they do: it is for the releases of requirements/tested.txt alone.
test-oldest: .venv-oldest/installed-dev | .cache/tmp
	$(call check,.venv-oldest/bin) --ignore=tests/test_types.py -W default::DeprecationWarning

mutants: .venv/installed-dev | .cache/tmp
	$(BIN)/python tests/mutants.py

fuzz: .venv/installed-dev | .cache/tmp
	$(BIN)/python tests/fuzz.py --count 100000

clean:
	rm -rf .venv .venv-latest .venv-oldest .cache dist .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# requirements/ has the exact releases: those with which everything is tested, and the oldest that pyproject.toml allows.
# Both are constraints, so that `make demo` installs no tool of the developers. What builds the package comes first, from
# the same list. Only a change of pyproject.toml or of the list calls for a new installation: the package is a link.
.venv/installed: requirements/tested.txt pyproject.toml | .venv/bin/python
	$(call install,.venv,$<,.)

.venv/installed-dev: requirements/tested.txt pyproject.toml | .venv/bin/python
	$(call install,.venv,$<,'.[dev]')
	touch .venv/installed

.venv-oldest/installed-dev: requirements/oldest.txt pyproject.toml | .venv-oldest/bin/python
	$(call install,.venv-oldest,$<,'.[dev]')

define install
$(1)/bin/python -m pip install --quiet --constraint $(2) editables hatchling
	$(1)/bin/python -m pip install --quiet --constraint $(2) --no-build-isolation --editable $(3)
	touch $@
endef

.venv-oldest/bin/python: PYTHON := python3.11
.venv/bin/python .venv-latest/bin/python .venv-oldest/bin/python: | .cache/tmp
	@test -n "$(PYTHON)" || { echo "fusemax needs Python 3.11 or newer (make PYTHON=/path/to/python)" >&2; exit 1; }
	$(PYTHON) -m venv $(@D:/bin=) || { rm -rf $(@D:/bin=); exit 1; }

# uv resolves for all versions of Python at once, to the same releases for each, which pip cannot; it is for this alone.
LOCK = .cache/lock/bin/uv --cache-dir .cache/uv --quiet pip compile --extra dev --python-version 3.11 --no-header --no-annotate --upgrade

lock: | .cache/tmp
	$(PYTHON) -m venv .cache/lock
	.cache/lock/bin/python -m pip install --quiet --upgrade uv
	$(LOCK) --universal --fork-strategy fewest --output-file requirements/tested.txt pyproject.toml
	$(LOCK) --resolution lowest-direct --output-file requirements/oldest.txt pyproject.toml

.cache/tmp:
	mkdir -p $@
