# Everything that a contributor runs. `make help` lists it.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
LAB := $(BIN)/python -m backstop_lab
# The demo and the benchmarks run on the lab's own cluster, or on the one of CONTEXT.
ON_CLUSTER := $(if $(CONTEXT),,$(LAB) exec --)
ifdef CONTEXT
export KUBECONFIG ?= $(HOME)/.kube/config
export LAB_GATEWAY_URL ?= http://127.0.0.1:8088
export LAB_PROMETHEUS_URL ?= http://127.0.0.1:9090
IMAGE ?= backstop-lab:dev
endif

.DEFAULT_GOAL := help
.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

INSTALLED := .venv/.installed
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: install
install: $(INSTALLED) ## Install everything into .venv, exact versions, hashes checked

.PHONY: demo
demo: $(INSTALLED) ## Break a model on a real cluster and watch (SCENARIO=bad-release, CONTEXT=kind-backstop)
	$(ON_CLUSTER) $(BIN)/python -m backstop_lab.demo $(if $(SCENARIO),--scenario $(SCENARIO) $(if $(OBSERVE),,--no-observe)) $(if $(CONTEXT),--context $(CONTEXT) --image $(IMAGE)) $(DEMO_ARGS)

.PHONY: lab
lab: $(INSTALLED) ## Open a shell beside a real cluster
	$(LAB) exec -- $${SHELL:-bash}

.PHONY: check
check: $(INSTALLED) ## Lint, types, import contracts, generated files up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/api/test_crds.py tests/api/test_reference.py tests/chart/test_definitions.py

.PHONY: format
format: $(INSTALLED) ## Format the code and bring generated files up to date
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	$(MAKE) generate

.PHONY: generate
generate: $(INSTALLED) ## Write crds/ and the field tables of docs/spec from the models
	$(BIN)/backstop crds --out crds --docs docs/spec
	$(BIN)/python -m backstop_lab.image constraints
	$(BIN)/backstop crds --out charts/backstop/files/crds

.PHONY: fast
fast: $(INSTALLED) ## Run the tests that need no cluster
	$(BIN)/python -m pytest -q -m "not cluster and not node" --cov --cov-report=term --cov-fail-under=100

.PHONY: test
test: fast ## Run all tests, including those on the real cluster
	$(BIN)/python -m backstop_lab.crds
	$(LAB) build helm
	$(LAB) exec -- $(BIN)/python -m pytest -q -m cluster

.PHONY: node-test
node-test: $(INSTALLED) ## Test image and chart on a real node (root, Debian 12; skipped elsewhere)
	$(BIN)/python -m backstop_lab.real_node --or-skip -- $(BIN)/python -m pytest -q -s -m node tests/node

.PHONY: wheel
wheel: $(INSTALLED) ## Build the wheel into dist/
	$(BIN)/python -m backstop_lab.image wheel

.PHONY: image
image: wheel ## Build the container image with buildah, podman or docker (IMAGE_BASE=...@sha256:...)
	$(BIN)/python -m backstop_lab.image build $(if $(IMAGE_BASE),--base $(IMAGE_BASE)) $(if $(IMAGE_BUILD_BASE),--build-base $(IMAGE_BUILD_BASE))

.PHONY: sbom
sbom: $(INSTALLED) ## Write the bill of materials (CycloneDX) into dist/
	$(BIN)/python -m backstop_lab.image sbom

.PHONY: bench-reaction
bench-reaction: $(INSTALLED) ## Measure the time from a fault to the written weight
	$(ON_CLUSTER) $(BIN)/python -m backstop_lab.bench.reaction $(BENCH_ARGS)

.PHONY: bench-statistics
bench-statistics: $(INSTALLED) ## Measure false alarms and detection delays of every statistic, and their speed
	$(BIN)/python -m backstop_lab.bench.statistics $(BENCH_ARGS)
	$(BIN)/python -m backstop_lab.bench.drift
	$(BIN)/python -m backstop_lab.bench.judging

.PHONY: record
record: $(INSTALLED) ## Record a model with injected faults anew, for the tests of the backtest
	$(LAB) exec -- $(BIN)/python -m backstop_lab.record

.PHONY: kind
kind: $(INSTALLED) ## Create a kind cluster for `make demo CONTEXT=kind-backstop` (needs Docker)
	$(BIN)/python -m backstop_lab.kind

.PHONY: clean
clean: ## Remove what was installed and built here; the cache of cluster binaries stays
	rm -rf .venv build dist demo-report *.egg-info operator/*.egg-info .mypy_cache .ruff_cache .pytest_cache .coverage
