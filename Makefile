# Every target sets up what it needs, once.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup
OUT ?= demo-output
FUZZ ?= 600

.PHONY: help setup demo test lint fuzz docs bench bench-quality bench-gpu promote aws-smoke lock clean

help:
	@echo "make demo   set up, then upscale a real clip through the whole pipeline"
	@echo "make test   set up, then lint, type-check and run all tests"
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
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo "Python 3.11 is needed; set PYTHON=/path/to/python3.11" >&2; exit 1; }
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

test: lint
	$(BIN)/python -m pytest

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
