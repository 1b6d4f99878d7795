# Two commands for everyone: `make run` and `make test`. Only Python >= 3.11, pip and make are needed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CORES ?= all
SNAKEMAKE := PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake --cores $(CORES)

.PHONY: run dry-run test check format lock schema clean

run: $(VENV)/ready
	$(SNAKEMAKE)
	@echo "The report: $(CURDIR)/results/report.html"

dry-run: $(VENV)/ready
	$(SNAKEMAKE) --dry-run --quiet rules

test: check
	$(BIN)/python -m pytest

check: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/snakemake --lint

format: $(VENV)/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt Snakefile workflow/rules

$(VENV)/ready: envs/requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "torch==2.13.0" $(TORCH_INDEX)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement envs/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

lock:
	bash envs/lock.sh

schema: $(VENV)/ready
	$(BIN)/python -c "import json; from multimep.settings import schema; print(json.dumps(schema(), indent=2))" \
	  > workflow/schemas/config.schema.json

clean:
	rm -rf $(VENV) results .snakemake
