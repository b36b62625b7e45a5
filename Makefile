# Everything runs in .venv; `make setup` makes it, and every other target calls that first.
# As an ordinary user: nothing here needs root or writes outside this directory and /tmp.

VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
LOCK   := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
          --no-emit-index-url --no-emit-find-links --no-header --no-annotate

# Tests of one file stay together: they share servers that take seconds to start.
WORKERS ?= 2
SPREAD  := -n $(WORKERS) --dist loadfile

.PHONY: setup check test unit real demo bench lock clean
.DEFAULT_GOAL := check

setup: $(READY)

$(READY): requirements/dev.txt pyproject.toml
	@set -eu; found=; \
	for python in $(PYTHON) python3 python3.13 python3.12 python3.11 python; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	  then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "No Python 3.11 or newer was found on the PATH." >&2; \
	  echo "Install one, or name it: make setup PYTHON=/path/to/python3.11" >&2; exit 1; \
	fi; \
	if ! $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	  echo "Making $(VENV) with $$("$$found" --version) ($$found)"; \
	  rm -rf $(VENV); \
	  "$$found" -m venv $(VENV) || { rm -rf $(VENV); \
	    echo "$$found cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; \
	    exit 1; }; \
	fi
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation -e .
	@touch $@

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(MAKE) --no-print-directory unit

unit: setup
	$(BIN)/pytest -q -m "not real" $(SPREAD)

# Real processes on a busy machine: what fails is tried once more by itself, and both runs are
# printed. Whatever fails twice fails the gate.
real: setup
	$(BIN)/pytest -q -m real $(SPREAD) || { \
	  echo "Once more, only what failed:"; \
	  $(BIN)/pytest -q -m real --last-failed --last-failed-no-failures none; }

# `real` has the suites with Envoy, Caddy and apps, the demo, and the wheel in an empty venv.
test: check
	$(MAKE) --no-print-directory real

# make demo [PROJECT=path]; DEMO_KEEP=1 leaves the server up.
demo: setup
	@$(BIN)/python -m demo $(if $(PROJECT),"$(PROJECT)")

bench: setup
	$(BIN)/python -m bench

# Works while the old lock no longer fits pyproject.toml, so it asks for uv alone.
lock: $(BIN)/uv
	$(LOCK) pyproject.toml -o requirements/runtime.txt
	$(LOCK) pyproject.toml --group dev -o requirements/dev.txt
	@! grep -nE '://|--(index|extra|find)' requirements/*.txt || \
	  { echo "An address stands in a lock file" >&2; exit 1; }

$(BIN)/uv:
	$(MAKE) --no-print-directory setup

clean:
	rm -rf dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
