# make deb    the fixed iproute2 for this machine's release (RELEASE=, VERSION=, OUT= to choose)
# make test   the tests (make unit: the fast ones, make lint: style and types)
# make test-slow   the slow tests that make test leaves out
# make fuzz   fuzz the parsers of untrusted input, for MINUTES= (10)
# make bench  compare the speed with sbuild's
# make lock   write the lock files, with hashes, from pyproject.toml
#             (UPGRADE=1: the newest version of everything)
# make man    the manual pages, in build/man
# make sbom   the software bill of materials, as CycloneDX, in dist/
# make release VERSION=  check the tree, build the files of a release into dist/, tag it
# make audit  known vulnerabilities of the locked wheels; asks a service on the network
# make clean  remove what the other targets left here, except OUT
#
# Each target installs what it needs: Debian packages (packages.txt; nothing else for make deb), and
# for the others a virtual environment (.venv) with exactly the wheels of requirements-dev.lock.

# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later

PYTHON ?= python3
OUT ?= out
VENV := .venv

# The shell gets these as variables, so it does not matter what they contain.
export OUT RELEASE VERSION TAG

.PHONY: deb test test-slow coverage measured lint lint-man unit man fuzz bench lock sbom release audit packages test-packages bench-packages \
	venv-possible clean help

help:
	@sed -n '/^#/!q; s/^# //p' Makefile

deb: packages
	./respin run $${RELEASE:+--release "$$RELEASE"} $${VERSION:+--version "$$VERSION"} --out "$$OUT"

# Four files of tests at a time on two processors, since most tests wait for something. Their order
# is that of tests/conftest.py, and not by their number of tests, since some files have a single,
# long test. fork copies the list of a process's pages, which is long where three thousand tests are
# in memory, unless the pages are huge ones, as glibc 2.35 and later can ask for.
HUGE_PAGES := PYTHONMALLOC=malloc GLIBC_TUNABLES=glibc.malloc.hugetlb=1
TESTS := $(HUGE_PAGES) $(VENV)/bin/pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder
test: test-packages $(VENV)/test
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint measured
	$(TESTS) --durations 40 -m 'not slow' $$(cat build/coverage/passed 2>/dev/null)

test-slow: test-packages $(VENV)/test
	$(TESTS) --durations 40 -m slow

# Beside the lint, since each takes half a minute of one processor.
measured:
	@$(MAKE) --no-print-directory coverage || echo "The coverage could not be measured."

# Of the tests without processes: coverage's tracer raises errors of its own, at random, in tests
# with many threads (Python 3.11), so the others run without it. What passed is not run again.
coverage: $(VENV)/test
	@rm -rf build/coverage
	@mkdir -p build/coverage
	@$(VENV)/bin/coverage run -m pytest --quiet tests/unit tests/golden
	@echo --ignore=tests/unit --ignore=tests/golden >build/coverage/passed
	@$(VENV)/bin/coverage combine --quiet
	@echo "Lines of pipeline/ that tests/unit and tests/golden run:" \
		"$$($(VENV)/bin/coverage report --format=total) %"

lint: $(VENV)/test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo
	$(VENV)/bin/python tools/draw_architecture.py --check
	$(VENV)/bin/reuse lint --quiet || $(VENV)/bin/reuse lint --lines
	git ls-files -z | xargs -0 $(VENV)/bin/codespell
	git grep -lE '^#!/bin/(ba)?sh' -- ':!*.py' ':!*.j2' | xargs shellcheck
	$(MAKE) --no-print-directory lint-man

lint-man: man
	! for page in build/man/*; do \
		man --warnings --local-file -Tutf8 -Z "$$page" 2>&1 >/dev/null; \
		lexgrog "$$page" >/dev/null || echo "$$page: no NAME that apropos can read"; \
	done | grep .

# This needs only Debian's own Python and pandoc, since the build of the Debian package calls it too.
man:
	tools/make_man.py build/man

# The fast tests, to run while editing.
unit: $(VENV)/test
	$(VENV)/bin/pytest tests/unit tests/golden

# The same tests as in make test, where they take a minute.
MINUTES ?= 10
fuzz: $(VENV)/test
	FUZZ_MINUTES='$(MINUTES)' $(VENV)/bin/pytest --numprocesses auto tests/adversary/test_fuzz.py

bench: bench-packages $(VENV)/test
	$(VENV)/bin/python tests/bench/bench.py
	$(VENV)/bin/python tests/bench/architectures.py
	$(VENV)/bin/python tests/bench/architectures.py --together

# The locks are for every Python from 3.11 on and every machine, and name wheels only. Versions
# released within the last AGE are left out, since most releases with a back door are found and
# removed within days. uv uses its configured index (UV_DEFAULT_INDEX), and writes no address of it
# to the lock.
AGE ?= 7 days
COMPILE := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 \
	--only-binary :all: --generate-hashes --no-emit-index-url --no-emit-find-links \
	--exclude-newer '$(AGE)' $(if $(UPGRADE),--upgrade)
lock: export UV_CUSTOM_COMPILE_COMMAND := make lock
lock: $(VENV)/test
	$(COMPILE) --output-file requirements.lock pyproject.toml
	$(COMPILE) --output-file requirements-dev.lock --constraints requirements.lock \
		--extra test --extra release pyproject.toml

sbom: packages $(VENV)/test
	mkdir -p dist
	$(VENV)/bin/python tools/sbom.py >dist/sbom.part
	mv dist/sbom.part dist/iproute2-respin.cdx.json

release: test-packages $(VENV)/test
	tools/release "$$VERSION"

# Audit exactly what the lock names, without resolving again. With --strict, an unknown wheel fails.
AUDIT := $(VENV)/bin/pip-audit --strict --require-hashes --disable-pip --progress-spinner off
audit: $(VENV)/test
	$(AUDIT) --requirement requirements.lock
	$(AUDIT) --requirement requirements-dev.lock

packages:
	@tools/install-packages packages.txt

test-packages:
	@tools/install-packages packages.txt tests/packages.txt

bench-packages:
	@tools/install-packages packages.txt tests/packages.txt tests/bench/packages.txt

# Debian and Ubuntu ship venv apart from Python.
venv-possible:
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make a virtual environment; install it: apt install python3-venv" >&2; \
		exit 1; }

# A new lock makes a new environment, so it has exactly what the lock names and nothing older.
$(VENV)/locked: requirements-dev.lock
	@tools/install-packages packages.txt tests/packages.txt
	@$(MAKE) --no-print-directory venv-possible
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/pip install -q --no-deps --require-hashes --only-binary :all: -r requirements-dev.lock
	touch $@

# This downloads nothing: the lock has the build tools.
$(VENV)/test: pyproject.toml $(VENV)/locked
	$(VENV)/bin/pip install -q --no-index --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
