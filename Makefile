# Every target first makes .venv from the exact lock. Nothing else needs to be typed before.
# All paths are relative, so that the folder's own path may hold spaces.

PYTHON ?= python3
PROFILE ?= quick
ONLY ?=

PY := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help book pdf epub slides pack test test-rest test-all test-unit test-process test-notebooks \
	test-book test-slow repeated colab-check notebooks lab movielens bench lint spelling types links \
	new-chapter repository release clean lock

# -- the environment ---------------------------------------------------------------------------
# Stamps, so that an interrupted installation is never trusted and nobody else's folder is emptied:
#   .venv/.made       written first: make made this folder, and may make it again
#   .venv/.locked     written last: a copy of the lock that is installed
#   .venv/.installed  the folder where the package was installed in editable mode
LOCK := requirements.txt requirements-torch.txt

# A virtual environment that was moved, or whose Python is gone, is made again.
ifeq "$(wildcard $(PY))" ""
.PHONY: .venv/.locked
else ifneq "$(shell cat .venv/.installed 2>/dev/null || pwd)" "$(shell pwd)"
.PHONY: .venv/.locked
endif

PYTHON_FOUND = $(shell "$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
PYTHON_FITS = $(shell "$(PYTHON)" -c 'import sys; print(sys.version_info >= (3, 11))' 2>/dev/null)
# Stops with one line before anything is made.
require_python = $(if $(filter True,$(PYTHON_FITS)),,$(error \
	this project needs Python 3.11 or newer, but "$(PYTHON)" is $(or $(PYTHON_FOUND),not there); \
	name another one, for example: make PYTHON=python3.12 $(MAKECMDGOALS)))

# A checkout may give the lock a newer date and the same text: then only the date is taken.
# Through a link, the environment of another folder would be emptied.
# The lock is complete, so pip need not look for more; torch comes last and finds all that it needs.
.venv/.locked: $(LOCK)
	@$(require_python)if test -x $(PY) && cat $(LOCK) | cmp -s - $@ \
		&& test "$$(cat .venv/.installed 2>/dev/null || pwd)" = "$$(pwd)"; then \
		touch $@; \
	elif test -L .venv || { test -e .venv && test ! -e .venv/.made && test ! -e .venv/.locked; }; then \
		echo "make: .venv lacks what requirements.txt asks for, but it is a link or was not made by make, so it is" \
			"left as it is. Move it away, then call make again." >&2; \
		exit 1; \
	else \
		set -e; \
		echo "Making .venv from requirements.txt: minutes and gigabytes the first time."; \
		echo "To watch it: tail -f .venv/install.log"; \
		rm -rf .venv && mkdir .venv && touch .venv/.made && "$(PYTHON)" -m venv .venv; \
		$(INSTALL) --no-deps -r requirements.txt; \
		$(INSTALL) -r requirements-torch.txt; \
		cat $(LOCK) > $@; \
	fi
INSTALL = $(PY) -m pip install --quiet --progress-bar off --log .venv/install.log

.venv/.installed: .venv/.locked pyproject.toml
	@$(PY) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@pwd > $@

# -- the book, the tests, the notebooks --------------------------------------------------------

help:
	@echo "make book                     build the book into _build/html"
	@echo "make pdf, make epub           the whole book as one file, in _build/html/downloads"
	@echo "make slides                   slides of each chapter, in _build/html/slides"
	@echo "make pack                     all that a room without internet needs, as _build/pack.zip"
	@echo "make test                     the tests of a coffee break, and one of each longer kind"
	@echo "make test-all                 these, then make test-rest: every test that is not slow"
	@echo "make test-slow                the others"
	@echo "make repeated                 write down which quick notebooks gave the same output twice"
	@echo "make colab-check              the notebooks on what Colab and Kaggle preinstall (or ONLY=06-mvae)"
	@echo "make notebooks PROFILE=quick  run the notebooks (or PROFILE=full, ONLY=06-mvae)"
	@echo "make lab                      open the notebooks in JupyterLab"
	@echo "make movielens                find or download MovieLens-100K and -1M, and check them"
	@echo "make bench                    the speed tables anew, on a quiet machine: an hour and more"
	@echo "make lint, make spelling      ruff over code (rules and layout) and notebooks, codespell over all"
	@echo "make types                    mypy over the package"
	@echo "make links                    look for dead links to other sites"
	@echo "make repository URL=...       write the repository's address wherever it stands"
	@echo "make release VERSION=0.1.1    write the version wherever it stands, and say what to push"
	@echo "make new-chapter NAME=12-... TITLE='...'  begin a chapter from the template"
	@echo "make lock                     requirements.txt anew from requirements.in"
	@echo "make clean                    remove what was built; .venv stays"

# Warnings and errors come on the other channel; each warning stops the build at its end.
BUILD = $(PY) book/build.py
DOWNLOADS := _build/html/downloads

book: .venv/.installed
	@echo "Building the book ..."
	@$(BUILD) html >/dev/null
	@echo "The book is built. Open it: $$(pwd)/_build/html/index.html"

pdf: .venv/.installed
	@echo "Building the book as one page and printing it ..."
	@rm -rf _build/singlehtml && $(BUILD) singlehtml >/dev/null
	@$(PY) book/make_pdf.py _build/singlehtml $(DOWNLOADS)/vaerec.pdf
	@echo "The PDF is made: $$(pwd)/$(DOWNLOADS)/vaerec.pdf"

epub: .venv/.installed
	@echo "Building the book as an EPUB ..."
	@rm -rf _build/epub && $(BUILD) epub >/dev/null
	@mkdir -p $(DOWNLOADS) && cp _build/epub/vaerec.epub $(DOWNLOADS)
	@echo "The EPUB is made: $$(pwd)/$(DOWNLOADS)/vaerec.epub"

slides: .venv/.installed
	@$(PY) book/make_slides.py

# The book comes last: it links to what is there.
pack: pdf epub slides book
	@echo "Training the pack's checkpoints and packing ..."
	@$(PY) book/make_pack.py _build/pack _build/html

# Two at a time on two cores. Each on one thread: several OpenMP programs at once slow each other many times.
WORKERS ?= auto
ARGS ?=
PYTEST = OMP_NUM_THREADS=1 $(PY) -m pytest --numprocesses $(WORKERS)
BRIEF := unit or smoke

test: .venv/.installed
	$(PYTEST) --dist worksteal -m "($(BRIEF)) and not slow" $(ARGS)

# Long tests: loadgroup deals them out one at a time.
test-rest: .venv/.installed
	$(PYTEST) --dist loadgroup -m "not ($(BRIEF) or slow)" $(ARGS)

test-all: test test-rest

# One kind alone, as the jobs of CI run them.
test-unit test-process test-notebooks test-book: .venv/.installed
	$(PYTEST) --dist loadgroup -m "$(@:test-%=%) and not slow" $(ARGS)

# One after another, with all cores.
test-slow: .venv/.installed
	$(PY) -m pytest -m slow

repeated: .venv/.installed
	$(PY) notebooks/repeat.py

# A name that no test has would select nothing, and pass.
UNKNOWN = $(filter-out $(patsubst notebooks/%.ipynb,%,$(wildcard notebooks/*.ipynb)),$(ONLY))

colab-check: .venv/.installed
	$(if $(UNKNOWN),$(error no notebook $(UNKNOWN)))$(PY) -m pytest tests/notebooks/test_preinstalled.py \
		$(if $(ONLY),-k "replaces $(ONLY:%=or %)")

notebooks: .venv/.installed
	$(PY) notebooks/run.py --profile "$(PROFILE)" $(if $(ONLY),--only $(ONLY))

lab: .venv/.installed
	$(PY) -m jupyterlab notebooks

movielens: .venv/.installed
	$(PY) -c "import vaerec as vr; print(vr.load('ml-100k'), vr.load('ml-1m'), sep='\n')"

# Some keep the rows that their tables have: delete those that are to be measured again.
BENCHMARKS := rivals evaluation fused_multinomial step_costs scaling processes svae_batching serving

bench: .venv/.installed
	@for name in $(BENCHMARKS); do \
		echo "benchmarks/$$name.py"; $(PY) benchmarks/$$name.py || exit 1; \
	done

lint: .venv/.installed
	$(PY) -m ruff check .

spelling: .venv/.installed
	$(PY) -m codespell_lib

# Not clean yet, so no job of CI calls it.
types: .venv/.installed
	$(PY) -m mypy

links: .venv/.installed
	$(PY) -c 'from jupyter_book.cli.main import main; main()' build . --builder linkcheck

# From the environment, where make puts what was typed: it may hold quotes.
new-chapter: .venv/.installed
	@$(PY) notebooks/new_chapter.py "$$NAME" "$$TITLE"

repository: .venv/.installed
	@$(PY) notebooks/repository.py "$$URL"

release: .venv/.installed
	@$(PY) notebooks/release.py "$$VERSION"

clean:
	rm -rf _build .pytest_cache .hypothesis .ruff_cache lightning_logs vaerec.egg-info
	find . -name .venv -prune -o -name __pycache__ -prune -exec rm -rf {} +

# By uv, for every system and Python. The versions of the lock stay where they fit; UPGRADE=--upgrade takes
# the newest. Torch is left out, since its builds for the CPU have other hashes, and stands in a file of its own.
UPGRADE ?=
COMPILE = _build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url \
	--no-annotate --custom-compile-command "make lock" $(UPGRADE)
lock:
	@$(require_python)rm -rf _build/lock && "$(PYTHON)" -m venv _build/lock
	_build/lock/bin/python -m pip install --quiet uv==0.13.9
	$(COMPILE) --generate-hashes --no-emit-package torch -o requirements.txt requirements.in
	$(COMPILE) -c requirements.txt -o requirements-notebooks.txt pyproject.toml requirements-notebooks.in
	@rm -rf _build/lock
	@echo "requirements.txt is new; the next make target makes .venv from it."
