# SPDX-License-Identifier: Apache-2.0
# Everything runs from .venv, which is made here and changes nothing outside; system packages: scripts/system-packages.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The environment of a development shell must not decide what is tested.
export PYTHON
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

SHELL_SCRIPTS := .ci/run scripts/system-packages
# For people: make test PYTEST_ARGS='tests/cas -k writer'
PYTEST_ARGS ?=
SOAK_ROUNDS ?= 20000
# Tests that print figures, and load both cores by themselves: they run alone, after the others.
PRINTING := tests/oracle/test_oracle.py tests/cas/test_server_kills.py tests/exec/wrapper/kills
# Tests do not only work, they also wait: for a server, a clock, a disk.
AT_ONCE := $(shell expr $$(nproc) \* 3 / 2)
# In many containers process 1 waits for no orphan.
PYTEST = $(BIN)/python -m tests.support.reaping $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help packages demo test lint format calls protos bench sanitize soak clean
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.installed-demo ## show a real step run, then answered from the cache
	@scripts/system-packages demo
	@$(BIN)/python scripts/demo

# Before the installation, which builds the native tracer with the compiler that comes with them.
packages:
	@scripts/system-packages test

test: packages $(VENV)/.installed-dev ## run every test but the soak; skips are listed with their reasons
	$(PYTEST) -n $(AT_ONCE) --dist loadfile $(PRINTING:%=--ignore=%) $(PYTEST_ARGS)
	$(PYTEST) $(PRINTING)

lint: $(VENV)/.installed-dev ## check format, style, types, generated code, headers and shell scripts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python scripts/calls --check
	$(BIN)/python scripts/protos --check
	$(BIN)/python scripts/check-sources
	for script in $(SHELL_SCRIPTS); do bash -n $$script || exit 1; done
	$(BIN)/shellcheck $(SHELL_SCRIPTS)

format: $(VENV)/.installed-dev ## format the sources and mend what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

calls: $(VENV)/.installed-dev ## generate plugin/native/calls.h and docs/calls.md again
	$(BIN)/python scripts/calls

protos: $(VENV)/.installed-dev ## generate proto/pytrace_proto again
	$(BIN)/python scripts/protos

bench: $(VENV)/.installed-dev ## print the benchmarks' ratios
	$(BIN)/python -m bench

soak: packages $(VENV)/.installed-dev ## run the oracle, the store, the server and the kills for a long time
	$(BIN)/python -m tests.oracle --rounds $(SOAK_ROUNDS) --tracer native
	$(BIN)/python -m tests.oracle --rounds $(SOAK_ROUNDS) --tracer strace
	$(BIN)/python -m pytest -m soak -o faulthandler_timeout=7200 $(PYTEST_ARGS)

sanitize: packages $(VENV)/.installed-dev ## run the corpus over a native tracer built with sanitizers
	$(BIN)/python scripts/sanitize $(PYTEST_ARGS)

clean: ## remove .venv and what the tools left
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.created:
	@scripts/system-packages lint
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"$(PYTHON) is Python %d.%d; 3.11 or later is needed: make PYTHON=..." % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	@touch $@

# Wheels only: neither a C compiler nor headers are needed. The native tracer is built where they are there.
$(VENV)/.installed-%: pyproject.toml hatch_build.py $(wildcard plugin/native/*.[ch]) $(VENV)/.created
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --editable '.[$*]'
	@$(BIN)/python -m compileall -q cas plugin proto # as pip does for a wheel: no wrapped command has to
	@touch $@
