# Every target does its own set-up: a fresh machine needs Python 3.11 or later and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A file's tests run one after another, several files side by side: whole runs mostly wait. In the order of their names,
# or the files with the fewest tests, which are the longest ones, would be left for the end.
WORKERS ?= 3
PYTEST := $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder
STAMP := $(VENV)/.installed

.PHONY: setup demo test check matrix soak kill9 clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; set PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

demo: setup
	$(BIN)/chaosctl run experiments/arena/world-crash.yaml

check: setup
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) -q -m 'not e2e' tests

# Which tests: all but the matrix, unless told otherwise by pytest's own words.
MARKS ?= not matrix
test: setup
	$(PYTEST) -m '$(MARKS)' tests

# Every planted defect of the arena under the objective that is meant for it; the table stays in docs/.
JOBS ?= 2
matrix: setup
	$(BIN)/python -m tests.matrix --jobs $(JOBS) --page docs/matrix.md

# The clean arena over and over, with another seed each round: not one false alarm.
RUNS ?= 50
soak: setup
	$(BIN)/python -m tests.matrix --jobs $(JOBS) --soak $(RUNS)

# chaosctl is killed at so many random moments of a run with overlapping faults, on processes and on containers: nothing
# may be left of it.
KILLS ?= 200
DOCKER_KILLS ?= 30
kill9: setup
	CHAOSCTL_KILLS=$(KILLS) CHAOSCTL_KILLS_DOCKER=$(DOCKER_KILLS) \
		$(BIN)/python -m pytest -q -s tests/e2e/test_kill9_moments.py tests/e2e/test_kill9_docker.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
