# Everything this repository can be asked to do. `make help` lists it.
LAB  ?= notready-1
FAULTS ?=
JSON ?=
VENV := .venv
BIN  := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help lab test test-unit test-node test-labs check lint format bench fidelity clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 12

lab: $(VENV)/.trainer ## set everything up and open a lab (LAB=notready-1); without a terminal, play it
	@$(BIN)/cka-kubelet lab $(LAB)

test: test-unit test-node ## every test, those on real nodes included

test-unit: $(VENV)/.dev ## the tests that need no node
	$(BIN)/python -m pytest tests/unit -n auto -q

test-node: $(VENV)/.dev ## the tests on real nodes
	$(BIN)/python -m pytest tests/node -q

test-labs: $(VENV)/.dev ## the contract of every lab, on real nodes
	CKA_KUBELET_ALL_LABS=1 $(BIN)/python -m pytest tests/node/test_labs.py -q

check: lint test-unit ## format, lint, types, imports, unit tests

lint: $(VENV)/.dev ## format, lint, types, imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## rewrite to the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev ## measure, and write benchmarks/results.json
	$(BIN)/python -m benchmarks

fidelity: $(VENV)/.dev ## compare our kubelet with upstream's under faults (FAULTS="pod-crash cni-*", JSON=file)
	$(BIN)/python -m tests.fidelity $(foreach fault,$(FAULTS),'$(fault)') $(if $(JSON),--json '$(JSON)')

clean: ## remove nodes, images and the virtual environment
	-@[ -x $(BIN)/cka-kubelet ] && $(BIN)/cka-kubelet nodes destroy --images
	rm -rf $(VENV)

$(VENV)/.trainer: pyproject.toml
	@.ci/venv $(VENV)
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml
	@.ci/venv $(VENV)
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.trainer
