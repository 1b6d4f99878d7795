#!/usr/bin/env bash
# Snakemake runs this inside the conda environment that it has just made: multimep itself, from the checkout in which
# Snakemake was started (MULTIMEP_CHECKOUT where that is another folder). Editable, so that new code needs no new environment.
set -euo pipefail
python -m pip install --no-deps --editable "${MULTIMEP_CHECKOUT:-$PWD}"
