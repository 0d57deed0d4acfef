# Everything runs in .venv, which each target sets up itself when it is missing or requirements.lock has changed.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RUN ?= runs/demo-$(shell date +%Y%m%d-%H%M%S)
# A wheel index or folder to look in first, e.g. for the CPU build of torch:
# make demo PIP_ARGS="--extra-index-url URL"
PIP_ARGS ?=

# JupyterLab asks to be told when it is started by root.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

# What is taken out of notebooks beside their outputs.
STRIPPED := "metadata.papermill cell.metadata.papermill metadata.language_info"

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format lab samples lock nets infra clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(READY)  ## make .venv with every package of requirements.lock

$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Expected $(PYTHON), found none. Install Python 3.11, or name it: make PYTHON=..."; exit 2; }
	@echo "Setting up $(VENV) (about 5 GB, a few minutes) ..."
	@$(PYTHON) -m venv --clear $(VENV) || { echo "Python's venv is missing; on Debian: apt-get install python3-venv"; exit 2; }
	$(BIN)/pip install --quiet --disable-pip-version-check $(PIP_ARGS) -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@$(BIN)/python -c "import libsumo" || { echo "SUMO lacks system libraries; on Debian: apt-get install libx11-6 libxext6 libxrender1 libgl1 libatomic1"; exit 2; }
	@touch $@

demo: $(READY)  ## augment, train, evaluate and export on a small scale, about 10 minutes; RUN=folder names the run
	$(BIN)/roadsense demo --run-dir $(RUN)

# A file's tests stay in one process, for what they share; one process takes up to 2 GB.
TEST_OPTIONS ?= -n auto --maxprocesses 4 --dist loadfile

test: $(READY)  ## run all tests, on up to four cores; TEST_OPTIONS= runs them one after the other
	$(BIN)/python -m pytest -q $(TEST_OPTIONS)

check: $(READY)  ## format, lint, types, and notebooks without outputs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/nbstripout --verify --keep-id --extra-keys $(STRIPPED) notebooks/*.ipynb

format: $(READY)  ## rewrite the sources in the project's format, and strip the notebooks
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .
	$(BIN)/nbstripout --keep-id --extra-keys $(STRIPPED) notebooks/*.ipynb

lab: $(READY)  ## open JupyterLab on 127.0.0.1, with its token
	$(BIN)/jupyter lab $(AS_ROOT) --ip=127.0.0.1 --notebook-dir=. --LabApp.app_settings_dir=$(CURDIR)/lab \
	  --LabApp.default_url=/lab/tree/notebooks/README.md

samples: $(READY)  ## run the demo and publish its executed notebooks, made small, under docs/notebooks
	$(BIN)/roadsense demo --run-dir $(RUN)
	$(BIN)/python -m benchmarks.samples --from_dir $(RUN)/notebooks

lock: $(READY)  ## write requirements.lock anew from pyproject.toml
	{ echo "# Every version of the environment. Written by \`make lock\` from pyproject.toml; do not edit."; \
	  $(BIN)/pip-compile --quiet --all-extras --strip-extras --no-header --no-emit-index-url --no-emit-find-links \
	    --no-emit-trusted-host --output-file=- pyproject.toml | sed 's/+cpu$$//'; } > requirements.lock.part
	mv requirements.lock.part requirements.lock

nets: $(READY)  ## rebuild the networks of the base scenarios from their sources
	@netconvert="$$($(BIN)/python -c 'import sumo; print(sumo.SUMO_HOME)')/bin/netconvert"; \
	for source in scenarios/base/*/source/*.netccfg; do echo "$$source"; "$$netconvert" -c "$$source" --xml-validation never || exit 1; done

infra: $(READY)  ## make the template that sets up an AWS account anew from the policies in infra/iam
	$(BIN)/python infra/build.py

clean:  ## remove .venv and caches; datasets and runs are kept
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
