# Every target sets up what it needs, once.
# The first Python found that the project runs on; PYTHON=/path/to/python3 overrides it.
FITS = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c '$(FITS)' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup
OUT ?= demo-output
FUZZ ?= 600
WORKERS ?= auto

.PHONY: help setup demo test check lint test-unit test-infra test-contract test-e2e fuzz docs \
  prove-iam bench bench-quality bench-gpu promote aws-smoke lock clean

help:
	@echo "make demo   set up, then upscale a real clip through the whole pipeline"
	@echo "make test   set up, then lint, type-check and run all tests, as many at a time as cores (WORKERS=n)"
	@echo "make check  lint, types and the fast tests: within 90 seconds, for the loop"
	@echo "make test-unit  one tier of the tests; also test-infra, test-contract, test-e2e (TESTS=path: a part)"
	@echo "make lint   ruff and basedpyright"
	@echo "make docs   write anew what documents show of the program"
	@echo "make fuzz   break films at random for ten minutes (FUZZ=seconds)"
	@echo "make prove-iam  take each permission away and show what stops (a few minutes)"
	@echo "make bench  measure speed and memory beside the peers (about 30 minutes); PARTS=peers: a part"
	@echo "make bench-quality  restore reduced films by every model, score them, make a page for eyes"
	@echo "make bench-gpu  models, formats and ways to run on this machine's GPU; ARGS='--device cpu --quick'"
	@echo "make promote FROM=dev TO=staging   give a stack the images and commit another runs"
	@echo "make aws-smoke  one clip through a throwaway stack on AWS; needs an account, costs money"
	@echo "make clean  remove what make made here (caches in your home stay)"

setup: $(STAMP)

# torch first and pinned exactly: a CPU build at hand satisfies it (docs/decisions/0002).
$(STAMP): pyproject.toml requirements.lock
	@$(or $(PYTHON),false) -c '$(FITS)' 2>/dev/null \
	  || { echo "Python 3.11 to 3.13 is needed; set PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "Python's venv is missing; on Debian: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint requirements.lock torch==2.13.0
	$(BIN)/pip install --quiet --constraint requirements.lock --editable '.[dev]'
	@touch $@

demo: $(STAMP)
	@mkdir -p $(OUT)
	@$(BIN)/superres run samples/bunny.mp4 --model animevideov3 --scale 4 --workers 2 \
	  --out $(OUT)/bunny.4x.mp4 --picture $(OUT)/before-after.png --force

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

# A file is the unit of work: its tests share fixtures. Long files come first (testpaths).
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

test: lint
	$(PYTEST)

# What needs no film, no network and no embedded AWS.
check: lint
	$(PYTEST) -m "not slow" tests/contract tests/unit/contracts tests/unit/lambdas tests/unit/cli

test-unit test-infra test-contract test-e2e: test-%: $(STAMP)
	$(PYTEST) $(or $(TESTS),tests/$*)

# Films broken at random, for FUZZ seconds; make test does the same for 25.
fuzz: $(STAMP)
	FUZZ_SECONDS=$(FUZZ) $(BIN)/python -m pytest -q tests/unit/media/hostile/test_fuzz.py

docs: $(STAMP)
	$(BIN)/python -m tools.docs

# ARGS=--json prints one JSON object.
prove-iam: $(STAMP)
	@$(BIN)/python -m tools.least_privilege.prove $(ARGS)

# PARTS: demo start overhead memory index engines overlap confined peers scaling; ARGS=--quick only shows that they run.
bench: $(STAMP)
	@$(BIN)/python -m benchmarks.run $(PARTS) $(ARGS)

# ARGS: --quick, --film PATH, --no-vmaf, --json ...
bench-quality: $(STAMP)
	@$(BIN)/pip install --quiet --constraint requirements.lock --editable '.[bench]'
	@$(BIN)/python -m benchmarks.quality $(ARGS)

# ARGS: --json, --device cpu --quick
bench-gpu: $(STAMP)
	$(BIN)/python -m benchmarks.gpu $(ARGS)

# ARGS: --dry-run, --json, --outputs FILE
promote: $(STAMP)
	@$(BIN)/superres promote "$(FROM)" "$(TO)" $(ARGS)

# ARGS: --yes, --max-minutes N, --json ...
aws-smoke: $(STAMP)
	@$(BIN)/python -m tools.aws_smoke $(ARGS)

# Rewrites the lock from what is installed; commit the result.
lock: $(STAMP)
	$(BIN)/pip install --quiet --constraint requirements.lock --editable '.[bench]'
	$(BIN)/pip freeze --exclude-editable | sed 's/+cpu$$//' > requirements.lock

clean:
	rm -rf $(VENV) .bench-venv $(OUT) bench-output .pytest_cache .ruff_cache .hypothesis build dist *.egg-info
