# make demo    install, then the main job on embedded data
# make test    install, then the tests
# make lint    install, then style, types and import layers
# make bench   install, then the benchmarks
# make clean   remove everything that make and the tools built; your runs stay

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt

export MLFLOW_DISABLE_TELEMETRY := true
export OMP_NUM_THREADS := 1
unexport HYDRA_FULL_ERROR
unexport PYTHONPATH

.PHONY: demo test lint style types layers bench install clean

# Train, evaluate, compare, export, report; everything lands in runs/, policy/ and mlflow.db.
demo: install
	$(BIN)/trailmark train experiment=demo
	$(BIN)/trailmark evaluate latest --learners 100 --seeds 2
	$(BIN)/trailmark export latest --to policy
	$(BIN)/trailmark recommend policy --role sales
	$(BIN)/trailmark train -m experiment=onboarding_bkt agent=linucb,ppo seed=1,2,3 training.cohorts=20 evaluation.also=null goodhart.cohorts=0
	$(BIN)/trailmark report latest
	@echo 'Look at runs/*/report.html and runs/*/comparison.html, or at all of it: $(BIN)/mlflow ui --backend-store-uri sqlite:///mlflow.db'

test: install
	$(BIN)/pytest -n 2

lint: style types layers

style: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check

# mypy does not follow the editable install's mapping, so it is shown the same mapping as links.
types: install
	rm -rf .typing
	mkdir -p .typing/trailmark
	ln -s ../../data ../../envs ../../agents ../../experiments ../../configs .typing/trailmark/
	MYPYPATH=.typing $(BIN)/mypy -p trailmark

layers: install
	$(BIN)/lint-imports --no-cache

bench: install
	$(BIN)/trailmark bench

install: $(STAMP)

$(STAMP): pyproject.toml setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	  { echo 'Trailmark needs Python 3.11, 3.12 or 3.13; "$(PYTHON)" is not one. Name one: make PYTHON=python3.11' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	  { echo '"$(PYTHON)" cannot make virtual environments. Install its venv package (Debian, Ubuntu: python3-venv).' >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV)
	@echo 'Installing into $(VENV): about 2 GB, a few minutes the first time.'
	$(PIP) setuptools wheel
	$(PIP) --no-build-isolation --editable '.[dev,sweep,export,serve]'
	@touch $@

clean:
	rm -rf .venv .venv-ci .typing build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find data envs agents experiments configs tests -name __pycache__ -prune -exec rm -rf {} +
