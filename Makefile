# The two commands that set everything up: make demo, make test. `make help` lists the rest.
PYTHON ?= python3
PYTHON312 ?= python3.12
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 2

.PHONY: help demo test test-slow test-browser notebooks quotes docs test-gpu test-slurm test-ray test-consumers test-consumers-312 test-consumers-source bench-published bench-migration bench-laws bench-priors bench-few-runs bench-read-outs bench-surfaces bench-tokens bench-optimum bench-designs bench-order bench-swarm bench-online

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/'

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt "torch==2.13.0"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

demo: $(VENV)/installed  ## corpus -> proxies -> laws -> optimum -> full runs -> report, on the built-in corpus
	$(BIN)/mixlaw demo demo

test: $(VENV)/installed  ## format, lint, types and every test that needs nothing but .venv and a few minutes
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -m "not slow and not gpu and not consumers and not browser and not slurm and not ray"

# The trainers that read our exports and the loggers that we import from, in an environment of their own on top of
# .venv, whose torch they share.
.venv-consumers/installed: $(VENV)/installed tests/export/consumers.txt
	$(PYTHON) -m venv .venv-consumers
	$(BIN)/python -c "import site; print(site.getsitepackages()[0])" \
		> "$$(.venv-consumers/bin/python -c 'import site; print(site.getsitepackages()[0])')/project.pth"
	.venv-consumers/bin/pip install --quiet --requirement tests/export/consumers.txt
	.venv-consumers/bin/pip install --quiet --no-deps "mosaicml-streaming==0.13.0"
	.venv-consumers/bin/pip install --quiet --no-deps --ignore-requires-python "axolotl==0.21.0"
	touch $@

test-consumers: .venv-consumers/installed  ## let the trainers read what we export, and read what the loggers write
	.venv-consumers/bin/python -m pytest -m "consumers and not python312 and not source" tests/export tests/importers

.venv-consumers-312/installed: pyproject.toml tests/export/consumers-312.txt
	$(PYTHON312) -m venv .venv-consumers-312
	.venv-consumers-312/bin/pip install --quiet --requirement tests/export/consumers-312.txt --editable .
	.venv-consumers-312/bin/pip install --quiet --no-deps "maxtext==0.2.5"
	touch $@

test-consumers-312: .venv-consumers-312/installed  ## the same for the trainers that want Python 3.12
	JAX_PLATFORMS=cpu .venv-consumers-312/bin/python -m pytest -m python312 tests/export/test_consumers_312.py

# The trainers that PyPI does not have, from their repositories at fixed commits; `make test-consumers-source
# GPT_NEOX=folder NANOTRON=folder` takes checkouts that are there already.
SOURCES := .consumers-source
GPT_NEOX ?= $(SOURCES)/EleutherAI/gpt-neox/b2f1101da0e56cc0caee8fee60ffaaa4c04c5740
NANOTRON ?= $(SOURCES)/huggingface/nanotron/49aff2ee413c263f3a63bdce8f770c4b2e55c4e1

$(SOURCES)/%:
	rm -rf $@.part && git init --quiet $@.part
	git -C $@.part fetch --quiet --depth 1 https://github.com/$(patsubst %/,%,$(dir $*)) $(notdir $*)
	git -C $@.part checkout --quiet FETCH_HEAD
	mv $@.part $@

.venv-consumers-source/installed: $(VENV)/installed tests/export/consumers-source.txt
	$(PYTHON) -m venv .venv-consumers-source
	$(BIN)/python -c "import site; print(site.getsitepackages()[0])" \
		> "$$(.venv-consumers-source/bin/python -c 'import site; print(site.getsitepackages()[0])')/project.pth"
	.venv-consumers-source/bin/pip install --quiet --requirement tests/export/consumers-source.txt
	touch $@

test-consumers-source: .venv-consumers-source/installed $(GPT_NEOX) $(NANOTRON)  ## the same for GPT-NeoX and nanotron, cloned from GitHub (wants git and g++)
	GPT_NEOX=$(abspath $(GPT_NEOX)) NANOTRON=$(abspath $(NANOTRON)) \
		.venv-consumers-source/bin/python -m pytest -m source tests/export/test_consumers_source.py

# Engines for clusters, in an environment of their own on top of .venv; Slurm itself is unpacked, not installed.
.venv-cluster/installed: $(VENV)/installed
	$(PYTHON) -m venv .venv-cluster
	$(BIN)/python -c "import site; print(site.getsitepackages()[0])" \
		> "$$(.venv-cluster/bin/python -c 'import site; print(site.getsitepackages()[0])')/project.pth"
	.venv-cluster/bin/pip install --quiet "submitit==1.5.4" "ray==2.60.0"
	touch $@

.venv-cluster/slurm/unpacked: .venv-cluster/installed tests/launch/two_nodes.sh
	tests/launch/two_nodes.sh unpack .venv-cluster/slurm
	touch $@

test-slurm: .venv-cluster/slurm/unpacked  ## a swarm on a real Slurm of two nodes, one of which is lost (Debian's packages)
	PYTHONPATH=$(CURDIR) MIXLAW_SLURM=.venv-cluster/slurm .venv-cluster/bin/python -m pytest -m slurm tests/launch

test-ray: .venv-cluster/installed  ## a swarm on a real Ray cluster of two nodes, one of which is lost
	PYTHONPATH=$(CURDIR) .venv-cluster/bin/python -m pytest -m ray tests/launch

test-slow: $(VENV)/installed  ## the tests that take minutes
	$(BIN)/pytest -m slow

test-browser: $(VENV)/installed  ## open the report's pages in Debian's chromium, wide and as wide as a phone
	command -v chromium > /dev/null || (apt-get update && apt-get install --yes --no-install-recommends chromium)
	$(BIN)/pytest -m browser tests/report

notebooks: $(VENV)/installed  ## execute the notebooks and store what they print
	$(BIN)/python notebooks/execute.py

.venv-docs/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --constraint constraints.txt --editable ".[docs]"
	touch $@

quotes: $(VENV)/installed  ## copy the numbers of benchmarks/results into the pages that quote them
	$(BIN)/python benchmarks/quote.py

docs: .venv-docs/installed  ## build docs/ and the docstrings into a site, build/site/index.html
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet --strict

test-gpu:  ## the tests that need a CUDA device, with the python of that machine
	python3 -m pytest -m gpu

bench-published: $(VENV)/installed  ## published predictions made again: RedPajama to 1B, M1-M4 on three domains, Chinchilla
	$(BIN)/python benchmarks/published.py

bench-migration: $(VENV)/installed  ## other systems' predictors and ours on their runs
	$(BIN)/python benchmarks/migration.py

bench-laws: $(VENV)/installed  ## laws at one scale, intervals and comparisons beside alternatives fitted in the same run
	$(BIN)/python benchmarks/laws.py

bench-priors: $(VENV)/installed  ## the priors of the laws halved and doubled, by cross-validation
	$(BIN)/python benchmarks/priors.py

bench-few-runs: $(VENV)/installed  ## errors and intervals of laws fitted to 4 to 36 mixtures
	$(BIN)/python benchmarks/few_runs.py

bench-surfaces: $(VENV)/installed  ## laws over mixture, size and tokens beside Chinchilla, additive and joint
	$(BIN)/python benchmarks/surfaces.py

bench-tokens: $(VENV)/installed  ## falls in loss predicted from young checkpoints beside the measured ones
	$(BIN)/python benchmarks/tokens.py

bench-optimum: $(VENV)/installed  ## the certified solver beside another library's, and the regret of its choices
	$(BIN)/python benchmarks/optimum.py

bench-designs: $(VENV)/installed  ## how many runs each design needs for the same regret
	$(BIN)/python benchmarks/designs.py

bench-order: $(VENV)/installed  ## the order of sequences beside grain's and random draws
	$(BIN)/python benchmarks/order.py

bench-read-outs: $(VENV)/installed  ## losses read from averaged weights beside real decays; makes a corpus first
	test -d corpus || $(BIN)/mixlaw corpus corpus --builtin
	$(BIN)/python benchmarks/read_outs.py corpus

bench-swarm: $(VENV)/installed  ## packed and solo proxies beside an eager transformers loop
	$(BIN)/python benchmarks/swarm.py

bench-online: $(VENV)/installed  ## weights that move: the cost of every method's step beside a plain one
	$(BIN)/python benchmarks/online.py
