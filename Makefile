# The commands of a working day, in an environment that the first of them makes.
BIN := .venv/bin

.PHONY: help check test demo bench docs docs-site

help:  ## say what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

check: $(BIN)/python  ## style, types, layers: what must pass before a commit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: $(BIN)/python  ## the default suite on two cores; one part of it: make test ARGS=tests/store
	$(BIN)/python -m pytest $(ARGS)

demo: $(BIN)/python  ## train, mirror, go offline, ask, edit, deliver: the whole story
	$(BIN)/wandb-mirror demo

bench: $(BIN)/python  ## measure beside the SDK, bare HTTP and the disk; one part: make bench ARGS="--only cold"
	$(BIN)/python -m tests.bench $(ARGS)

docs: $(BIN)/python  ## write the generated pages again
	$(BIN)/python -m tests.servers
	$(BIN)/python -m tests.promises

docs-site: $(BIN)/python  ## build the site of docs/ into build/site, warnings are errors
	$(BIN)/pip install -q -e ".[docs]"
	$(BIN)/python -m mkdocs build --strict

$(BIN)/python:
	python3 -m venv .venv
	$(BIN)/pip install -q -e ".[dev]"
