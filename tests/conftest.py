"""What several rooms' tests share: a tiny random language model, and additive landscapes.

With MULTIMEP_SHAPES=1 every shape and type in the package's signatures is checked while the tests run (jaxtyping with
beartype): `MULTIMEP_SHAPES=1 pytest`. It is off by default, for it makes the tests several times as slow. Tests that
give a function wrong shapes or types on purpose are marked `wrong_shapes` and left out then, for the hook is first to
refuse them.
"""

import os
from collections.abc import Callable, Iterator
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

if os.environ.get("MULTIMEP_SHAPES") == "1":
    from typing import runtime_checkable

    from jaxtyping import install_import_hook

    package = Path(__file__).parents[1] / "workflow"
    names = [".".join(path.relative_to(package).with_suffix("").parts) for path in package.rglob("multimep/**/*.py")]
    # no methods/__init__.py: a protocol with an attribute, as Method is one, cannot be checked for classes
    hooked = [name for name in names if not name.endswith(("__init__", "__main__"))]
    install_import_hook(hooked, "beartype.beartype")

    from multimep.schemes import Scheme

    runtime_checkable(Scheme)  # else beartype cannot check what returns one

    from multimep import chosen_model, embedder, embeddings, store_making
    from multimep.language_model import BatchSize, LanguageModel

    for room in (chosen_model, embedder, embeddings, store_making):  # they import it for type checkers alone
        room.LanguageModel = LanguageModel  # type: ignore[attr-defined]
    for room in (embedder, store_making):
        room.BatchSize = BatchSize  # type: ignore[attr-defined]

import esm
import torch

from local_server import Server
from multimep import checkpoints, language_model
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.language_model import LanguageModel
from multimep.mutations import AMINO_ACIDS

WILD_TYPE = "MKTAYIAKQRQISFVKSH"
SITES = (2, 4, 7, 9, 12, 15)
LONGEST = {"cluster": 0, "workflow": 1}
FINISHED_STUDY = ("workflow/test_increment.py", "workflow/test_river.py")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "wrong_shapes: gives wrong shapes on purpose; not run with MULTIMEP_SHAPES=1")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """With --dist loadfile, files that share a costly fixture count as one file."""
    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


class Scheduling(LoadFileScheduling):
    """A file's tests in one process; those of the finished study too, which two processes would run twice."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return "finished study" if file.endswith(FINISHED_STUDY) else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Whole studies first: they mostly wait, and one that begins last is waited for by all.
    items.sort(key=lambda item: LONGEST.get(item.path.parent.name, len(LONGEST)))
    if os.environ.get("MULTIMEP_SHAPES") == "1":
        for item in items:
            if item.get_closest_marker("wrong_shapes"):
                item.add_marker(pytest.mark.skip(reason="MULTIMEP_SHAPES=1: the hook refuses wrong shapes first"))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an ESM-2 model of 2 layers, width 16 and 2 heads with random weights."""
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        checkpoints.write(esm.ESM2(num_layers=2, embed_dim=16, attention_heads=2), path, "tiny")
    return path


@pytest.fixture(scope="session")
def tiny(checkpoint: Path) -> LanguageModel:
    """The language model in `checkpoint`."""
    return language_model.load(str(checkpoint))


@pytest.fixture(scope="session")
def embedder(tiny: LanguageModel) -> Embedder:
    """A door to `tiny` without any store."""
    return Embedder(lambda: tiny)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that sends `local_server.CONTENT` until a test gives it another answer."""
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


@pytest.fixture(scope="session")
def landscape() -> Callable[..., Dataset]:
    """Makes additive landscapes: `landscape("name", rows=60, seed=0)`."""
    return additive_landscape


def additive_landscape(
    name: str = "first", rows: int = 60, seed: int = 0, wild_type: str = WILD_TYPE, noise: float = 0.1
) -> Dataset:
    """Double and triple mutants of 12 mutations at six sites; effects add up, plus noise of standard deviation 0.1."""
    random = np.random.default_rng(seed)
    choices = {site: _two_substitutes(wild_type[site - 1], random) for site in SITES}
    effect = {(site, letter): random.normal() for site, letters in choices.items() for letter in letters}
    genotypes = [
        tuple(zip(sites, letters, strict=True))
        for depth in (2, 3)
        for sites in combinations(SITES, depth)
        for letters in product(*(choices[site] for site in sites))
    ]
    chosen = [genotypes[row] for row in random.permutation(len(genotypes))[:rows]]
    mutants = tuple(":".join(f"{wild_type[site - 1]}{site}{letter}" for site, letter in one) for one in chosen)
    fitness = np.array([sum(effect[mutation] for mutation in one) for one in chosen]) + noise * random.normal(size=rows)
    return Dataset(Variants(name, wild_type, mutants), fitness, np.full(rows, np.nan), np.ones(rows, np.int64))


def _two_substitutes(reference: str, random: np.random.Generator) -> list[str]:
    others = [letter for letter in AMINO_ACIDS if letter != reference]
    return [str(letter) for letter in random.choice(others, size=2, replace=False)]
