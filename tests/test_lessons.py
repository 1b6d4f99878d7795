"""Which rows teach, which are kept, and how often each assay is drawn."""

import dataclasses

import numpy as np
import pytest
import torch

from multimep.lessons import Lesson, dealt, draws, lesson_of, shares
from multimep.likelihood import scores


def random() -> np.random.Generator:
    return np.random.default_rng(0)


def lesson(landscape, tiny, rows: int, kept: int = 0, **settings: object) -> Lesson:
    return lesson_of(landscape(rows=rows, **settings), np.arange(kept), tiny, "wild_type")


@pytest.mark.parametrize(("n", "members"), [(24, 5), (3, 2), (3, 5), (100, 3)])
def test_several_members_keep_each_row_exactly_once(n, members):
    parts = dealt(n, members, 0.0, random())
    assert len(parts) == members
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_one_member_keeps_a_share_of_many_rows_and_none_of_few():
    assert [len(part) for part in dealt(40, 1, 0.2, random())] == [8]
    assert [len(part) for part in dealt(19, 1, 0.2, random())] == [0]
    assert [len(part) for part in dealt(40, 1, 0.0, random())] == [0]


def test_rows_that_are_kept_do_not_teach_and_stop_early_only_where_there_are_twenty(landscape, tiny):
    large, small = lesson(landscape, tiny, 30, kept=6), lesson(landscape, tiny, 15, kept=6)
    for one in (large, small):
        assert not set(one.taught) & set(one.kept)
        assert len(one.taught) + len(one.kept) == len(one.targets)
    assert large.watched.tolist() == list(range(6))
    assert small.watched.tolist() == []


def test_rows_that_do_not_differ_teach_nothing(landscape, tiny):
    data = landscape(rows=10)
    constant = dataclasses.replace(data, fitness=np.zeros(10))
    assert lesson(landscape, tiny, 10).teaches
    assert not lesson_of(constant, np.arange(0), tiny, "wild_type").teaches
    assert not lesson(landscape, tiny, 10, kept=9).teaches


def test_a_squared_error_starts_from_the_line_of_the_frozen_scores(landscape, tiny):
    data = landscape(rows=60)
    one = lesson_of(data, np.arange(0), tiny, "masked")
    found = scores(one.frozen, one.exchanges).numpy()
    line = float(one.log_slope.exp()) * found + float(one.offset)
    assert np.mean((line - data.fitness) ** 2) < 1.2 * data.fitness.var()
    assert one.log_slope.dtype == one.offset.dtype == torch.float32


def test_assays_are_drawn_by_the_root_of_their_rows_and_a_protein_s_assays_share(landscape, tiny):
    other = "GSHMLEDPVNWCFTKRAQ"
    three = [
        lesson(landscape, tiny, 100), lesson(landscape, tiny, 36),
        lesson(landscape, tiny, 64, kept=15, wild_type=other),
    ]  # fmt: skip
    np.testing.assert_allclose(shares(three), np.array([10 / 2, 6 / 2, 7]) / 15)
    drawn = [next(i for i, one in enumerate(three) if one is owner) for owner, _ in draws(three, 3000, 8, random())]
    np.testing.assert_allclose(np.bincount(drawn) / 3000, shares(three), atol=0.03)


def test_a_batch_has_distinct_rows_that_teach_in_random_order(landscape, tiny):
    one = lesson(landscape, tiny, 30, kept=4)
    batches = [rows for _, rows in draws([one], 50, 8, random())]
    for rows in batches:
        assert len(set(rows)) == 8
        assert set(rows) <= set(one.taught)
    assert set(np.concatenate(batches)) == set(one.taught)
    assert {len(rows) for _, rows in draws([one], 3, 128, random())} == {26}
