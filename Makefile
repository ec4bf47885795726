# make deb    the fixed iproute2 for this machine's release (RELEASE=, VERSION=, OUT= to choose)
# make test   all tests
# make bench  ratios to sbuild
#
# Each installs what it needs: Debian packages (packages.txt), a virtual environment (.venv).

PYTHON ?= python3
OUT ?= out
VENV := .venv

RUN_OPTIONS := $(if $(RELEASE),--release '$(RELEASE)') $(if $(VERSION),--version '$(VERSION)')

.PHONY: deb test lint unit bench packages test-packages bench-packages clean help

help:
	@sed -n 's/^# //p' Makefile

deb: packages $(VENV)/run
	$(VENV)/bin/respin run $(RUN_OPTIONS) --out '$(OUT)'

# Four at once, a file of tests each, on two processors: most of them wait for something. Not
# those with the most tests first: there are files of one long test.
test: test-packages $(VENV)/test lint
	$(VENV)/bin/pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder --durations 20

lint: $(VENV)/test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

# The fast part, for those who edit.
unit: $(VENV)/test
	$(VENV)/bin/pytest tests/unit tests/golden

bench: bench-packages $(VENV)/test
	$(VENV)/bin/python tests/bench/bench.py

packages:
	@tools/install-packages packages.txt

test-packages:
	@tools/install-packages packages.txt tests/packages.txt

bench-packages:
	@tools/install-packages packages.txt tests/packages.txt tests/bench/packages.txt

$(VENV)/bin/python:
	@tools/install-packages packages.txt
	$(PYTHON) -m venv $(VENV)

$(VENV)/run: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/pip install -q --editable .
	touch $@

$(VENV)/test: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/pip install -q --editable '.[test]'
	touch $@ $(VENV)/run

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
