"""Conservation laws of the replay, and that waves keep GPUs busy where one job per fit does not."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimep.cluster_replay import Cluster, Job, actual, jobs_of, one_by_one, replay
from multimep.packing import Limits, PackingError, Piece, Shard, pack, pack_waves

JOBS = st.lists(
    st.tuples(st.lists(st.lists(st.floats(1, 500), min_size=1, max_size=3), min_size=1, max_size=3), st.integers(1, 3)),
    min_size=1,
    max_size=12,
).map(lambda rows: [Job(f"j{i}", tuple(map(tuple, lanes)), gpus) for i, (lanes, gpus) in enumerate(rows)])


def drawn(number: int, seed: int) -> list[Piece]:
    """Assays of log-normal length and size, as the fine-tunings of one study: seconds ~ residues x rows."""
    source = random.Random(seed)
    lengths = [min(max(source.lognormvariate(5.4, 0.8), 50), 1000) for _ in range(number)]
    rows = [min(max(source.lognormvariate(7.6, 0.9), 100), 2000) for _ in range(number)]
    return [Piece(f"a{i}", 3e-3 * length * row, 12) for i, (length, row) in enumerate(zip(lengths, rows, strict=True))]


@settings(deadline=None)
@given(JOBS, st.integers(3, 8), st.floats(0, 60), st.floats(0, 60))
def test_work_is_conserved_and_no_schedule_beats_the_bound(jobs, gpus, start, launch):
    run = replay(jobs, Cluster(gpus, start, launch))
    assert run.useful == pytest.approx(
        sum(job.gpus * sum(sum(lane) for lane in job.lanes) / len(job.lanes) for job in jobs)
    )
    assert run.busy * gpus * run.makespan == pytest.approx(run.useful)
    assert run.makespan >= run.bound * (1 - 1e-9)
    assert run.busy <= 1 + 1e-9
    assert run.allocated == pytest.approx(sum(job.gpus * (start + job.seconds) for job in jobs))
    assert run.allocated <= gpus * run.makespan * (1 + 1e-9)
    assert run.makespan <= sum(launch + start + job.seconds for job in jobs) * (1 + 1e-9)


@given(JOBS)
def test_one_gpu_takes_the_serial_sum(jobs):
    alone = [Job(job.name, job.lanes) for job in jobs]
    run = replay(alone, Cluster(1, start=60, launch=30))
    assert run.makespan == pytest.approx(sum(90 + job.seconds for job in alone))


@given(JOBS)
def test_a_gpu_for_every_job_takes_as_long_as_the_longest_job(jobs):
    run = replay(jobs, Cluster(sum(job.gpus for job in jobs), start=0, launch=0))
    assert run.makespan == pytest.approx(max(job.seconds for job in jobs))


def test_the_first_job_in_starts_first_even_when_a_later_one_would_fit():
    jobs = [Job("a", ((10.0,),)), Job("wide", ((10.0,),), gpus=2), Job("small", ((5.0,),))]
    assert replay(jobs, Cluster(2, start=0, launch=0)).makespan == 25


def test_a_lane_that_waits_for_a_longer_one_is_not_busy():
    run = replay([Job("pair", ((10.0,), (2.0, 3.0)))], Cluster(1, start=0, launch=0))
    assert (run.makespan, run.useful, run.busy, run.gpu_hours) == (10, 7.5, 0.75, 10 / 3600)


def test_shards_become_jobs_with_the_actual_seconds_of_their_pieces():
    shards = [Shard((("a", "b"), ("c",)), 9), Shard((("d",),), 1)]
    jobs = jobs_of(shards, {"a": 1.0, "b": 2.0, "c": 4.0, "d": 8.0})
    assert [job.lanes for job in jobs] == [((1.0, 2.0), (4.0,)), ((8.0,),)]


def test_one_job_per_fit_is_the_same_work_with_a_start_for_each():
    pieces = drawn(20, 1)
    truth, fits = actual(pieces, 0, 0), {piece.name: 5 for piece in pieces}
    run = replay(one_by_one(truth, fits), Cluster(4))
    assert run.useful == pytest.approx(sum(piece.seconds for piece in pieces))
    assert run.allocated == pytest.approx(run.useful + 100 * 60)


def test_predictions_that_come_true_and_those_that_err_have_the_same_mean():
    pieces = [Piece(f"p{i}", 100, 1) for i in range(20000)]
    assert actual(pieces, 0, 7) == {piece.name: 100 for piece in pieces}
    factors = [seconds / 100 for seconds in actual(pieces, 0.2, 7).values()]
    assert math.fsum(factors) / len(factors) == pytest.approx(1, abs=0.005)
    logs = [math.log(factor) for factor in factors]
    assert math.dist(logs, [math.fsum(logs) / len(logs)] * len(logs)) / math.sqrt(len(logs)) == pytest.approx(0.2, 0.03)


def test_the_factor_of_a_piece_does_not_depend_on_its_neighbours():
    pieces = drawn(10, 1)
    assert actual(pieces[3:4], 0.2, 5).items() <= actual(pieces, 0.2, 5).items()


@pytest.mark.parametrize("gpus", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("sigma", [0.0, 0.2])
def test_waves_keep_gpus_busy_and_end_near_the_bound(gpus, sigma):
    pieces, limits = drawn(868, 2), Limits(24 * 3600, 94)
    truth = actual(pieces, sigma, 0)
    shards = [shard for wave in pack_waves(pieces, limits, gpus, seconds_to_solve=0) for shard in wave.shards]
    run = replay(jobs_of(shards, truth), Cluster(gpus))
    assert run.busy >= 0.85
    assert run.makespan <= 1.1 * run.bound
    alone = replay(one_by_one(truth, {piece.name: 15 for piece in pieces}), Cluster(gpus))
    assert alone.busy < run.busy
    assert alone.gpu_hours > run.gpu_hours


def test_one_shard_per_gpu_is_only_as_even_as_the_predictions():
    pieces, limits, gpus = drawn(868, 2), Limits(1e6, 94), 16
    truth = actual(pieces, 0.2, 0)
    static = replay(jobs_of(pack(pieces, limits, gpus, 0).shards, truth), Cluster(gpus))
    waves = [shard for wave in pack_waves(pieces, limits, gpus, seconds_to_solve=0) for shard in wave.shards]
    assert replay(jobs_of(waves, truth), Cluster(gpus)).makespan < static.makespan


@pytest.mark.parametrize(
    ("faulty", "message"),
    [
        (lambda: replay([], Cluster(1)), "no jobs"),
        (lambda: replay([Job("wide", ((1.0,),), 4)], Cluster(2)), "wide wants 4 GPUs of 2"),
        (lambda: Job("idle", ((),)), "idle: a job needs a piece"),
        (lambda: Job("back", ((-1.0,),)), "back: seconds must be positive"),
        (lambda: Cluster(0), "1 GPU or more"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(faulty, message):
    with pytest.raises(PackingError, match=message):
        faulty()
