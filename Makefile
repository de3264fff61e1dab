# Everything that is done with this repository. Each target sets up what it needs in .venv by itself.
#
#   make demo       the main job on real input, from end to end
#   make test       linters, type checkers and tests
#   make help       the rest

PYTHON ?= python3
VENV := .venv/bin
SOURCES := src tests scripts benchmarks tasks workers

# Most tests wait for other programs, so three at a time keep two cores busy. One after the other: SIDE_BY_SIDE=
# What fails is run once more, alone (scripts/tests.py): a fault fails twice, what a busy machine did is named.
SIDE_BY_SIDE := -n 3 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo test test-long bench bench-peers screenshots lint format requirements clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "make %-14s %s\n", $$1, $$2 }'

demo: ## the main job on real input: a server, two workers, an application, a report that is checked
	@$(PYTHON) scripts/bootstrap.py demo
	@$(VENV)/python scripts/demo.py

test: lint ## linters, type checkers and all tests but the long ones
	@$(VENV)/python -m scripts.tests $(SIDE_BY_SIDE) -- $(PYTEST)

test-long: ## the long storms and repetitions
	@$(PYTHON) scripts/bootstrap.py test
	-@$(PYTHON) scripts/bootstrap.py desktop
	@$(VENV)/python -m scripts.tests $(SIDE_BY_SIDE) -- -m long --timeout 1800 $(PYTEST)

bench: ## ours and stock Celery in turn, as ratios
	@$(PYTHON) scripts/bootstrap.py bench bench-tools
	@$(VENV)/python -m benchmarks
	@$(VENV)/python -m benchmarks.curves

bench-peers: ## ours, nine others and a loop written by hand in turn, as ratios
	@$(PYTHON) scripts/bootstrap.py bench bench-tools bench-peers bench-saq bench-arq
	@$(VENV)/python -m benchmarks.peers

screenshots: ## pictures of every page of the admin page, into docs/images/admin; needs Chromium
	@$(PYTHON) scripts/bootstrap.py test
	@$(VENV)/python -m scripts.screenshots

lint: ## ruff, mypy and pyright (as basedpyright, which needs no Node), all strict
	@$(PYTHON) scripts/bootstrap.py test
	@$(VENV)/ruff check
	@$(VENV)/ruff format --check
	@$(VENV)/mypy
	@$(VENV)/basedpyright

format: ## put the source into shape
	@$(PYTHON) scripts/bootstrap.py test
	@$(VENV)/ruff check --fix
	@$(VENV)/ruff format

# Needs uv on PATH. The sets agree with each other: what test.txt pins, the others pin.
LOCK := uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
	--no-emit-find-links --python-version 3.11
LOCK_APART := $(LOCK)
# vega-datasets is here for its data files; what its Python code would load for tables is 100 MB that nobody uses.
LOCK += --no-emit-package pandas --no-emit-package numpy

requirements: ## write down again what requirements/*.in resolve to, to the byte
	$(LOCK) requirements/test.in -o requirements/test.txt
	$(LOCK) -c requirements/test.txt requirements/demo.in -o requirements/demo.txt
	$(LOCK) -c requirements/test.txt requirements/bench.in -o requirements/bench.txt
	$(LOCK) -c requirements/test.txt requirements/desktop.in -o requirements/desktop.txt
	for name in tools peers saq arq; do \
		$(LOCK_APART) requirements/bench-$$name.in -o requirements/bench-$$name.txt || exit 1; done

clean: ## remove what tools left behind; .venv and the project's data stay
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
