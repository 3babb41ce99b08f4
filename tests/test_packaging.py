"""What is shipped: the wheel and llmflow.pyz, each built and run in an empty environment, beside strangers' packages.

Building needs pip and a package index. Without them the tests are skipped with the reason; where CI is set, they fail.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAX_WHEEL_BYTES = 1250 * 1000
BUILD_TIMEOUT_S = 240

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("packaging")]

# What a user's own project may hold: packages with our rooms' names, which must be neither hidden nor imported.
STRANGERS = ("providers", "tests", "app", "store", "wire")


def run(command: list[str | Path], *, cwd: Path, timeout: float = 60, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LLMFLOW", "COV"))}
    result = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=kept | env, capture_output=True, text=True, timeout=timeout
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result


def build(command: list[str | Path]) -> None:
    """Run a build, or skip where nothing can be built."""
    try:
        run(command, cwd=ROOT, timeout=BUILD_TIMEOUT_S)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"pip cannot build here: {str(error)[-300:]}")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built wheel. A copy is built, because setuptools leaves build/ behind."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns(".*", "venv", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, folder / "source", ignore=ignored)
    build([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder / "out", folder / "source"])
    (path,) = (folder / "out").glob("*.whl")
    return path


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built single file."""
    path = tmp_path_factory.mktemp("pyz") / "llmflow.pyz"
    build([sys.executable, ROOT / "packaging" / "build_pyz.py", "--output", path])
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the scripts folder of an empty environment into which only the wheel was installed."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True, symlinks=os.name != "nt")
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    build([scripts / "python", "-m", "pip", "install", "-q", wheel])
    return scripts


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a user's project folder with packages of its own that end the program when imported."""
    for name in STRANGERS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise SystemExit('the user\\'s own {name} was imported')")
    return tmp_path


def test_the_wheel_is_pure_and_small(wheel: Path) -> None:
    """It runs on any platform and stays below 700 KB."""
    assert wheel.name.endswith("-py3-none-any.whl")
    assert wheel.stat().st_size <= MAX_WHEEL_BYTES


def test_the_wheel_offers_its_plugin_to_pytest(wheel: Path) -> None:
    """Where LLMFlow is installed, pytest finds the fixture for cassettes."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt")]
        assert "[pytest11]\nllmflow = llmflow_web.app.pytest_plugin\n" in archive.read(name).decode()


def test_the_wheel_holds_what_it_should(wheel: Path) -> None:
    """Adapters, dashboard, prices, notices and stubs are inside; no `providers` or `tests` at the top."""
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"llmflow.py", "llmflow_web", "llmflow-stubs"}
    for needed in (
        "llmflow_web/providers/__init__.py",
        "llmflow_web/providers/openai.py",
        "llmflow_web/static/index.html",
        "llmflow_web/data/prices.json.gz",
        "llmflow_web/data/LITELLM-LICENSE",
        "llmflow_web/py.typed",
        "llmflow-stubs/__init__.pyi",
        "llmflow_web/sdk/__init__.py",
    ):
        assert needed in names
    shipped = {path.relative_to(ROOT).as_posix() for path in (ROOT / "llmflow_web").rglob("*") if path.is_file()}
    missing = {name for name in shipped - names if "__pycache__" not in name}
    assert not missing


def test_the_wheel_names_its_three_parts(wheel: Path) -> None:
    """At run time it needs h11 and certifi, and nothing else."""
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    lines = archive.read(metadata).decode().splitlines()
    needed = [line for line in lines if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert sorted(line.split()[1].split("<")[0].split(">")[0] for line in needed) == ["certifi", "h11"]


def test_the_installed_command_runs_the_demo(installed: Path, project: Path) -> None:
    """`llmflow demo --once` records everything, started from a project with its own `providers`."""
    result = run([installed / "llmflow", "demo", "--once"], cwd=project)
    assert "all recorded as sent" in result.stdout


def test_the_installed_module_runs_beside_strangers(installed: Path, project: Path) -> None:
    """`python -m llmflow`, which puts the current folder first on the path, takes nothing from it."""
    result = run([installed / "python", "-m", "llmflow", "demo", "--once"], cwd=project)
    assert "all recorded as sent" in result.stdout


def test_the_installed_package_leaves_the_names_free(installed: Path, project: Path) -> None:
    """After importing everything of ours, `import providers` still finds the user's package."""
    code = (
        "import llmflow, llmflow_web.app.build, llmflow_web.registry, sys\n"
        "assert 'providers' not in sys.modules and 'tests' not in sys.modules\n"
        "import importlib.util\n"
        f"assert importlib.util.find_spec('providers').origin.startswith({str(project)!r})\n"
    )
    run([installed / "python", "-c", code], cwd=project)


def test_the_single_file_runs_the_demo(pyz: Path, project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """llmflow.pyz alone, in an environment without any package, records everything."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    shutil.copy(pyz, project)
    result = run([python, "llmflow.pyz", "demo", "--once"], cwd=project)
    assert "all recorded as sent" in result.stdout
    assert run([python, "llmflow.pyz", "--version"], cwd=project).stdout.startswith("llmflow v")


def test_the_single_file_is_reproducible(pyz: Path, tmp_path: Path) -> None:
    """Built twice, it is the same file, byte for byte."""
    again = tmp_path / "again.pyz"
    build([sys.executable, ROOT / "packaging" / "build_pyz.py", "--output", again])
    assert again.read_bytes() == pyz.read_bytes()


def test_the_single_file_carries_bytecode_and_licences(pyz: Path) -> None:
    """Every module has its bytecode beside it, and the notices of what is inside are kept."""
    names = set(zipfile.ZipFile(pyz).namelist())
    sources = {name for name in names if name.endswith(".py") and name != "__main__.py"}
    assert sources
    assert {name + "c" for name in sources} <= names
    assert any("h11" in name and "LICENSE" in name.upper() for name in names)
    assert any("certifi" in name and "LICENSE" in name.upper() for name in names)
    assert "llmflow_web/data/LITELLM-LICENSE" in names
