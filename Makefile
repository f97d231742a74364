# The two commands of the README, and what stands behind them. A second call is quick:
# the environment is made anew only when requirements.txt or pyproject.toml changed.
# uv compiles nothing: what Python 3.12 has to say of torchao it would say in a notebook.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed
PIP    := $(if $(shell command -v uv),uv pip install --python $(BIN)/python,$(BIN)/python -m pip install)
FIRST  ?= ch01_intro/01_what_is_pytorch.ipynb
FITS   := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
CHECK  := { $(BIN)/python -c '$(FITS)' || { echo "$(VENV) has another Python than 3.11 to 3.13: \
	    make clean, then make lab PYTHON=python3.13"; exit 1; }; }
ROOTED := $(if $(filter 0,$(shell id -u)),--allow-root)

.PHONY: lab test notebooks site browser lint environment clean

lab: $(READY)            ## JupyterLab, opened on chapter 1
	$(BIN)/jupyter lab $(ROOTED) $(LABFLAGS) --ServerApp.root_dir="$(CURDIR)" \
	    --LabApp.default_url=/lab/tree/$(FIRST)

test: $(READY)           ## every helper, notebook and snippet
	$(BIN)/python -m pytest

notebooks: $(READY)      ## execute and save all notebooks again, from top to bottom
	$(BIN)/python -m tests.execute

site: $(READY)           ## the web site, into site/build
	$(PIP) --quiet -r site/requirements.txt
	$(BIN)/python site/build.py

browser: $(READY)        ## every notebook in a real JupyterLab
	$(BIN)/python -m tests.browser

lint: $(READY)           ## ruff, notebooks included
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

environment: $(READY)    ## what this machine has, and how to mend what is wrong
	$(BIN)/python -m ch01_intro.environment

$(READY): requirements.txt pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
	    echo "uv: installing into $(VENV)"; \
	    { [ -x $(BIN)/python ] || uv venv --quiet --seed --python $(PYTHON) $(VENV); } && \
	    $(CHECK) && \
	    $(PIP) --quiet -r requirements.txt && \
	    $(BIN)/python -W ignore -m compileall -q $(VENV)/lib/python*/site-packages/torchao; \
	else \
	    echo "pip: installing into $(VENV) (about 7.5 GB with CUDA, some minutes)"; \
	    { [ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV); } && \
	    $(CHECK) && \
	    $(PIP) --quiet -r requirements.txt; \
	fi
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
