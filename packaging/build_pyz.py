"""Build dist/llmflow.pyz: LLMFlow with its two dependencies in one file that any Python 3.11+ runs.

    python packaging/build_pyz.py [--output dist/llmflow.pyz]

The same inputs give the same bytes: every entry carries one fixed time, entries are sorted, and bytecode is compiled
unchecked with paths inside the archive. Bytecode lies beside the sources, because a zipapp never writes any and would
compile everything at each start.
"""

from __future__ import annotations

import argparse
import compileall
import py_compile
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIXED_TIME = (2000, 1, 1, 0, 0, 0)
SHEBANG = b"#!/usr/bin/env python3\n"
ENTRY_POINT = """\
import sys

if sys.version_info < (3, 11):
    sys.exit("llmflow.pyz needs Python 3.11 or newer; this is " + sys.version.split()[0])

import llmflow

llmflow.main()
"""
UNUSED = ("bin", "llmflow-stubs", "__pycache__")


def main() -> None:
    """Build the archive and say where it is."""
    parser = argparse.ArgumentParser(description="Build LLMFlow as a single file.")
    parser.add_argument("--output", type=Path, default=ROOT / "dist" / "llmflow.pyz")
    output: Path = parser.parse_args().output
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder, "app")
        install(staged)
        strip(staged)
        compile_all(staged)
        output.parent.mkdir(parents=True, exist_ok=True)
        write_archive(staged, output)
    print(f"{output} ({output.stat().st_size / 1024:.0f} KB)")


def install(target: Path) -> None:
    """Install LLMFlow and what it needs at run time into `target`."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source")
        # setuptools writes build/ and egg-info beside what it builds; a copy keeps the checkout clean.
        shutil.copytree(
            ROOT, source, ignore=shutil.ignore_patterns(".*", "build", "dist", "tests", "venv", "*.egg-info")
        )
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", str(target)]
        subprocess.run([*command, str(source)], check=True)


def strip(target: Path) -> None:
    """Drop what a run never reads; licences and versions stay."""
    for name in UNUSED:
        shutil.rmtree(target / name, ignore_errors=True)
    for folder in target.glob("*.dist-info"):
        for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
            (folder / name).unlink(missing_ok=True)


def compile_all(target: Path) -> None:
    """Write x.pyc beside each x.py, valid whatever the times in the archive say."""
    is_good = compileall.compile_dir(
        target,
        quiet=1,
        legacy=True,
        force=True,
        stripdir=str(target),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    if not is_good:
        sys.exit("some files do not compile")


def write_archive(source: Path, output: Path) -> None:
    """Zip `source` with fixed times in sorted order behind a shebang line."""
    with output.open("wb") as stream:
        stream.write(SHEBANG)
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            add(archive, "__main__.py", ENTRY_POINT.encode())
            for path in sorted(source.rglob("*")):
                if path.is_file():
                    add(archive, path.relative_to(source).as_posix(), path.read_bytes())
    output.chmod(0o755)


def add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Add one file with the fixed time and plain permissions."""
    entry = zipfile.ZipInfo(name, FIXED_TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # Unix, on whatever machine it is built
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data)


if __name__ == "__main__":
    main()
