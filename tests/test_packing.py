"""Packing against brute force, against known guarantees, and within its limits for any work."""

import math
import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimep.packing import Limits, Packing, PackingError, Piece, Shard, pack, pack_waves

WIDE = Limits(walltime=1e9, memory=80, start=0)
WORK = st.lists(
    st.tuples(st.floats(1, 1000), st.floats(0.5, 80)),
    min_size=1,
    max_size=25,
).map(lambda rows: [Piece(f"p{i}", *row) for i, row in enumerate(rows)])


def pieces_of(*seconds: float, memory: float = 1.0) -> list[Piece]:
    return [Piece(f"p{i}", value, memory) for i, value in enumerate(seconds)]


def drawn(number: int, seed: int, low: float = 1, high: float = 1) -> list[Piece]:
    source = random.Random(seed)
    return [Piece(f"p{i}", source.randint(5, 60), source.uniform(low, high)) for i in range(number)]


def brute_force(pieces: list[Piece], limits: Limits, shards: int) -> float:
    """The shortest longest lane over all assignments that fit into the memory."""
    best, workers = math.inf, limits.workers
    for lanes in product(range(shards * workers), repeat=len(pieces)):
        loads, sizes = [0.0] * shards * workers, [0.0] * shards * workers
        for piece, lane in zip(pieces, lanes, strict=True):
            loads[lane] += piece.seconds
            sizes[lane] = max(sizes[lane], piece.memory)
        if all(sum(sizes[i : i + workers]) <= limits.memory for i in range(0, len(sizes), workers)):
            best = min(best, max(loads))
    return best


def names_of(packing: Packing) -> list[str]:
    return sorted(name for shard in packing.shards for lane in shard.lanes for name in lane)


def check_limits(packing: Packing, pieces: list[Piece], limits: Limits) -> None:
    of = {piece.name: piece for piece in pieces}
    for shard in packing.shards:
        work = [[of[name] for name in lane] for lane in shard.lanes]
        assert len(work) <= limits.workers
        assert sum(max(piece.memory for piece in lane) for lane in work) <= limits.memory * (1 + 1e-8)
        assert shard.seconds == pytest.approx(limits.start + max(sum(p.seconds for p in lane) for lane in work))
        assert shard.seconds <= limits.walltime * (1 + 1e-9) or [len(lane) for lane in work] == [1]
        assert all(list(lane) == sorted(lane, key=lambda name: -of[name].seconds) for lane in shard.lanes)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shards", [2, 3])
def test_lanes_are_as_short_as_the_best_of_all_assignments(seed, shards):
    pieces = drawn(8, seed)
    packing = pack(pieces, WIDE, shards)
    assert packing.makespan <= brute_force(pieces, WIDE, shards) * (1 + 1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_lanes_that_share_memory_are_as_short_as_the_best_of_all_assignments(seed):
    pieces, limits = drawn(7, seed, 10, 70), Limits(1e9, 80, workers=2, start=0)
    packing = pack(pieces, limits, 2)
    best = brute_force(pieces, limits, 2)
    assert best * (1 - 1e-9) <= packing.makespan <= best * (1 + 1e-3)
    assert packing.bound <= best * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shards", [2, 3])
def test_list_scheduling_keeps_grahams_guarantee(seed, shards):
    pieces = drawn(8, seed)
    packing = pack(pieces, WIDE, shards, seconds_to_solve=0)
    assert packing.solver == "LPT"
    assert packing.makespan <= brute_force(pieces, WIDE, shards) * (4 / 3 - 1 / (3 * shards)) * (1 + 1e-9)


def test_the_integer_programme_finds_what_longest_first_and_multifit_miss():
    pieces = drawn(9, 4)
    listed, solved = pack(pieces, WIDE, 3, seconds_to_solve=0), pack(pieces, WIDE, 3)
    assert (listed.solver, solved.solver) == ("LPT", "ILP")
    assert solved.makespan < listed.makespan
    assert solved.gap <= 1e-3


@settings(max_examples=60, deadline=None)
@given(WORK, st.integers(1, 4), st.integers(1, 6))
def test_walltime_and_memory_hold_and_every_piece_stands_once_whatever_the_work(pieces, workers, shards):
    limits = Limits(walltime=900, memory=80, workers=workers, start=30)
    for wanted in (None, shards):
        packing = pack(pieces, limits, wanted, seconds_to_solve=0)
        check_limits(packing, pieces, limits)
        assert names_of(packing) == sorted(piece.name for piece in pieces)
        assert packing.bound <= packing.makespan * (1 + 1e-9)
        assert packing.gap == pytest.approx(max(packing.makespan / packing.bound - 1, 0))


@settings(max_examples=8, deadline=None)
@given(WORK, st.integers(1, 3))
def test_the_integer_programme_keeps_to_the_same_limits(pieces, workers):
    limits = Limits(walltime=2000, memory=80, workers=workers, start=30)
    packing = pack(pieces[:12], limits, 2, seconds_to_solve=1)
    check_limits(packing, pieces[:12], limits)
    assert names_of(packing) == sorted(piece.name for piece in pieces[:12])


@pytest.mark.parametrize("seed", range(3))
def test_without_a_number_there_are_as_few_shards_as_the_walltime_allows(seed):
    pieces, limits = drawn(8, seed), Limits(walltime=130, memory=80, start=10)
    fewest = next(n for n in range(1, 9) if brute_force(pieces, WIDE, n) <= limits.room)
    assert len(pack(pieces, limits).shards) == fewest


def test_pieces_that_fill_the_lanes_exactly_leave_no_gap():
    packing = pack(pieces_of(6, 5, 4, 3, 2, 1, 7), WIDE, 2)
    assert (packing.makespan, packing.gap, packing.bound) == (14, 0, 14)


def test_a_piece_longer_than_the_walltime_is_alone_and_continues_from_its_checkpoint():
    packing = pack(pieces_of(500, 10, 20), Limits(walltime=100, memory=80, workers=2, start=5))
    assert packing.shards[0] == Shard((("p0",),), 505)
    assert len(packing.shards) == 2
    assert packing.gap == 0


def test_more_shards_than_wanted_where_the_walltime_asks_for_them():
    assert len(pack(pieces_of(50, 50, 50), Limits(walltime=70, memory=80, start=10), 1).shards) == 3


def test_thousands_of_pieces_are_balanced_to_a_thousandth():
    source = random.Random(0)
    pieces = [Piece(f"p{i}", source.lognormvariate(4, 1), 8) for i in range(3000)]
    assert pack(pieces, Limits(1e6, 80, workers=2), 16).gap < 2e-3


def test_the_order_of_the_pieces_does_not_matter():
    pieces = drawn(30, 1, 5, 60)
    limits = Limits(1e6, 80, workers=3)
    assert pack(pieces, limits, 4, 0) == pack(random.Random(2).sample(pieces, 30), limits, 4, 0)


def test_nothing_to_do_needs_no_shards():
    assert pack([], WIDE) == Packing((), "LPT", 0, 0)
    assert pack_waves([], WIDE, 4) == []


def test_waves_hold_every_piece_once_and_get_shorter():
    source = random.Random(3)
    pieces = [Piece(f"p{i}", source.lognormvariate(5, 0.5), 8) for i in range(400)]
    waves = pack_waves(pieces, Limits(1e5, 80), 4, seconds_to_solve=0)
    assert sorted(name for wave in waves for name in names_of(wave)) == sorted(piece.name for piece in pieces)
    assert all(len(wave.shards) == 4 for wave in waves)
    assert [wave.makespan for wave in waves[:-1]] == sorted((wave.makespan for wave in waves[:-1]), reverse=True)
    assert len(waves) > 3


@pytest.mark.parametrize(
    ("faulty", "message"),
    [
        (lambda: pack([Piece("large", 1, 90)], WIDE), r"large needs 90 GiB and an allocation has 80: take a GPU"),
        (lambda: pack([Piece("a", 1, 1), Piece("a", 2, 1)], WIDE), "two pieces are called 'a'"),
        (lambda: pack([], WIDE, 0), "shards=0"),
        (lambda: Piece("p", 0, 1), "p: seconds=0 must be positive"),
        (lambda: Piece("p", 1, math.nan), "p: memory=nan must be positive"),
        (lambda: Limits(100, 80, start=100), "start=100 must be"),
        (lambda: Shard((("a", "a"),), 1), "each once"),
        (lambda: pack_waves([], WIDE, 0), "gpus=0"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(faulty, message):
    with pytest.raises(PackingError, match=message):
        faulty()
