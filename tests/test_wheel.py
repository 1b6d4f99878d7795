"""The wheel: what is in it, and that a clean environment can use it without the checkout."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import multimep

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.workflow


def run(*words: str | Path, cwd: Path) -> str:
    """The output of a process that sees nothing of this one's paths."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(words, check=False, capture_output=True, text=True, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as built from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel; dependencies are this environment's, its editable install is not.

    A .pth file adds a folder to the path, but .pth files inside that folder (the editable install's) are not followed.
    """
    folder = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(folder, with_pip=False)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = ("-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--ignore-installed")
    run(folder / "bin" / "python", *pip, "--prefix", folder, wheel, cwd=folder)
    return folder


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
    package = ROOT / "workflow" / "multimep"
    files = (path.relative_to(package.parent) for path in package.rglob("*") if path.is_file())
    expected = {path.as_posix() for path in files if not {"__pycache__", ".mypy_cache"} & set(path.parts)}
    found = {name for name in names(wheel) if ".dist-info/" not in name}
    assert found == expected
    parts = ("py.typed", "mini/mini.safetensors", "templates/report.html.jinja", "methods/additive.py")
    assert {f"multimep/{part}" for part in parts} <= found


def test_the_wheel_carries_licence_version_and_command(wheel):
    info = f"multimep-{multimep.__version__}.dist-info"
    assert {f"{info}/licenses/LICENSE", f"{info}/entry_points.txt"} <= names(wheel)
    with zipfile.ZipFile(wheel) as archive:
        assert "multimep = multimep.cli:main" in archive.read(f"{info}/entry_points.txt").decode()


def test_the_installed_command_runs_in_a_clean_environment(clean, tmp_path):
    assert run(clean / "bin" / "multimep", "--version", cwd=tmp_path) == f"multimep {multimep.__version__}\n"
    assert "embedding_gp" in run(clean / "bin" / "multimep", "methods", cwd=tmp_path)


def test_the_installed_package_is_its_own_and_brings_mini(clean, tmp_path):
    code = (
        "import multimep; from multimep.language_model import load; model = load('mini');"
        "print(multimep.__file__); print(tuple(model.hidden_states(['MKTAYIAK']).shape) == (1, 8, model.width))"
    )
    place, right = run(clean / "bin" / "python", "-c", code, cwd=tmp_path).splitlines()
    assert Path(place).is_relative_to(clean)
    assert right == "True"


def test_the_installed_report_finds_its_templates(clean, tmp_path):
    code = "from multimep import report; from importlib import resources;"
    code += "print((resources.files('multimep') / 'templates' / 'report.html.jinja').is_file())"
    assert run(clean / "bin" / "python", "-c", code, cwd=tmp_path) == "True\n"
