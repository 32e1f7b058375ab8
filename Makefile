# `make recommend` gives a recommendation for a real model; `make test` runs every test.
# The virtual environment is made on first use, and again when the dependencies change.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CODE := advisor client examples tests benchmarks
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# Root may read and write what others may not. Its capabilities are dropped, its user stays: another
# could not reach an interpreter in root's home.
UNPRIVILEGED := $(shell [ "$$(id -u)" -eq 0 ] && command -v setpriv > /dev/null \
	&& echo setpriv --bounding-set=-all --inh-caps=-all $(BIN)/pytest -q -n auto -m rights \
	|| echo : what depends on rights has run without them)

.DEFAULT_GOAL := help
.PHONY: help recommend test nightly check fmt image image-lock proto bench-memory bench-regret bench-horizon gpu gpu-wheels clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

recommend: $(VENV)/.installed ## Recommend a setting for a real model on real data
	$(BIN)/bsadvise recommend examples/digits_mlp.py

test: $(VENV)/.dev ## Run every test; first those that race the scheduler, last and as root those that depend on rights, without them
	@$(BIN)/pytest -q -m timing $(ARGS) || echo "not every timing test passed; they do not fail the suite"
	$(BIN)/pytest -n auto --dist worksteal $(ARGS)
	$(UNPRIVILEGED) $(ARGS)

nightly: $(VENV)/.dev ## Kill the daemon a hundred times, send it ten thousand malformed calls, plan a hundred thousand hostile logs, search a thousand times on simulated devices, run the whole model zoo twice, replay every prefix of the recorded logs, search with the peers, wait on silent networks, ask about every kind of model file, ask from inside trainings
	BSADVISE_CHAOS_KILLS=100 BSADVISE_FUZZ_CALLS=10000 $(BIN)/pytest -n auto tests/chaos tests/fuzz
	BSADVISE_PEERS=whole $(BIN)/pytest tests/benchmarks/test_searches.py
	BSADVISE_SILENCE=whole $(BIN)/pytest tests/client/test_silent_network.py
	BSADVISE_PLANNER_LOGS=100000 $(BIN)/pytest -n auto tests/planning/test_hostile_logs.py
	BSADVISE_ZOO=whole $(BIN)/pytest tests/zoo
	BSADVISE_FIELD=whole $(BIN)/pytest tests/field
	BSADVISE_INTEGRATIONS=whole $(BIN)/pytest tests/integrations
	BSADVISE_SEARCHES=1000 $(BIN)/pytest -n auto tests/planning/test_advised_setting.py
	BSADVISE_REPLAY=whole $(BIN)/pytest -n auto tests/replay

check: $(VENV)/.dev ## Format, lint, types, import contracts, protobuf contract
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/buf breaking --against protos/released.binpb
	$(BIN)/buf format --diff --exit-code
	PATH="$(CURDIR)/$(BIN):$$PATH" ./protos/generate.sh --check

fmt: $(VENV)/.dev ## Format the code and apply automatic fixes
	$(BIN)/ruff check --fix --exit-zero $(CODE)
	$(BIN)/ruff format $(CODE)
	$(BIN)/buf format --write

image: ## Build the image on a base of one digest, with an SBOM: make image BASE_IMAGE=python:3.11-slim@sha256:...
	@printf '%s\n' "$(BASE_IMAGE)" | grep -Eq '^[^@]+@sha256:[0-9a-f]{64}$$' \
		|| { echo "BASE_IMAGE must name an image by its digest, NAME:TAG@sha256:..., not '$(BASE_IMAGE)'" >&2; exit 1; }
	docker buildx build -f deploy/Dockerfile --build-arg BASE_IMAGE="$(BASE_IMAGE)" \
		--sbom=true --provenance=true --output type=oci,dest=bsadvise-image.tar $(ARGS) .

image-lock: ## Write what the image installs, with the hashes of its files
	$(PYTHON) -m venv $(VENV)/lock && $(VENV)/lock/bin/pip install --quiet uv
	UV=$(VENV)/lock/bin/uv ./deploy/lock.sh

proto: $(VENV)/.dev ## Generate the protobuf code
	PATH="$(CURDIR)/$(BIN):$$PATH" ./protos/generate.sh

bench-memory: $(VENV)/.benchmarks ## Compare searches for the largest batch
	$(BIN)/python -m benchmarks.memory $(ARGS)

bench-regret: $(VENV)/.benchmarks ## Compare the advice and other methods with the best setting of a grid
	$(BIN)/python -m benchmarks.regret record
	$(BIN)/python -m benchmarks.regret compare $(ARGS)
	$(BIN)/python -m benchmarks.regret report

bench-horizon: $(VENV)/.benchmarks ## Compare settings carried from short trainings with the best of long ones
	$(BIN)/python -m benchmarks.horizon $(ARGS)

gpu: ## Run on a GPU what needs one, in under ten minutes and without a network; without a GPU, small forms of it
	@if $(PYTHON) -c 'import torch' 2> /dev/null; then \
		$(PYTHON) -m benchmarks.gpu.bootstrap $(ARGS); \
	else \
		$(MAKE) --no-print-directory $(VENV)/.dev && $(BIN)/python -m benchmarks.gpu $(ARGS); \
	fi

gpu-wheels: | $(VENV)/bin/python ## Collect the wheels that `make gpu` installs on a machine without a network
	$(BIN)/python -m benchmarks.gpu.wheels $(ARGS)

clean: ## Remove the virtual environment and every cache
	rm -rf $(VENV) .gpu .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "bsadvise needs Python 3.11 or later; try: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e '.[server,examples]'
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PIP) --group dev
	@touch $@

$(VENV)/.benchmarks: $(VENV)/.installed
	$(PIP) -e '.[server,benchmarks]'
	@touch $@
