# Made by `make lock` from pyproject.toml and the locked requirements; do not edit.
# Module lines for RWTH CLAIX-2023; `source envs/modules-claix.sh` in a login shell, before .venv is made and in each session.
# Not tried on the cluster. What was known when this was written, looked up on 2026-11-22:
#   - modules are EasyBuild's, a toolchain first: https://help.itc.rwth-aachen.de/en/service/rhr4fjjutttf/article/450d33cc19fd4e50b1dd07027e9b55bd/
#     (the site's page on modules; the page itself could not be read, only public notes that cite it)
#   - `module load GCCcore/13.3.0` and `module load Python/3.12.3` stand so in public job scripts for partition c23g;
#     others there use GCCcore/.13.2.0 with Python/3.11.5
#   - which versions are there today: `module spider Python`
# multimep needs Python >= 3.11. It needs no CUDA module: torch 2.13.0 from PyPI brings its own CUDA libraries.
module purge
module load GCCcore/13.3.0
module load Python/3.12.3
python3 -c 'import sys; wanted = "3.11"; found = ".".join(map(str, sys.version_info[:2])); sys.exit(0 if sys.version_info >= tuple(map(int, wanted.split("."))) else f"multimep needs Python >= {wanted}, the modules give {found}")'
