"""Environments and profiles: versions that cannot drift, generated files, what Snakemake makes of the profiles."""

import dataclasses
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from multimep import __version__
from multimep.cluster import Cluster

ROOT = Path(__file__).parents[1]
ENVS = ROOT / "envs"
PROFILES = ROOT / "profiles"
GENERATED = ("environment.yaml", "multimep.def", "modules-claix.sh")
ON_CLUSTERS = ("claix", "juwels", "slurm")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
CLUSTER_KEYS = {
    "gpu_partition", "gres", "partition", "gpus_per_allocation", "gpu_memory", "walltime", "workers", "cores_per_gpu",
    "watts_per_gpu", "watts_per_core", "price_per_gpu_hour", "price_per_core_hour", "currency",
}  # fmt: skip


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)$", text(path), re.MULTILINE))


def torch_versions(path: Path) -> set[str]:
    return set(re.findall(r"(?<![a-z])torch==([0-9][0-9.]*[0-9])", text(path)))


def conda_packages() -> tuple[list[str], dict[str, str]]:
    """What conda installs and what pip installs in the conda file."""
    entries = yaml.safe_load(text(ENVS / "environment.yaml"))["dependencies"]
    inner = next(entry["pip"] for entry in entries if isinstance(entry, dict))
    return [entry for entry in entries if isinstance(entry, str)], dict(pin.split("==") for pin in inner)


def required() -> list[Requirement]:
    """All that pyproject.toml asks for: to run, for the pipeline, to develop; no peers of `make bench`, no fuzzer."""
    developing = {
        name: group for name, group in PYPROJECT["dependency-groups"].items() if name not in ("bench", "fuzz")
    }
    groups = [*PROJECT["optional-dependencies"].values(), *developing.values()]
    return [Requirement(one) for group in (PROJECT["dependencies"], *groups) for one in group]


def installed(environment: str) -> dict[str, str]:
    """Package and version of everything that an environment installs from an index."""
    if environment == "conda":
        return conda_packages()[1]
    script = text(ROOT / {"cpu": "Makefile", "cuda": "envs/lock.sh", "apptainer": "envs/multimep.def"}[environment])
    locks = {"cpu": ["requirements.txt"], "cuda": ["requirements-cuda.txt"]}
    named = locks.get(environment) or re.findall(r"--requirement /opt/multimep/envs/(\S+)", script)
    assert len(named) == 1
    torch = dict(re.findall(r"pip install (?:\S+ )*\"?(torch)==([0-9.]+)", script)) if environment != "cuda" else {}
    return torch | pins(ENVS / named[0])


def unmet(wanted: list[Requirement], versions: dict[str, str]) -> list[str]:
    """The requirements that these versions leave open, each with the version that is there."""
    there = {canonicalize_name(name): version for name, version in versions.items()}
    found = [(one, there.get(canonicalize_name(one.name), "")) for one in wanted]
    return [
        f"{one}: {version or 'missing'}"
        for one, version in found
        if not version or not one.specifier.contains(version, prereleases=True)
    ]


def settings_of_profile(name: str, key: str) -> dict[str, object]:
    return yaml.safe_load(text(PROFILES / name / f"{key}.yaml"))


@pytest.fixture(scope="module")
def parsed():
    """The options that Snakemake itself reads from a profile, with more arguments as a user types them."""
    snakemake_cli = pytest.importorskip("snakemake.cli")
    pytest.importorskip("snakemake_executor_plugin_slurm")

    def options(name: str, *more: str):
        return snakemake_cli.parse_args(["--workflow-profile", str(PROFILES / name), *more])[1]

    return options


def test_a_locked_package_has_the_same_version_with_and_without_cuda():
    cpu, cuda = pins(ENVS / "requirements.txt"), pins(ENVS / "requirements-cuda.txt")
    assert len(cpu) > 50
    assert {name: cuda.get(name) for name in cpu} == cpu


@pytest.mark.parametrize("environment", ["cpu", "cuda", "conda", "apptainer"])
def test_every_requirement_is_met_by_the_version_that_is_locked(environment):
    assert len(required()) > 30
    assert unmet(required(), installed(environment)) == [], "pyproject.toml was changed: make lock"


def test_a_requirement_that_the_lock_does_not_meet_is_named_with_the_version_that_is_there():
    versions = {"numpy": "2.4.6", "PyYAML": "6.0.3", "torch": "2.13.0"}
    met = [Requirement(one) for one in ("numpy>=2.0", "pyyaml", "torch==2.13.0")]
    assert unmet(met, versions) == []
    drifted = [Requirement(one) for one in ("numpy>=2.5", "pandas>=3.0", "torch==2.13.1", "pyyaml<6")]
    assert unmet(drifted, versions) == [
        "numpy>=2.5: 2.4.6", "pandas>=3.0: missing", "torch==2.13.1: 2.13.0", "pyyaml<6: 6.0.3",
    ]  # fmt: skip


def test_what_only_the_cuda_lock_has_is_torch_and_its_libraries():
    only = pins(ENVS / "requirements-cuda.txt").keys() - pins(ENVS / "requirements.txt").keys()
    assert "torch" in only
    assert all(re.match(r"torch$|triton$|nvidia-|cuda-", name) for name in only), sorted(only)


def test_torch_has_one_version_wherever_it_is_named():
    wanted = {one.removeprefix("torch==") for one in PROJECT["dependencies"] if one.startswith("torch==")}
    assert len(wanted) == 1
    for name in (
        "Makefile",
        "envs/requirements-cuda.txt",
        "envs/environment.yaml",
        "envs/multimep.def",
        "envs/lock.sh",
    ):
        assert torch_versions(ROOT / name) == wanted, name
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ENVS.glob("*.md"), *ROOT.glob(".ci/*")]:
        if page.is_file():
            assert torch_versions(page) <= wanted, page.name


def test_the_lowest_python_is_the_same_everywhere():
    floor = PROJECT["requires-python"].removeprefix(">=")
    assert f"python={floor}" in conda_packages()[0]
    assert re.search(rf"^From: python:{re.escape(floor)}\.\d+-slim", text(ENVS / "multimep.def"), re.MULTILINE)
    assert f"--python-version {floor} " in text(ENVS / "lock.sh")
    assert f"Python >= {floor}" in text(ENVS / "modules-claix.sh")
    assert f"Python >= {floor}" in text(ROOT / "Makefile")
    found = re.search(r"module load Python/(\d+)\.(\d+)", text(ENVS / "modules-claix.sh"))
    assert found is not None
    assert tuple(map(int, found.groups())) >= tuple(map(int, floor.split(".")))


def test_conda_installs_exactly_the_lock_and_torch():
    assert conda_packages()[1].keys() - pins(ENVS / "requirements.txt").keys() == {"torch"}
    assert conda_packages()[1].items() >= pins(ENVS / "requirements.txt").items()


def test_the_recipe_names_the_version_of_the_package_and_only_files_that_exist():
    recipe = text(ENVS / "multimep.def")
    assert f"org.opencontainers.image.version {__version__}\n" in recipe
    copied = re.findall(r"^    (\S+) /opt/multimep/(\S+)$", recipe, re.MULTILINE)
    assert len(copied) >= 5
    assert all(source == target and (ROOT / source).exists() for source, target in copied)


def test_generated_files_are_what_the_templates_and_the_lock_say(tmp_path):
    subprocess.run([sys.executable, ENVS / "derived.py", "--to", tmp_path], check=True)
    for name in GENERATED:
        assert (tmp_path / name).read_bytes() == (ENVS / name).read_bytes(), f"{name}: bash envs/lock.sh --derived"
        assert "Made by `make lock`" in text(ENVS / name).splitlines()[0]


def test_a_drifted_file_is_named_by_the_check(tmp_path):
    for name in ("envs", "pyproject.toml", "workflow/multimep/__init__.py"):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-r", ROOT / name, target], check=True)
    lock = tmp_path / "envs" / "requirements.txt"
    lock.write_text(re.sub(r"^numpy==.*$", "numpy==9.9.9", text(lock), flags=re.MULTILINE), encoding="utf-8")
    done = subprocess.run(["bash", tmp_path / "envs/lock.sh", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "envs/environment.yaml is out of date" in done.stdout
    assert "multimep.def" not in done.stdout


@pytest.mark.parametrize("script", sorted(ENVS.glob("*.sh")), ids=lambda path: path.name)
def test_bash_can_read_the_scripts(script):
    subprocess.run(["bash", "-n", script], check=True)


@pytest.mark.parametrize("name", ON_CLUSTERS)
def test_a_cluster_file_has_every_key_and_its_own_numbers_agree(name):
    cluster = settings_of_profile(name, "cluster")
    assert CLUSTER_KEYS <= cluster.keys() <= {entry.name for entry in dataclasses.fields(Cluster)}
    assert Cluster(**cluster).shared == 1  # nothing shares a GPU before its slowdown was measured there
    assert cluster["gpus_per_allocation"] == int(cluster["gres"].rpartition(":")[2])
    assert cluster["partition"] == settings_of_profile(name, "config")["default-resources"]["slurm_partition"]


@pytest.mark.parametrize("name", ["config", "cluster"])
def test_each_looked_up_fact_of_claix_has_its_day_and_its_whole_address_or_says_that_it_has_none(name):
    lines = text(PROFILES / "claix" / f"{name}.yaml").splitlines()
    facts = [row for row, line in enumerate(lines) if re.search(r"\[(read|cited)[^]]*\]", line) and "]: " not in line]
    assert len(facts) >= 5
    for row in facts:
        notes = re.findall(r"\[(?:read|cited)([^]]*)\]", lines[row])
        assert all(re.match(r", 2026-\d\d-\d\d", note) for note in notes if note), lines[row]
        where = " ".join(lines[row : row + 3])
        assert re.search(r"https://\S+\.\S+/\S+|no page|the same page", where), lines[row]
    assert "/..." not in text(PROFILES / "claix" / f"{name}.yaml")
    assert " .../" not in text(PROFILES / "claix" / f"{name}.yaml")


@pytest.mark.parametrize("name", ON_CLUSTERS)
def test_snakemake_takes_every_option_of_a_profile(parsed, name):
    options = parsed(name)
    assert options.executor == "slurm"
    assert "slurm-array-jobs" not in settings_of_profile(name, "config")  # see docs/cluster.md
    assert options.cores is None  # nothing of profiles/default beside it
    assert options.retries == 3
    assert options.benchmark_extended
    assert not options.configfile  # the command line's would replace it; the Snakefile finds cluster.yaml by itself
