# Two commands for everyone: `make run` and `make test`. Only Python >= 3.11, pip and make are needed.
# ARGS are options of Snakemake: make run ARGS="--configfile workflow/studies/dms.yaml". Single files: snakemake FILE.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CORES ?= all
# A progress display on a terminal; elsewhere lines that say how many of the steps are done.
LOGGER := $(shell test -t 2 && echo --logger rich)
SNAKEMAKE := PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake --cores $(CORES) $(LOGGER)

# Hundreds of short processes start here: what one has compiled the others read.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run dry-run fetch test check shapes docs format lock schema clean bench fuzz audit faults

run: $(VENV)/ready
	PATH="$(CURDIR)/$(BIN):$$PATH" MULTIMEP_LOGGER="$(LOGGER)" bash profiles/drive.sh profiles/default --cores $(CORES) $(ARGS)

dry-run: $(VENV)/ready
	$(SNAKEMAKE) --dry-run --quiet rules $(ARGS)

fetch: $(VENV)/ready
	$(SNAKEMAKE) $(ARGS) -- fetch

# Each file of tests once: those of the rooms of numbers with every shape and type in their signatures checked. Three
# processes for two cores, for whole studies and SLURM mostly wait.
SHAPED := tests/test_methods.py tests/test_embeddings.py tests/test_language_model.py tests/test_gaussian_process.py \
  tests/test_ridge.py tests/test_splits.py tests/test_cross_prediction.py tests/test_stacked_training.py \
  tests/test_text_table.py

test: check shapes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(SHAPED:%=--ignore=%)

shapes: $(VENV)/ready
	MULTIMEP_SHAPES=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest --quiet --numprocesses 2 $(SHAPED)

check: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/snakemake --lint

# The documentation as a site; a warning is an error. The tests build it too.
docs: $(VENV)/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

format: $(VENV)/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt Snakefile workflow/rules

$(VENV)/ready: envs/requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --no-compile --quiet --disable-pip-version-check "torch==2.13.0" $(TORCH_INDEX)
	$(BIN)/python -m pip install --no-compile --quiet --disable-pip-version-check --requirement envs/requirements.txt
	$(BIN)/python -m pip install --no-compile --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

# Speed beside peers, as ratios: see docs/performance.md.
bench: $(VENV)/ready
	$(BIN)/python benchmarks/speed $(ARGS)

# Every door to foreign bytes under a coverage-guided fuzzer (docs/reliability.md): make fuzz ARGS="tables --seconds 600"
fuzz: $(VENV)/ready
	$(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['dependency-groups']['fuzz'])" \
	  | xargs $(BIN)/python -m pip install --quiet --disable-pip-version-check
	PYTHONPATH=workflow:tests OMP_NUM_THREADS=1 $(BIN)/python -m fuzz $(ARGS)

# Known vulnerabilities of what is locked; needs the network. That versions are exact and licences free is tested offline.
audit: $(VENV)/ready
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet --disable-pip-version-check "pip-audit>=2.9,<3"
	build/audit/bin/pip-audit --no-deps --disable-pip --requirement envs/requirements.txt

# Every fault to a tiny study, hundreds of kills: see docs/reliability.md. ARGS="--seed 1 --kills 210 --tries 3"
faults: $(VENV)/ready
	PYTHONPATH="$(CURDIR)/workflow:$(CURDIR)/tests" OMP_NUM_THREADS=1 $(BIN)/python -m faults $(ARGS)

lock:
	bash envs/lock.sh

schema: $(VENV)/ready
	$(BIN)/python -c "import json; from multimep.settings import schema; print(json.dumps(schema(), indent=2))" \
	  > workflow/schemas/config.schema.json
	$(BIN)/python -c "import json; from multimep.twin import schema; print(json.dumps(schema(), indent=2))" \
	  > workflow/schemas/report.schema.json

clean:
	rm -rf $(VENV) results .snakemake site
