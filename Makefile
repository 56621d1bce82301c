# `make help` lists the targets. All of them work in a virtual environment, which is made
# on first use, with the newest supported Python on PATH or among pyenv's versions.
# Another one: make test PYTHON=/path/to/python VENV=.venv-other

VENV ?= .venv
# Each candidate is run: a shim of pyenv may stand for a version that is not selected.
PYTHON ?= $(shell for version in 3.13 3.12 3.11 3; do \
	for python in python$$version $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$version.*/bin/python; do \
	$$python -c 'import sys, venv, ensurepip; assert sys.version_info >= (3, 11); \
	print(sys.executable)' 2>/dev/null && exit; done; done)
BIN = $(VENV)/bin
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check
# The databases of `make test`, and arguments for pytest: make test DB=sqlite ARGS="-k lease"
DB ?=
ARGS ?=
# Of the whole suite: processes for each database.
WORKERS ?= 2
# Of `make soak`.
MINUTES ?= 30
PROCESSES ?= 8
HOSTS ?= 4
MARIADB_EXTRA = $(if $(UIDGEN_TEST_MARIADB_URL),mariadb)
# The suite starts hundreds of processes: none is to compile what others have.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo run test large soak galera failover patroni servers edges bench speed coverage formal lint format types docs check matrix wheel clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile

demo: $(VENV)/.installed-demo  ## run the example project through its paces, then end
	$(BIN)/python example_project/demo.py

run: $(VENV)/.installed-demo  ## the same, but leave the site on
	$(BIN)/python example_project/demo.py --serve

test: $(VENV)/.installed-test $(MARIADB_EXTRA:%=$(VENV)/.installed-%)  ## run the suite on SQLite and PostgreSQL (and MariaDB, if its URL is set)
	$(BIN)/python -m tools.run_tests $(if $(COVERAGE),--coverage) $(if $(ARGS),,--workers $(WORKERS)) $(DB) -- $(ARGS)

soak: $(VENV)/.installed-test  ## mint for MINUTES amid kills, forks, clock steps and outages, then look for duplicates
	$(BIN)/python -m verification.soak --minutes $(MINUTES) --processes $(PROCESSES) --hosts $(HOSTS)

galera: MINUTES = 2
galera: $(VENV)/.installed-test $(VENV)/.installed-mariadb  ## lease from three nodes of a Galera cluster while nodes and processes are killed; needs Debian's mariadb-server and galera-4
	$(BIN)/python -m verification.galera --minutes $(MINUTES) $(ARGS)

failover: $(VENV)/.installed-test $(MARIADB_EXTRA:%=$(VENV)/.installed-%)  ## mint while databases fail over and lose commits, with and without the quarantine
	$(BIN)/python -m verification.failover $(ARGS)

patroni: $(VENV)/.installed-test  ## the same on two servers under Patroni; needs Debian's postgresql, patroni and etcd-server
	$(BIN)/python -m verification.failover --clusters patroni $(ARGS)

servers: $(VENV)/.installed-test $(VENV)/.installed-servers  ## test under the programs that serve projects: gunicorn, uWSGI, Celery ...
	$(BIN)/python -m tools.run_tests $(or $(DB),postgres) -- --servers tests/servers $(ARGS)

large: $(VENV)/.installed-test  ## move a million rows to UID keys on PostgreSQL; look for what each safeguard of failovers prevents
	$(BIN)/python -m tools.run_tests postgres -- -m large tests/scenarios tests/verification $(ARGS)

edges: $(VENV)/.installed-test $(VENV)/.installed-edges  ## test in a real browser, and by the schema; needs Debian's chromium
	$(BIN)/python -m tools.run_tests $(if $(COVERAGE),--coverage) edges -- --edges tests/edges $(ARGS)

coverage: $(VENV)/.installed-test  ## run the suite on the same databases, and show what it did not reach
	$(BIN)/coverage erase
	$(MAKE) test COVERAGE=1
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

formal:  ## try every order of events of the lease protocol (ARGS=--quick, ARGS=--full)
	$(PYTHON) -m verification.model.check $(ARGS)

bench: $(VENV)/.installed-bench $(MARIADB_EXTRA:%=$(VENV)/.installed-%)  ## measure beside others, and write docs/performance (ARGS="peers --quick")
	$(BIN)/python -m benchmarks $(ARGS)

speed: $(VENV)/.installed-bench  ## see in a minute that no figure is far from its target
	$(BIN)/python -m benchmarks.guard

lint: $(VENV)/.installed-lint  ## check style, formatting and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(VENV)/.installed-lint  ## mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.installed-test $(VENV)/.installed-types  ## check the types
	$(BIN)/mypy

docs: $(VENV)/.installed-docs  ## build the documentation into build/docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html docs build/docs

check: $(VENV)/.installed-test  ## run Django's checks, and see that no migration is missing
	$(BIN)/python -m django check --settings=tests.settings.sqlite --fail-level=WARNING
	$(BIN)/python -m django makemigrations --settings=tests.settings.sqlite --check --dry-run
	$(BIN)/python example_project/manage.py check --fail-level=WARNING
	$(BIN)/python example_project/manage.py makemigrations --check --dry-run

wheel: $(VENV)/.installed-lint  ## build the sdist and the wheel, and try the wheel elsewhere
	rm -rf dist
	$(BIN)/python -m build --quiet
	$(BIN)/python tools/check_wheel.py

matrix: wheel $(VENV)/.installed-matrix  ## run the suite against the wheel, with each Python and each Django
	$(BIN)/nox $(if $(ENVS),-s $(ENVS)) -- $(COVERAGE:%=--coverage) $(STRESS:%=--stress)

clean:  ## remove all that was made here
	rm -rf $(VENV) build dist *.egg-info .coverage .coverage.* htmlcov
	rm -rf .nox .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# A stamp for each extra: it is installed again when the metadata has changed.
$(VENV)/.installed-%: setup.cfg pyproject.toml | $(VENV)/.made
	$(PIP_INSTALL) --editable '.[$*]'
	@touch $@

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or later (with venv) was found."; false; }
	$(PYTHON) -m venv $(VENV)
	@touch $@
