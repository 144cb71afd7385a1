# SPDX-License-Identifier: GPL-2.0-only
# `make help` lists the targets. EXPERIMENT=scale chooses another file of experiments/.

VENV       ?= .venv
EXPERIMENT ?= quick
RESULTS    ?= results
PYTHON     := $(VENV)/bin/python
HARNESS    := $(PYTHON) -m harness
PYTEST     := $(PYTHON) -m pytest -q

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help deps experiment plan kernels patches gate fastpath nightly limit report doctor check test test-ssh test-slurm test-boot test-kernel test-kvm bench clean test-deps

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	@echo "variables: EXPERIMENT=quick (a file of experiments/), RESULTS=results, VENV=.venv"
	@echo "one boot, one kernel, one log: $(VENV)/bin/harness --help"

deps: $(VENV)/.installed ## install what is missing: packages by apt (root or sudo), a virtual environment

$(VENV)/.installed: pyproject.toml constraints.txt tools/packages
	@tools/packages
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

experiment: deps ## the main job: build the kernels, boot them, print dataset, report and headline
	$(HARNESS) run experiments/$(EXPERIMENT).yaml --results $(RESULTS)

plan: deps ## what `make experiment` would do and what it costs, without doing it
	$(HARNESS) plan experiments/$(EXPERIMENT).yaml

kernels: deps ## build every variant's kernel
	$(HARNESS) build

patches: deps ## apply, build and check every prefix of every series
	$(HARNESS) patches

gate: deps ## prove every variant correct, on a debug build and on the measured one
	$(HARNESS) gate --results $(RESULTS)

fastpath: deps ## what each variant changes in the code that hands out a page, beside what it runs
	$(HARNESS) fastpath

limit: deps ## the largest machine that each variant boots on this host, and why no larger one
	$(HARNESS) limit --results $(RESULTS)

nightly: deps ## newest base, a fixed experiment, the history: what changed since last night
	$(HARNESS) nightly --folder $(RESULTS)/nightly

report: deps ## collate and report again the newest dataset of EXPERIMENT
	$(HARNESS) collate $(RESULTS)/$(EXPERIMENT)

doctor: deps ## what this host can do, and how to mend what it lacks
	$(HARNESS) doctor

test-deps: deps ## what the tests need beside: browser, logrotate, SSH server, Slurm (no service is started)
	@tools/packages tests

check: deps ## lint, types, unit and property tests: eight minutes on two cores
	@tools/timed lint $(VENV)/bin/ruff check .
	@tools/timed format $(VENV)/bin/ruff format --check .
	@tools/timed types $(VENV)/bin/mypy
	@tools/timed imports $(VENV)/bin/lint-imports --no-cache
	$(PYTEST) -n 2 -m "not qemu and not kernel and not ssh and not slurm and not kvm" </dev/null

test: test-deps check test-ssh test-slurm test-boot test-kernel test-kvm ## all tests: the above, then real logins, jobs, boots, builds, KVM

test-ssh: test-deps ## logins to SSH servers on loopback ports, and blocks booted there: seven minutes
	$(PYTEST) -m ssh --durations=5 </dev/null

test-slurm: test-deps ## blocks booted by Slurm jobs, on a Slurm of their own on loopback ports: two minutes
	$(PYTEST) -m slurm --durations=5 </dev/null

test-boot: deps ## real boots of Debian's own kernel: under five minutes
	$(PYTEST) -m qemu --durations=5 </dev/null

test-kernel: deps ## kernels built from source and booted: a quarter of an hour from an empty cache
	$(PYTEST) -m kernel --durations=5 </dev/null

test-kvm: deps ## boots under KVM, in an emulated machine that has it where this host has none: under ten minutes
	$(PYTEST) -m kvm --durations=5 </dev/null

bench: deps ## measure the harness itself, as ratios in one run
	$(PYTHON) -m bench

clean: ## the virtual environment and caches of the checkout; results and the kernel store stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
