# The commands of daily work; `make` alone lists them.

VENV  := .venv
PY    := $(VENV)/bin/python
PIP   := $(PY) -m pip install --quiet --disable-pip-version-check
ALL   := $(VENV)/.ready
BASE  := $(VENV)/.ready-competition
DEMO  := two_agent_grid
LAB   := outputs/slurm_lab

.DEFAULT_GOAL := help
.PHONY: help setup setup-competition demo test walls lint docs bench results slurm-lab slurm-lab-stop lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1	\2/p' $(MAKEFILE_LIST) | awk -F '\t' '{printf "  make %-19s%s\n", $$1, $$2}'

setup: $(ALL)  ## install the locked dependencies and the project into .venv

setup-competition: $(or $(wildcard $(ALL)),$(BASE))  ## the same without the image models, in a tenth of the room

demo: setup  ## the two-agent experiment on the embedded model, end to end
	@$(PY) -m diffusion_auction +sweep=$(DEMO)
	@echo "report: $(CURDIR)/outputs/diffusion_auction/$(DEMO)/report.html"

test: setup  ## all tests
	@$(PY) -m pytest --numprocesses=logical --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

walls: setup  ## what agents can reach behind each tier of walls, compared with the reviewed list
	@$(PY) -m tests.walls

lint: setup  ## style, format and types
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy

docs: setup  ## the documentation with its API reference, as a site in build/site
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet

bench: setup  ## time what is worth timing
	@$(PY) -m tests.benchmarks

results: setup  ## run every sweep on the embedded model and write docs/results.md (about an hour)
	@$(PY) docs/make_results.py

slurm-lab: setup  ## start a SLURM of one node with four pretended GPUs, all of it in LAB=outputs/slurm_lab
	@$(PY) -m tests.slurm_lab start "$(LAB)"

slurm-lab-stop:  ## end it, with its jobs
	@$(PY) -m tests.slurm_lab stop "$(LAB)"

RESOLVE := $(PY) -m uv pip compile pyproject.toml --universal --python-version 3.11 \
	--fork-strategy fewest --generate-hashes --no-emit-index-url --no-header --quiet

lock: setup  ## resolve pyproject.toml into the two locks, keeping the versions that still fit
	$(RESOLVE) --extra dev --output-file requirements.lock
	$(RESOLVE) --extra editable --constraints requirements.lock --output-file requirements-competition.lock

clean:  ## remove .venv, caches and builds; outputs/ stays
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last and removed first: an environment without one is unfinished and starts over.
# A name on the PATH may be a stub that cannot run, so each Python is tried, together with what venv needs.
define VENV_AND_NO_STAMP
	set -e; \
	if [ ! -e $@ ]; then \
		for python in $(or $(PYTHON),python3.13 python3.12 python3.11 python3) none; do \
			$$python -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
				2>/dev/null && break; \
		done; \
		if [ $$python = none ]; then \
			echo "no Python 3.11 to 3.13 with venv found; install one or say" \
				"make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; \
			exit 1; \
		fi; \
		echo "creating $(VENV) with $$($$python --version)"; \
		$$python -m venv --clear $(VENV); \
	fi; \
	rm -f $@
endef

define PROJECT_AND_STAMP
	$(PIP) --no-deps --no-build-isolation --editable .; \
	touch $@
endef

# uv is four times as fast as pip here but does not know pip's settings, say a mirror: then pip does the work. Compiled
# here, once, a command starts in 8 s instead of 20 wherever it may not write bytecode, as agents may not.
$(ALL): requirements.lock pyproject.toml
	@$(VENV_AND_NO_STAMP); \
	sed -n '/^uv==/,/[^\\]$$/p' $< > $(VENV)/uv.lock; \
	$(PIP) --require-hashes -r $(VENV)/uv.lock; \
	$(PY) -m uv pip sync --quiet --python $(PY) --require-hashes $< || $(PIP) --no-compile --require-hashes -r $<; \
	$(PY) -m compileall -qq -j 0 $$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))') || true; \
	$(PROJECT_AND_STAMP)

# For small disks: a fifth of what is installed is never loaded, namely tests, C headers and Arrow's network services.
$(BASE): requirements-competition.lock pyproject.toml
	@$(VENV_AND_NO_STAMP); \
	$(PIP) --no-compile --require-hashes -r $<; \
	find $(VENV)/lib/python3*/site-packages \
		\( -name tests -o -name include -o -name '*arrow_flight*' -o -name '_flight*' \) -prune -exec rm -rf {} +; \
	$(PY) -m compileall -q $$($(PY) -c 'import numpy, scipy; print(*numpy.__path__, *scipy.__path__)'); \
	$(PROJECT_AND_STAMP)
