# Everything runs in .venv. Each target installs what it needs there, when it is missing or requirements.lock has changed.

# PYTHON=... chooses the Python; by default it is python3.11, else python3.12, else python3.13.
VENV := .venv
BIN := $(VENV)/bin
DEMO := $(VENV)/.demo
LAB := $(VENV)/.lab
DEV := $(VENV)/.dev
demo_extras := export notebooks train
lab_extras := export lab train
dev_extras := dev
RUN ?= runs/demo-$(shell date +%Y%m%d-%H%M%S)

# JupyterLab asks to be told when it is started by root.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

# What is taken out of notebooks beside their outputs.
STRIPPED := "metadata.papermill cell.metadata.papermill metadata.language_info"

.DEFAULT_GOAL := help
.PHONY: help setup demo enjoy test chaos check format docs site lab samples lock wheel nets infra clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(DEV)  ## install everything in .venv

$(VENV)/.%: requirements.lock pyproject.toml install/install.sh
	@PYTHON="$(PYTHON)" install/install.sh $(VENV) $($*_extras)
	@touch $@

demo: $(DEMO)  ## augment, train, evaluate and export on a small scale, about 10 minutes; RUN=folder names the run
	$(BIN)/roadsense demo --run-dir $(RUN)

enjoy: $(DEMO)  ## watch the model that comes with RoadSense answer a hazard, before any training
	$(BIN)/roadsense enjoy default

# A file's tests stay in one process, for what they share; one process takes up to 2 GB.
TEST_OPTIONS ?= -n auto --maxprocesses 4 --dist loadfile

test: $(DEV)  ## run all tests, on up to four cores; TEST_OPTIONS= runs them one after the other
	$(BIN)/python -m pytest -q $(TEST_OPTIONS)

CHAOS_ROUNDS ?= 6
chaos: $(DEV)  ## try every command against every fault, CHAOS_ROUNDS times what is random, an hour; ends in a table
	ROADSENSE_CHAOS=$(CHAOS_ROUNDS) $(BIN)/python -m pytest -q -n auto --maxprocesses 2 \
	  tests/chaos/test_chaos.py

check: $(DEV)  ## format, lint, types, spelling, the Dockerfile, and notebooks without outputs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/codespell -D- -D docs/site/plain_words.txt
	$(BIN)/nbstripout --verify --keep-id --extra-keys $(STRIPPED) notebooks/*.ipynb
	$(BIN)/hadolint docker/Dockerfile

format: $(DEV)  ## rewrite the sources in the project's format, and strip the notebooks
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .
	$(BIN)/nbstripout --keep-id --extra-keys $(STRIPPED) notebooks/*.ipynb

# Material for MkDocs speaks of its future at each build.
docs site: export NO_MKDOCS_2_WARNING := 1

docs: $(DEV)  ## serve the documentation on 127.0.0.1:8000, built anew when a page changes
	$(BIN)/mkdocs serve --dev-addr 127.0.0.1:8000

site: $(DEV)  ## build the documentation in build/site; a warning is an error
	$(BIN)/mkdocs build --quiet

lab: $(LAB)  ## open JupyterLab on 127.0.0.1, with its token
	$(BIN)/jupyter lab $(AS_ROOT) --config=lab/jupyter_lab_config.py

samples: $(DEV)  ## execute the notebooks at full size, an hour, and publish them, made small, under docs/notebooks
	$(BIN)/python -m benchmarks.samples

lock: $(DEV)  ## write requirements.lock anew from pyproject.toml
	PATH=$(BIN):$$PATH $(BIN)/python install/lock.py

wheel: $(DEV)  ## build the package in dist/ and check it
	rm -rf dist
	ROADSENSE_PURE=1 $(BIN)/python -m build --quiet --no-isolation
	$(BIN)/twine check --strict dist/*

nets: $(DEV)  ## rebuild the networks of the base scenarios from their sources
	@netconvert="$$($(BIN)/python -c 'import sumo; print(sumo.SUMO_HOME)')/bin/netconvert"; \
	for source in scenarios/base/*/source/*.netccfg; do echo "$$source"; "$$netconvert" -c "$$source" --xml-validation never || exit 1; done

infra: $(DEV)  ## make the template that sets up an AWS account anew from the policies in infra/iam
	$(BIN)/python infra/build.py

clean:  ## remove .venv and caches; datasets and runs are kept
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist *.egg-info
