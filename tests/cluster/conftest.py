"""The SLURM that these tests run on: the one that answers, or a lab of their own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm_study import ENVIRONMENT, LAB, METHODS, SlurmStudy, make, undisturbed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("MULTIMEP_LONG") != "1":
        for item in items:
            if item.get_closest_marker("cluster_long"):
                item.add_marker(pytest.mark.skip(reason="takes minutes; MULTIMEP_LONG=1 runs it"))


def answers() -> bool:
    """Whether a SLURM is there that has the partitions of the lab."""
    if shutil.which("sinfo") is None:
        return False
    told = subprocess.run(["sinfo", "-h", "-o", "%R"], capture_output=True, text=True, check=False, timeout=120)
    return {"c23ms", "c23g"} <= set(told.stdout.split())


def somebodys(configuration: Path) -> bool:
    """Whether it is there and not that of a lab in the temporary folder, whose daemons may have gone."""
    return configuration.exists() and not configuration.resolve().is_relative_to(Path(tempfile.gettempdir()).resolve())


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A SLURM that runs already is used as it is; a lab that was started here is stopped and removed here."""
    if answers():
        yield
        return
    if "SLURM_CONF" in os.environ or somebodys(Path("/etc/slurm/slurm.conf")):
        pytest.fail("a SLURM is configured here, but the lab's partitions do not answer; no other is started")
    if not LAB.exists():
        pytest.skip(f"no SLURM answers, and what starts one ({LAB}) is not here")
    place = tmp_path_factory.mktemp("slurm")
    for folder in (place, *place.parents[:2]):  # the database runs under a user of its own
        folder.chmod(0o755)
    surroundings = {**ENVIRONMENT, "SLURM_LAB": str(place), "PURGE": "1"}
    try:
        subprocess.run(["bash", str(LAB / "start.sh")], env=surroundings, check=True, timeout=800)
        ENVIRONMENT["SLURM_CONF"] = os.environ["SLURM_CONF"] = str(Path(place, "etc/slurm.conf"))
        yield
    finally:
        subprocess.run(["bash", str(LAB / "stop.sh")], env=surroundings, check=True, timeout=240)


@pytest.fixture
def study(tmp_path: Path) -> SlurmStudy:
    """One training in two folds, on one GPU."""
    return make(tmp_path / "study", METHODS, ["alpha"])


@pytest.fixture(scope="session")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Its predictions, undisturbed."""
    folder = tmp_path_factory.mktemp("expected")
    return undisturbed(make(folder / "study", METHODS, ["alpha"]), folder / "run")
