# Offramp: `make up` serves and classifies, `make test` tests. Both make their own environment.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2

# The CPU build of torch, a tenth of the size of the one with CUDA. `make test TORCH_INDEX=` leaves
# the choice to pip's own settings, and so does a folder of wheels in PIP_FIND_LINKS.
TORCH_INDEX ?= $(if $(PIP_FIND_LINKS),,https://download.pytorch.org/whl/cpu)
PIP := $(if $(TORCH_INDEX),PIP_EXTRA_INDEX_URL=$(TORCH_INDEX) )$(BIN)/python -m pip install -qq --no-input

.DEFAULT_GOAL := help

.PHONY: help
help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: up
up: $(VENV)/serve.stamp ## Start the three services and classify a first batch; Ctrl-C drains
	$(BIN)/offramp up --demo

.PHONY: install
install: $(VENV)/serve.stamp ## Make the environment that serves: .venv with the offramp command

.PHONY: test
test: $(VENV)/dev.stamp ## Run every test
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

.PHONY: lint
lint: $(VENV)/dev.stamp ## Check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: format
format: $(VENV)/dev.stamp ## Write what ruff would change
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: protos
protos: $(VENV)/dev.stamp ## Generate offramp/v1 from protos/
	$(BIN)/python scripts/gen-protos

.PHONY: rules
rules: ## Test the rules for Prometheus (needs Docker)
	docker run --rm --network none -v $(CURDIR)/deploy/prometheus:/etc/prometheus:ro \
	    --entrypoint promtool prom/prometheus test rules /etc/prometheus/rules.test.yml

.PHONY: clean
clean: ## Remove the environment, caches and build artefacts
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# A stamp is as new as the install that made it; a change of what is installed, or of the version,
# installs again.
$(VENV)/serve.stamp: pyproject.toml offramp/__init__.py | $(BIN)/python
	@echo "Installing offramp into $(VENV): once, about a minute"
	@$(PIP) --editable '.[openvino]'
	@touch $@

$(VENV)/dev.stamp: pyproject.toml offramp/__init__.py | $(BIN)/python
	@echo "Installing offramp and its development tools into $(VENV): once, about two minutes"
	@$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/serve.stamp
