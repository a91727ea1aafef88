# Two commands are all a fresh machine needs: `make demo` and `make test`. Each installs what it lacks.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python

.PHONY: help
help: ## Say what each target does
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: setup
setup: ## Install what is missing: Debian packages (as root), the virtual environment
	@hack/setup

.PHONY: demo
demo: setup ## Bring up a three-node Kubernetes and let a real model answer over TLS 1.3
	@$(PYTHON) hack/demo.py

.PHONY: demo-down
demo-down: setup ## End the demo's cluster
	@$(PYTHON) hack/demo.py --down

.PHONY: check
check: setup ## Formatting, lint, types, import contracts, generated files
	@hack/check

.PHONY: test
test: setup ## Everything: check, then the unit, apiserver and e2e tiers
	@hack/test

.PHONY: test-unit test-apiserver test-e2e
test-unit: setup ## The unit tier: pure code, seconds
	@hack/test unit
test-apiserver: setup ## The apiserver tier: a real etcd and kube-apiserver
	@hack/test apiserver
test-e2e: setup ## The e2e tier: a real three-node cluster
	@hack/test e2e

.PHONY: generate
generate: setup ## Write CRDs and other generated files
	@hack/generate

.PHONY: bench
bench: setup ## Measure: reconcile throughput against a bare writer of the same objects
	@$(PYTHON) bench/run.py $(if $(ONLY),--only $(ONLY))

.PHONY: cluster-up cluster-down
cluster-up: setup ## A three-node cluster of your own (NAME=vm)
	@hack/cluster up --name $(or $(NAME),vm)
cluster-down: setup ## Take it down again (NAME=vm)
	@hack/cluster down --name $(or $(NAME),vm)
