# make book    installs into .venv, builds the book, says where it is     make serve  builds it and serves it on 127.0.0.1
# make test    installs, then runs every check                            make quick  the checks that take two minutes
# make lab     opens JupyterLab
# make execute re-executes all notebooks in place (NOTEBOOKS=... for some)
# make status  what is stored, and whether it holds                       make verify checks what code has changed under
# make bench   measures speed and memory against plain ways (30 minutes)
# make zip     the built book for reading offline                         make lock   renews requirements.txt

VENV ?= .venv
PYTHON ?= python3
PORT ?= 8000
BIN := $(VENV)/bin
HTML := _build/html
# Files side by side on all cores, each on one thread.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses=4 --dist loadfile
VERSION = $(shell $(BIN)/python -c "import memolib; print(memolib.__version__)")
BUILD = $(BIN)/jupyter-book build . --all -W -n --keep-going

.PHONY: book test serve lab execute status verify bench zip zipped lock quick lint unit notebooks html pages clean

book: html
	@echo "The book is built: $(CURDIR)/$(HTML)/index.html (or: make serve)"

# What Binder runs: all tests see the environment that readers get.
$(VENV)/installed: requirements.txt pyproject.toml tools/install binder/postBuild
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("too old a Python; try make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	PATH="$(abspath $(BIN)):$$PATH" binder/postBuild
	touch $@

html: $(VENV)/installed
	$(BUILD)

serve: html
	@echo "http://127.0.0.1:$(PORT)/ (stop with Ctrl-C)"
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory $(HTML) $(PORT)

lab: $(VENV)/installed
	$(BIN)/jupyter lab book/glass/random_energy_model.ipynb

execute: $(VENV)/installed
	$(BIN)/python tools/execute.py $(NOTEBOOKS)

status: $(VENV)/installed
	$(BIN)/python -m results

verify: $(VENV)/installed
	$(BIN)/python -m results verify

bench: $(VENV)/installed
	$(BIN)/python benchmarks/empirical.py
	$(BIN)/python benchmarks/spectra.py
	$(BIN)/python benchmarks/network_spectra.py
	$(BIN)/python benchmarks/cluster.py
	$(BIN)/python benchmarks/dimension.py
	$(BIN)/python tools/execute.py book/reference/run_times.ipynb

test: lint unit notebooks html pages

# What can be told in two minutes: no browser, no notebook run, no slow physics.
quick: lint
	$(PYTEST) -m "not slow" tests/unit tests/notebooks

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

unit: $(VENV)/installed
	$(PYTEST) tests/unit

# The notebooks' own outputs against the code: what is stored, then every cell run again, with every slider's answer.
notebooks: $(VENV)/installed
	$(PYTEST) tests/notebooks
	MEMOLIB_EXPLORE=ends $(PYTEST) --nbval-lax --nbval-current-env --nbval-cell-timeout=900 book

# The built pages in a browser, the set-up for Binder, and a live JupyterLab.
pages: html
	$(PYTEST) tests/book

zip: html zipped

zipped:
	rm -rf _build/losing-dimensions-$(VERSION)* && cp -r $(HTML) _build/losing-dimensions-$(VERSION)
	$(BIN)/python -c "import shutil; print(shutil.make_archive(\
	  '_build/losing-dimensions-$(VERSION)', 'zip', '_build', 'losing-dimensions-$(VERSION)'))"

# Needs uv on the path. The CUDA packages of the default Linux wheel of torch are left out.
lock:
	sed '/^[^#]/,$$d' requirements.txt > requirements.part
	uv pip compile pyproject.toml --quiet --all-extras --universal --python-version 3.11 --no-header --no-annotate \
	  --constraint tools/constraints.txt | grep -vE '^(nvidia-|cuda-|triton=)' >> requirements.part
	mv requirements.part requirements.txt

clean:
	rm -rf _build
