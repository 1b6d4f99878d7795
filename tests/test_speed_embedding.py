"""The ways that `make bench` times embed the same: nothing here is timed."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from speed import embedding
from speed.__main__ import table
from speed.embedding import AUTOCAST, FACE, OURS, SCRIPT, Cell, mutants, told, ways_of

SEQUENCES = mutants(30, 7)


@pytest.fixture(scope="module")
def results() -> dict[str, np.ndarray]:
    return {name: way(SEQUENCES).numpy() for name, way in ways_of((2, 32, 4), "cpu", halves=True).items()}


def test_every_way_gives_fair_esms_means(results):
    assert {SCRIPT, AUTOCAST, *OURS.values()} <= set(results)
    for name, found in results.items():
        error = np.linalg.norm(found - results[SCRIPT]) / np.linalg.norm(results[SCRIPT])
        assert error <= (1e-5 if "fp32" in name else 2e-2), name


def test_mutants_are_of_one_length_and_differ():
    assert {len(one) for one in SEQUENCES} == {30}
    assert len(set(SEQUENCES)) == 7


@pytest.mark.parametrize("on_gpu", [False, True])
def test_rows_hold_the_ratio_to_every_peer_and_the_share_of_the_matrix_rate(results, on_gpu, monkeypatch):
    monkeypatch.setitem(embedding.SHAPES, "tiny", (2, 32, 4))
    kept = {name: found for name, found in results.items() if name not in FACE.values()}
    seconds = {name: (4.0, 8.0) if name == SCRIPT else (1.0, 1.0) for name in kept}
    cells = [Cell("tiny", 30, 7, seconds, kept)] * 2
    measured = told(cells, {"fp32": 1e9, "bf16": 1e9}, on_gpu=on_gpu)
    script = [row for row in measured.rows if row.peer == SCRIPT and OURS["bf16"] in row.work]
    assert [row.ratio.median for row in script] == [6.0] * 3
    assert script[-1].asked == (10.0 if on_gpu else 4.0)
    # 7 sequences of 32 tokens, 2 layers: 2 x 12 w^2 and 4 w t a token
    assert script[0].share == pytest.approx(7 * 32 * 2 * (24 * 32**2 + 4 * 32 * 32) / 1e9)
    assert any("transformers is not installed" in row.work and math.isnan(row.seconds) for row in measured.rows)
    assert len(table(measured.rows).splitlines()) == 2 + len(measured.rows)
    assert {point.size for point in measured.points} == {30, 12 * 2 * 32**2}
