#!/usr/bin/env bash
# Makes the locked requirements from pyproject.toml, the one source of versions: `make lock`.
# requirements.txt leaves torch and what torch alone needs to the line `pip install torch==2.13.0`, whose CPU and CUDA
# builds have other dependencies; requirements-cuda.txt is the whole set with the CUDA build of PyPI.
# derived.py then makes the conda file, the Apptainer recipe and the module lines out of them; `envs/lock.sh --derived`
# does that alone, without uv and network (after a new version of multimep), `envs/lock.sh --check` only compares.
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in
  --derived) exec python3 envs/derived.py ;;
  --check) exec python3 envs/derived.py --check ;;
  "") ;;
  *) echo "usage: envs/lock.sh [--derived | --check]" >&2; exit 2 ;;
esac
uv=(uv pip compile pyproject.toml --extra pipeline --group dev --group docs
  --python-version 3.11 --python-platform x86_64-manylinux_2_28 --quiet
  --no-header --no-emit-index-url --no-emit-find-links --no-annotate)
cuda=(torch triton nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft
  nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink
  nvidia-nvshmem-cu13 nvidia-nvtx cuda-bindings cuda-pathfinder cuda-toolkit)
"${uv[@]}" --output-file envs/requirements-cuda.txt
"${uv[@]}" "${cuda[@]/#/--no-emit-package=}" --output-file envs/requirements.txt
sed --in-place '1i # Made by `make lock` from pyproject.toml; do not edit.' envs/requirements.txt envs/requirements-cuda.txt
python3 envs/derived.py
