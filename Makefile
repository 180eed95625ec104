# make demo    record a training of an MLP on MNIST digits and explore it
# make test    run the tests; those of connections need ssh, sshd, tmux and screen (.ci/run installs what is missing)
# Both set up what they need in .venv first: only python3 (3.11 or newer) with pip, git and make have to be there.
# Another interpreter: make PYTHON=python3.13 demo. Options: make demo ARGS='--data torchvision', make test ARGS='-k gradient'.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
H5PY_OTHER := .venv-h5py314
EXTRAS := torch,tensorboard,parquet,loops,dev
KERAS := .venv-keras

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check format readme assets bench wheel-test constraints clean

help:
	@sed -n 's/^# //p; /^$$/q' Makefile
	@echo 'make check · format · readme · assets · bench · wheel-test · constraints · clean'

demo: $(READY)
	@$(BIN)/layerscope demo $(ARGS)

test: $(READY) $(H5PY_OTHER)/.ready $(KERAS)/.ready
	H5PY_OTHER=$(abspath $(H5PY_OTHER)) $(BIN)/python -m pytest -n 2 $(ARGS)
	$(KERAS)/bin/python -m pytest -n 2 tests/keras $(ARGS) || [ $$? = 5 ]  # 5: ARGS chose none of these

check: $(READY)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(READY)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

readme: $(READY)  # the parts of the README that are made from the code
	$(BIN)/python assets/readme.py

assets: $(READY) $(KERAS)/.ready  # figures and screenshots of the README, from fresh recordings of the demos
	$(BIN)/python assets/make.py

bench: $(READY) $(H5PY_OTHER)/.ready $(KERAS)/.ready  # every number that the README quotes; takes an hour
	$(BIN)/python benchmarks/overhead.py
	$(KERAS)/bin/python benchmarks/overhead_keras.py
	$(BIN)/python benchmarks/correlation.py
	$(BIN)/python benchmarks/painting.py
	$(BIN)/python benchmarks/explorer.py
	$(BIN)/python benchmarks/sign_map.py
	$(BIN)/python benchmarks/soak.py
	$(BIN)/python benchmarks/long.py
	$(BIN)/python benchmarks/torn.py 2000
	$(BIN)/python benchmarks/full_disk.py
	$(BIN)/python benchmarks/crash.py --other $(H5PY_OTHER)

wheel-test: $(READY)  # the wheel in an empty environment, without a framework and with one
	PYTHON=$(PYTHON) .ci/wheel

constraints: $(READY) $(KERAS)/.ready  # what is installed now becomes what everybody installs; CUDA's own packages follow from torch's
	$(BIN)/pip freeze --exclude-editable | grep -vE '^(nvidia-|cuda-|triton)| @ |^-e|^#' > constraints.txt
	$(KERAS)/bin/pip freeze --exclude-editable | grep -vE ' @ |^-e|^#' > constraints-keras.txt

clean:
	rm -rf $(VENV) $(H5PY_OTHER) $(KERAS) .venv-peers build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("layerscope needs Python 3.11 or newer and %s is %s; try: make PYTHON=python3.12" \
		% (sys.executable, sys.version.split()[0]) if sys.version_info < (3, 11) else 0)'
	@echo 'Setting up $(VENV). PyTorch with CUDA is 2.7 GB to download, once; minutes the first time, nothing after.'
	@$(PYTHON) -m venv $(VENV) || { echo 'python cannot make an environment; on Debian: apt-get install python3-venv' >&2; exit 1; }
	$(BIN)/pip install --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

$(H5PY_OTHER)/.ready:  # an older HDF5: files must be readable both ways
	$(BIN)/pip install --disable-pip-version-check --quiet --no-deps --target $(H5PY_OTHER) 'h5py==3.14.*'
	@touch $@

$(KERAS)/.ready: pyproject.toml constraints-keras.txt  # TensorFlow and PyTorch do not share a process well
	@echo 'Setting up $(KERAS). TensorFlow for the CPU is 0.3 GB to download, once.'
	@$(PYTHON) -m venv $(KERAS)
	$(KERAS)/bin/pip install --disable-pip-version-check --quiet -c constraints-keras.txt -e '.[photos,tensorboard,dev]' tensorflow-cpu keras
	@touch $@
