# Every target first makes .venv from the exact lock. Nothing else needs to be typed before.
# All paths are relative, so that the folder's own path may hold spaces.

PYTHON ?= python3
PROFILE ?= quick
ONLY ?=

PY := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help book pdf epub slides pack test test-slow colab-check notebooks lab \
	bench lint links new-chapter repository release clean lock

# -- the environment ---------------------------------------------------------------------------
# Two stamps, each written last, so that an interrupted installation is never trusted:
#   .venv/.locked     a copy of the requirements.txt that is installed
#   .venv/.installed  the folder where the package was installed in editable mode

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

# A checkout may give requirements.txt a newer date and the same text: then only the date is taken.
.venv/.locked: requirements.txt
	@$(require_python)if test -x $(PY) && cmp -s requirements.txt $@ \
		&& test "$$(cat .venv/.installed 2>/dev/null || pwd)" = "$$(pwd)"; then \
		touch $@; \
	else \
		set -e; \
		echo "Making .venv from requirements.txt: minutes and gigabytes the first time."; \
		echo "To watch it: tail -f .venv/install.log"; \
		"$(PYTHON)" -m venv --clear .venv; \
		$(PY) -m pip install --quiet --progress-bar off --log .venv/install.log -r requirements.txt; \
		cp requirements.txt $@; \
	fi

.venv/.installed: .venv/.locked pyproject.toml
	@$(PY) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@pwd > $@

# -- the book, the tests, the notebooks --------------------------------------------------------

help:
	@echo "make book                     build the book into _build/html"
	@echo "make pdf, make epub           the whole book as one file, in _build/html/downloads"
	@echo "make slides                   slides of each chapter, in _build/html/slides"
	@echo "make pack                     all that a room without internet needs, as _build/pack.zip"
	@echo "make test                     every test that is not slow"
	@echo "make test-slow                the others"
	@echo "make colab-check              the notebooks on what Colab and Kaggle preinstall (or ONLY=06-mvae)"
	@echo "make notebooks PROFILE=quick  run the notebooks (or PROFILE=full, ONLY=06-mvae)"
	@echo "make lab                      open the notebooks in JupyterLab"
	@echo "make bench                    the speed tables anew, on a quiet machine: an hour and more"
	@echo "make lint                     ruff over code and notebooks"
	@echo "make links                    look for dead links to other sites"
	@echo "make repository URL=...       write the repository's address wherever it stands"
	@echo "make release VERSION=0.1.1    write the version wherever it stands, and say what to push"
	@echo "make new-chapter NAME=12-... TITLE='...'  begin a chapter from the template"
	@echo "make lock                     requirements.txt anew from requirements.in"
	@echo "make clean                    remove what was built; .venv stays"

# Warnings and errors come on the other channel; each warning stops the build at its end.
BUILD = $(PY) -c 'from jupyter_book.cli.main import main; main()' \
	build . --all --warningiserror --nitpick --keep-going --quiet
DOWNLOADS := _build/html/downloads

book: .venv/.installed
	@echo "Building the book ..."
	@$(BUILD) >/dev/null
	@echo "The book is built. Open it: $$(pwd)/_build/html/index.html"

pdf: .venv/.installed
	@echo "Building the book as one page and printing it ..."
	@rm -rf _build/singlehtml && $(BUILD) --builder singlehtml >/dev/null
	@$(PY) book/make_pdf.py _build/singlehtml $(DOWNLOADS)/vaerec.pdf
	@echo "The PDF is made: $$(pwd)/$(DOWNLOADS)/vaerec.pdf"

epub: .venv/.installed
	@echo "Building the book as an EPUB ..."
	@rm -rf _build/epub && $(BUILD) --builder custom --custom-builder epub >/dev/null
	@mkdir -p $(DOWNLOADS) && cp _build/epub/vaerec.epub $(DOWNLOADS)
	@echo "The EPUB is made: $$(pwd)/$(DOWNLOADS)/vaerec.epub"

slides: .venv/.installed
	@$(PY) book/make_slides.py

# The book comes last: it links to what is there.
pack: pdf epub slides book
	@echo "Training the pack's checkpoints and packing ..."
	@$(PY) book/make_pack.py _build/pack _build/html

test: .venv/.installed
	$(PY) -m pytest -m "not slow"

test-slow: .venv/.installed
	$(PY) -m pytest -m slow

# A name that no test has would select nothing, and pass.
UNKNOWN = $(filter-out $(patsubst notebooks/%.ipynb,%,$(wildcard notebooks/*.ipynb)),$(ONLY))

colab-check: .venv/.installed
	$(if $(UNKNOWN),$(error no notebook $(UNKNOWN)))$(PY) -m pytest tests/notebooks/test_preinstalled.py \
		$(if $(ONLY),-k "replaces $(ONLY:%=or %)")

notebooks: .venv/.installed
	$(PY) notebooks/run.py --profile "$(PROFILE)" $(if $(ONLY),--only $(ONLY))

lab: .venv/.installed
	$(PY) -m jupyterlab notebooks

# Some keep the rows that their tables have: delete those that are to be measured again.
BENCHMARKS := rivals evaluation fused_multinomial step_costs scaling processes svae_batching serving

bench: .venv/.installed
	@for name in $(BENCHMARKS); do \
		echo "benchmarks/$$name.py"; $(PY) benchmarks/$$name.py || exit 1; \
	done

lint: .venv/.installed
	$(PY) -m ruff check .

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

# A local build mark such as +cpu is cut off: a stranger's index does not have that build.
lock:
	@$(require_python)rm -rf _build/lock && "$(PYTHON)" -m venv _build/lock
	_build/lock/bin/python -m pip install --quiet -r requirements.in
	@mkdir -p _build
	@_build/lock/bin/python -m pip freeze --all --exclude pip > _build/lock/frozen.txt
	@{ echo "# The exact lock, made by \`make lock\` from requirements.in. Do not edit."; \
		sed -e 's/+[a-z0-9.]*$$//' _build/lock/frozen.txt; } > _build/lock/requirements.txt
	@mv _build/lock/requirements.txt requirements.txt && rm -rf _build/lock
	@echo "requirements.txt is new; the next make target makes .venv from it."
