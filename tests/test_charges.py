"""What sacct lists becomes what SLURM charged: every attempt once, whatever became of it."""

from pathlib import Path

import pytest

from multimep import charges
from multimep.charges import Charge, Charges
from multimep.cluster import Cluster

UUID = "3f2a0e5c-1111-4222-8333-0123456789ab"
LISTED = f"""\
1|COMPLETED|3|billing=8,cpu=8,gres/gpu=1,mem=100M,node=1|{UUID}|/study|rule_predict_wildcards_random_x
2|FAILED|2|billing=2,cpu=2,mem=100M,node=1|{UUID}|/study|rule_predict_wildcards_random_y
3|CANCELLED by 0|4|billing=1,cpu=1,gres/gpu=2,mem=100M,node=1|{UUID}|/study|rule_shard_wildcards_0a1b_0
4|PENDING|0||{UUID}|/study|rule_report
5|FAILED|4|billing=1,cpu=1,mem=100M,node=1|multimep|/study|
6|COMPLETED|1|billing=1,cpu=1,mem=100M,node=1|other|/study|
7|COMPLETED|900|billing=1,cpu=1,mem=100M,node=1|{UUID}|/study/another|rule_report
"""  # as sacct of SLURM 22.05 wrote it, but for the folder and the job that waits
SITE = Cluster(price_per_gpu_hour=24.0, price_per_core_hour=1.0, currency="core-h")


def test_a_listing_of_sacct_is_read_attempt_by_attempt_and_other_folders_are_left_out() -> None:
    assert list(charges.charged(LISTED, [Path("/study")])) == [
        Charge("COMPLETED", 3, 8, 1),
        Charge("FAILED", 2, 2),
        Charge("CANCELLED", 4, 1, 2),
        Charge("PENDING", 0, 0),
        Charge("FAILED", 4, 1, driver=True),
    ]


def test_where_a_site_stores_no_comments_the_names_of_the_plugin_tell_its_jobs() -> None:
    silent = "".join(f"{line.rpartition('|')[0]}|\n" for line in LISTED.splitlines())
    assert list(charges.charged(silent, [Path("/study")])) == list(charges.charged(LISTED, [Path("/study")]))


@pytest.mark.parametrize(
    ("resources", "cores", "gpus"),
    [
        ("", 0, 0),
        ("cpu=4,mem=1G,node=1", 4, 0),
        ("cpu=4,gres/gpu=2,gres/gpu:h100=2,node=1", 4, 2),
        ("cpu=4,gres/gpu:a100=1,gres/gpu:h100=2,node=1", 4, 3),
        ("billing=96,cpu=96,gres/gpu=4,gres/gpumem=0,node=1", 96, 4),
    ],
)
def test_gpus_of_a_type_count_once(resources: str, cores: int, gpus: int) -> None:
    assert charges.allocated(resources) == (cores, gpus)


def test_what_was_lost_and_what_the_driver_took_are_told_as_parts_of_the_sum() -> None:
    attempts = list(charges.charged(LISTED, [Path("/study")]))
    whole, lost, driver = charges.sentences(Charges(attempts), SITE)
    # GPU: 3 x 1 + 4 x 2; cores, of attempts without a GPU: 2 x 2 + 4 x 1; (24 x 11 + 8) / 3600 = 0.0756
    assert whole.startswith("SLURM charged 11.0 s of GPU time, 8.0 s of core time, 0.0756 core-h, about ")
    assert whole.endswith("(attempts: 4)")
    assert lost.startswith("of it 8.0 s of GPU time, 4.0 s of core time, 0.0544 core-h")
    assert lost.endswith("for attempts that failed or were cancelled (2)")
    assert driver.startswith("of it no GPU time, 4.0 s of core time")
    assert charges.sentences(Charges(attempts[:1]), SITE)[1:] == []
    assert charges.sentences(Charges(), SITE) == ["SLURM's accounting knows no job of this folder"]


def started(folder: Path, *times: str) -> None:
    logs = folder / ".snakemake" / "log"
    logs.mkdir(parents=True)
    for time in times:
        (logs / f"{time}.snakemake.log").touch()


def sacct(folder: Path, script: str) -> None:
    (folder / "sacct").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "sacct").chmod(0o755)


def test_accounting_is_asked_from_the_first_start_of_snakemake_in_the_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    sacct(tmp_path, 'echo "1|COMPLETED|3|cpu=1|multimep|$STUDY|" && for word; do echo "$word"; done >"$STUDY/words"')
    monkeypatch.setenv("STUDY", str(tmp_path))
    assert "tells since when" in charges.ask([tmp_path]).silence
    started(tmp_path, "2026-11-20T010203.123456", "2025-01-02T235900.000001", "latest")
    assert charges.ask([tmp_path, tmp_path / "absent"]).attempts == (Charge("COMPLETED", 3, 1, driver=True),)
    assert "--starttime=2025-01-02T23:59:00" in (tmp_path / "words").read_text().splitlines()


def test_where_accounting_gives_no_answer_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started(tmp_path, "2026-11-20T010203.123456")
    monkeypatch.setenv("PATH", str(tmp_path))
    absent = "what SLURM charged is not known: no sacct on the PATH"
    assert charges.sentences(charges.ask([tmp_path]), SITE) == [absent]
    sacct(tmp_path, "echo Slurm accounting storage is disabled >&2; exit 1")
    assert charges.ask([tmp_path]) == Charges(silence="sacct failed: Slurm accounting storage is disabled")
    sacct(tmp_path, "exec /bin/sleep 60")
    monkeypatch.setattr(charges, "PATIENCE", 0.2)
    assert "no answer" in charges.ask([tmp_path]).silence
