.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
STUDY ?= configs/quickstart.yaml
ARGS ?=
N ?= 2
CLUSTER := $(or $(CONVERGENCE_HOME),.convergence)/cluster
VENV := .venv
BIN := $(VENV)/bin
INSTALL := ./tools/install

.PHONY: help setup submit demo up workers status logs down test check bench lock clean k8s-validate k8s-dev image image-rehearsal autoscale-rehearsal compose-up compose-down

help: ## Show what can be made
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(VENV)/.core: pyproject.toml requirements/core.txt tools/install
	@PYTHON=$(PYTHON) $(INSTALL) $(VENV) requirements/core.txt && touch $@

$(VENV)/.cluster: pyproject.toml requirements/cluster.txt tools/install
	@PYTHON=$(PYTHON) $(INSTALL) $(VENV) requirements/cluster.txt && touch $@ $(VENV)/.core

$(VENV)/.dev: pyproject.toml requirements/dev.txt tools/install
	@PYTHON=$(PYTHON) $(INSTALL) $(VENV) requirements/dev.txt && touch $@ $(VENV)/.core $(VENV)/.cluster

setup: $(VENV)/.core ## Install what a study needs into .venv (done by the other targets too)

submit: $(VENV)/.core ## Run a study: make submit STUDY=configs/quickstart.yaml
	@$(BIN)/convergence submit "$(STUDY)" $(ARGS)

demo: ## Run the quickstart study
	@$(MAKE) --no-print-directory submit STUDY=configs/quickstart.yaml

up: $(VENV)/.cluster ## Start a whole cluster on this machine: Redis, coordinator, workers, Flower
	@$(BIN)/convergence up $(ARGS)

workers: $(VENV)/.cluster ## Have so many workers: make workers N=4
	@$(BIN)/convergence up --workers "$(N)" $(ARGS)

status: $(VENV)/.core ## Show the cluster and its studies
	@$(BIN)/convergence status $(ARGS)

logs: ## Follow what the cluster's processes write; Ctrl-C ends only this
	@tail -n 20 -F $(CLUSTER)/*.log

down: $(VENV)/.core ## End the cluster; its studies go on after the next `make up`
	@$(BIN)/convergence down $(ARGS)

$(VENV)/.browser: $(VENV)/.dev tools/browser
	@./tools/browser $(VENV)/browser $(BIN)/python && touch $@

$(VENV)/.prometheus: $(VENV)/.dev tools/prometheus
	@./tools/prometheus $(VENV)/prometheus && touch $@

test: $(VENV)/.browser $(VENV)/.prometheus ## Run all the tests
	@browser=$$PWD/$(VENV)/browser/chromium; [ ! -x "$$browser" ] || export CONVERGENCE_TEST_BROWSER=$$browser; \
	  { $(BIN)/python -m pytest -n 2 -m "not alone and not long" $(ARGS) || [ $$? -eq 5 ]; } && \
	  { $(BIN)/python -m pytest -m alone $(ARGS) || [ $$? -eq 5 ]; }

.PHONY: faults
faults: $(VENV)/.dev ## Kill, freeze and cut off every part of a cluster, and count what it cost
	@$(BIN)/python -m pytest -n 2 tests/faults $(ARGS)

check: $(VENV)/.dev ## Lint, check types and import layers, run the unit tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -n 2 -q tests/unit tests/architecture

bench: $(VENV)/.dev ## Measure what the README claims, in under ten minutes
	@$(BIN)/python -m benchmarks $(if $(DATA),--data "$(DATA)") $(ARGS)

image: ## Build the image with Docker, its base pinned by digest
	@./tools/image

autoscale-rehearsal: $(VENV)/.dev ## Rehearse the shipped scaling with real workers, on this machine
	@$(BIN)/python -m benchmarks.rehearsal $(ARGS)

image-rehearsal: $(VENV)/.dev ## Build the image without an engine, measure it and run what is in it: needs root
	@$(BIN)/python -m tests.image.rehearse $(ARGS)

compose-up: ## Run the whole cluster with Docker Compose; compose-down ends it and keeps its data
	@./tools/compose up

compose-down:
	@./tools/compose down

k8s-validate: $(VENV)/.dev ## Build every overlay of k8s/ and check it as a cluster would, and more strictly
	@$(BIN)/python -m tests.manifests.validate

k8s-dev: ## Run everything in a kind cluster on this machine: needs docker, kind and kubectl
	@./tools/k8s-dev

lock: ## Resolve the requirements anew, with hashes, for every platform
	@./tools/lock

clean: ## Remove the environment and all caches; keeps .convergence and results
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
