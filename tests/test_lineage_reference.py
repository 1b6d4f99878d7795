"""The published algorithm and the additive null on the authors' splits, against reference runs (seed 0)."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from multimep import ridge, settings, sources
from multimep.dataset import Dataset
from multimep.embedder import Embedder
from multimep.methods import METHODS
from multimep.readers.measurements import Measurement
from multimep.readers.reader import Inputs, Text

ROOT = Path(__file__).parents[1]
MIRROR = ROOT.parent / "shared" / "mirror"

pytestmark = [
    pytest.mark.mirror,
    pytest.mark.skipif(not MIRROR.exists(), reason=f"the mirror of real files ({MIRROR}) is not here"),
]

TRANSMEP = {"A": 0.943, "B": 0.694, "C": 0.713, "D": 0.469, "E": 0.761}
ADDITIVE = {"A": 0.785, "C": 0.571, "D": 0.305, "E": 0.714}


@pytest.fixture(scope="module")
def lineage(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    study = settings.study(yaml.safe_load((ROOT / "workflow/studies/lineage.yaml").read_text()))
    cache = tmp_path_factory.mktemp("cache")
    return {name: sources.collect(name, spec, cache, MIRROR.as_uri(), ROOT)[0] for name, spec in study.datasets.items()}


def _sides(dataset: Dataset) -> tuple[Dataset, Dataset]:
    (column,) = dataset.splits.values()
    mutants = np.array(dataset.variants.mutants)
    return tuple(dataset.select(mutants[np.array(column) == side]) for side in ("train", "test"))  # type: ignore[return-value]


def _r2(y: np.ndarray, mean: np.ndarray) -> float:
    return 1 - float(np.sum((y - mean) ** 2) / np.sum((y - y.mean()) ** 2))


def _no_language_model() -> Embedder:
    def load() -> None:
        raise AssertionError("one-hot input needs no language model")

    return Embedder(load)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TRANSMEP)
def test_transmep_on_one_hot_gives_the_r2_of_the_reference_runs(lineage: dict[str, Dataset], name: str) -> None:
    train, test = _sides(lineage[name])
    repeats = 100 if name in "CD" else 1000  # C and D: 2500 solves of about 50 x 50 for each repeat
    method = METHODS["transmep"](features="one_hot", repeats=repeats)  # type: ignore[call-arg]
    predictor = method.fit([train], _no_language_model(), seed=0)
    found = predictor.predict(test.variants)
    assert _r2(test.fitness, found.mean) == pytest.approx(TRANSMEP[name], abs=0.01)


@pytest.mark.parametrize("name", ADDITIVE)
def test_additive_gives_the_r2_of_the_reference_runs(lineage: dict[str, Dataset], name: str) -> None:
    train, test = _sides(lineage[name])
    found = METHODS["additive"]().fit([train], _no_language_model(), seed=0).predict(test.variants)
    assert _r2(test.fitness, found.mean) == pytest.approx(ADDITIVE[name], abs=0.005)


def test_additive_on_b_as_published_gives_the_reference_r2() -> None:
    """The reference, 0.261, counts four test rows whose genotype also teaches; multimep's split does without them."""
    spec = settings.study(yaml.safe_load((ROOT / "workflow/studies/lineage.yaml").read_text())).datasets["B"]
    files = {role: Text(role, mirrored(file.url).read_bytes()) for role, file in spec.source.files.items()}
    reading = sources.READERS["lineage_b"].read(Inputs("B", files))
    sides = [[row for row in reading.measurements if row.splits["B75"] == side] for side in ("train", "test")]
    mutations = sorted({str(mutation) for row in sides[0] for mutation in row.genotype})
    (x, y), (x_asked, y_asked) = (_rows(side, mutations) for side in sides)
    posterior = ridge.fit(x, y - y.mean())
    assert len(sides[1]) == 36
    assert _r2(y_asked, posterior.predict(x_asked)[0] + y.mean()) == pytest.approx(0.261, abs=0.005)


def mirrored(url: str) -> Path:
    return MIRROR / url.removeprefix("https://")


def _rows(measurements: list[Measurement], mutations: list[str]) -> tuple[np.ndarray, np.ndarray]:
    carried = [{str(mutation) for mutation in row.genotype} for row in measurements]
    table = np.array([[float(mutation in genotype) for mutation in mutations] for genotype in carried])
    return table, np.array([row.fitness for row in measurements])
