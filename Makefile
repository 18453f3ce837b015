# `make demo` and `make test` need Python 3.11+ with venv, and make; all else is installed into .venv.

PYTHON ?= python3
MINUTES ?= 10
SEED ?= 1
INPUTS ?= 1000000
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test torture bench bench-growth bench-proof bench-pay-cycle bench-reports bench-remittances \
  bench-settling fuzz check lock proto guards sbom clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo    run the whole story on an empty database and print its reports'
	@echo 'make test    run every test, with lint, types, layers and stub drift'
	@echo 'make torture kill, pause and cut off the real program, and see that nothing is lost (MINUTES=10 SEED=1)'
	@echo 'make bench   measure posting against the echo RPC, COPY and a naive poster; writes benchmarks/RESULTS.md'
	@echo 'make bench-growth  the same for posting and reads while a book grows to 10 million postings'
	@echo 'make bench-proof   what proofs cost, and what the tree behind them costs posting; how quick a bundle is judged'
	@echo 'make bench-pay-cycle  a pay cycle of 10,000 providers and 200,000 sessions, step by step'
	@echo 'make bench-reports  what each report reads of a book of 200,000 sessions'
	@echo 'make bench-remittances  play payers against the service with 100,000 claims and 3 seeds, and score it'
	@echo 'make bench-settling  large remittances: reading, settling, and what others wait meanwhile'
	@echo 'make fuzz    try the 835 reader with a million files that have things wrong in them (INPUTS=1000000 SEED=1)'
	@echo 'make check   lint, types, layers, and whether a vulnerability is known in what is installed'
	@echo 'make lock    renew constraints.txt from pyproject.toml'
	@echo 'make proto   regenerate the gRPC stubs from proto/'
	@echo 'make guards  write into migrations/guards.sql what the migrations make of a database'
	@echo 'make sbom    write the bill of materials of the service (CycloneDX) into dist/'
	@echo 'make clean   remove what was made here'

demo: $(STAMP)
	$(BIN)/ledger demo

test: $(STAMP)
	$(BIN)/python -m pytest -n 2

torture: $(STAMP)
	PYTHONPATH=tests $(BIN)/python -m torture --minutes $(MINUTES) --seed $(SEED)

bench: $(STAMP)
	$(BIN)/python -m benchmarks bench

bench-growth: $(STAMP)
	$(BIN)/python -m benchmarks growth

bench-proof: $(STAMP)
	$(BIN)/python -m benchmarks proof

bench-pay-cycle: $(STAMP)
	$(BIN)/python -m benchmarks pay-cycle

bench-reports: $(STAMP)
	$(BIN)/python -m benchmarks reports

bench-remittances: $(STAMP)
	$(BIN)/python -m benchmarks.remittances --output benchmarks/RESULTS.md

bench-settling: $(STAMP)
	$(BIN)/python -m benchmarks.settling --output benchmarks/RESULTS.md

fuzz: $(STAMP)
	PYTHONPATH=tests $(BIN)/python -m fuzzing --inputs $(INPUTS) --seed $(SEED)

check: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m supply.audit

proto: $(STAMP)
	$(BIN)/python proto/generate.py .

guards: $(STAMP)
	$(BIN)/python -m migrations.generate

sbom: $(STAMP)
	$(BIN)/python -m supply.sbom dist/session-ledger.cdx.json

lock: $(STAMP)
	echo 'setuptools>=77' | $(BIN)/uv pip compile pyproject.toml - --extra dev --extra otel --extra parquet --universal --python-version 3.11 --generate-hashes \
	  --upgrade --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	  --quiet --output-file constraints.txt

$(STAMP): constraints.txt pyproject.toml $(BIN)/python
	$(BIN)/python -m pip install --require-hashes -r constraints.txt
	$(BIN)/python -m pip install --no-deps --no-build-isolation -e .
	@touch $@

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "$(PYTHON) is not installed. Install Python 3.11 or newer (Debian, Ubuntu: apt-get install python3 python3-venv)," \
	    "or name another: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$$($(PYTHON) --version 2>&1) is too old: Python 3.11 or newer is needed." \
	    "Install one, or name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$$($(PYTHON) --version 2>&1) cannot make virtual environments, since its module venv or ensurepip is missing" \
	    "(Debian, Ubuntu: apt-get install python3-venv)." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find ledger reconciliation service migrations tests benchmarks proto supply -name __pycache__ -prune -exec rm -rf {} +
