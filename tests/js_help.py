"""The npm packages that JavaScript programs under test need, installed once and kept outside the repository."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

JS = Path(__file__).resolve().parent / "clients" / "js"
SDK = Path(__file__).resolve().parent.parent / "llmflow_web" / "static" / "sdk" / "llmflow.js"
LOCK = JS / "package-lock.json"
INSTALL_S = 300.0


def installed(factory: pytest.TempPathFactory) -> Path:
    """Return the folder with node_modules: made by `npm ci` if no run before has, and only then put in place."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not both installed")
    made = factory.mktemp("js")
    kept = next((one for one in made.parents if one.name.startswith("pytest-of-")), made.parent)  # the user's alone
    folder = kept / f"llmflow-js-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]}"
    if not folder.exists():
        for name in ("package.json", "package-lock.json"):
            shutil.copy(JS / name, made)
        _install(npm, made)
        try:
            made.rename(folder)
        except OSError:  # another run was faster, or the folder is on another disk
            folder = folder if folder.exists() else made
    return folder


def _install(npm: str, folder: Path) -> None:
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", f"--cache={folder / '.npm'}"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not install the packages within {INSTALL_S} s: no registry?")
    if done.returncode:
        pytest.skip(f"npm cannot install the packages: {done.stderr[-500:]}")
    shutil.rmtree(folder / ".npm", ignore_errors=True)
