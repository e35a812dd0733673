# Everything below works on a fresh machine that has Python, pip and make: the first target that needs it makes .venv.

PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
READY := $(VENV)/ready
TESTABLE := $(VENV)/testable
TREE := src tests docs benchmarks

.PHONY: help demo test check format docs reproduce clean

help:
	@echo "make demo        train five tasks on the docstrings of this machine's Python, and print where the report is"
	@echo "make test        check style and types, then run all tests"
	@echo "make check       check style and types only"
	@echo "make format      rewrite the files in the house style"
	@echo "make reproduce   compare asynchronous convergence with plain joint training, in about a quarter of an hour"
	@echo "make docs        gather the documentation, build it strictly, and print where it is"
	@echo "make clean       delete the environment and all caches, but no run"
	@echo
	@echo "PYTHON=python3.12 chooses the interpreter of a new environment, WORKERS=8 the number of test processes."

demo: $(READY)
	@$(BIN)/motet demo

# One thread each: the tests are small, and two processes share the cores better than two threads do.
test: check
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS)

check: $(TESTABLE)
	@$(BIN)/ruff check --quiet $(TREE)
	@$(BIN)/ruff format --check --quiet $(TREE)
	@$(BIN)/mypy --no-error-summary

format: $(TESTABLE)
	@$(BIN)/ruff check --fix --quiet $(TREE)
	@$(BIN)/ruff format --quiet $(TREE)

# With MOTET_DATA on public product texts, without on docstrings.
reproduce: $(READY)
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/asynchronous/reproduce.py --jobs $(WORKERS)

docs: $(READY)
	@$(PIP) install --use-pep517 -c constraints.txt -e '.[offline,docs]'
	@$(BIN)/python docs/make_site.py build/docs
	@$(BIN)/zensical build --strict --clean
	@echo "documentation: build/site/index.html"

clean:
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find $(TREE) -name __pycache__ -type d -prune -exec rm -rf {} +

# torch comes first and alone, so that no other package has a say in which build of it is taken. seqeval is published as
# source only, which a pip before 23.1 can build no other way than --use-pep517.
$(READY): pyproject.toml constraints.txt
	@echo "Preparing $(VENV); the first time takes some minutes."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install -c constraints.txt "$$(grep '^torch==' constraints.txt)"
	@$(PIP) install --use-pep517 -c constraints.txt -e '.[offline]'
	@touch $(READY)

$(TESTABLE): $(READY)
	@echo "Adding what the tests need."
	@$(PIP) install --use-pep517 -c constraints.txt -e '.[offline,dev]'
	@touch $(TESTABLE)
