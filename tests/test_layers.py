"""Imports run one way. Read with `ast`, so that a lazy import counts as much as one at the top."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
L0 = frozenset({"model", "errors", "provider", "version", "console", "registry"})
ROOMS = frozenset({"sdk", "wire", "net", "store", "record", "routes", "app"})
MAY_IMPORT = {
    "L0": frozenset({"L0"}),
    "sdk": frozenset({"sdk"}),
    "providers": frozenset({"L0", "providers"}),
    "wire": frozenset({"L0", "wire"}),
    "net": frozenset({"L0", "wire", "net"}),
    "store": frozenset({"L0", "wire", "store"}),
    "record": frozenset({"L0", "wire", "store", "record"}),
    "routes": frozenset({"L0", "wire", "net", "store", "record"}),
    "app": frozenset({"L0", "wire", "net", "store", "record", "routes", "app"}),
    "llmflow": frozenset({"L0", "app", "sdk"}),
}
ONLY_IN = {"h11": "net", "ssl": "net", "certifi": "net", "sqlite3": "store"}
NO_ASYNCIO = frozenset({"L0", "sdk", "wire", "store", "providers"})
PURE_RECORD = frozenset({"record/exchange.py", "record/messages.py", "record/pricing.py", "record/redact.py"})
ROUTES_MAY_IMPORT = {"replay": frozenset({"proxy"})}
THIRD_PARTY = frozenset({"h11", "certifi", "brotli"})
LOADED_BY_PYTEST = frozenset({"llmflow_web/app/pytest_plugin.py", "llmflow_web/app/pytest_cassette.py"})


def sources() -> list[Path]:
    return sorted([ROOT / "llmflow.py", *(ROOT / "llmflow_web").rglob("*.py"), *(ROOT / "providers").rglob("*.py")])


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] != "llmflow_web":
        return parts[0]
    return parts[1] if parts[1] in ROOMS else "L0"


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] == "providers":
        parts = ("llmflow_web", *parts)
    return ".".join(parts).removesuffix(".__init__")


def imports_of(path: Path) -> Iterator[str]:
    """Yield every module named in an import anywhere in a file, relative ones resolved."""
    module = module_of(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield name
            # `from llmflow_web import console` names a module too.
            yield from (f"{name}.{alias.name}" for alias in node.names if name == "llmflow_web")


def target_room(module: str) -> str | None:
    """Return the room a module of ours lies in; None for the standard library and packages."""
    parts = module.split(".")
    if parts[0] in {"llmflow", "providers"}:
        return parts[0]
    if parts[0] != "llmflow_web" or len(parts) == 1:
        return None
    if parts[1] == "providers":
        return "providers"
    return parts[1] if parts[1] in ROOMS else "L0"


@pytest.fixture(params=sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def source(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_a_file_imports_only_rooms_below_it(source: Path) -> None:
    """A file imports its own room and those below it, and nothing of ours imports the front door."""
    room = room_of(source)
    for module in imports_of(source):
        target = target_room(module)
        if target is None:
            continue
        is_own_routes = room == target == "routes"
        assert target in MAY_IMPORT[room] or is_own_routes, f"{source.name} ({room}) imports {module} ({target})"


def test_a_routes_file_imports_no_other(source: Path) -> None:
    """A routes file imports no other routes file, `replay` apart."""
    if room_of(source) != "routes" or source.name == "__init__.py":
        return
    found = {m.split(".")[2] for m in imports_of(source) if m.startswith("llmflow_web.routes.")} - {source.stem}
    assert found <= ROUTES_MAY_IMPORT.get(source.stem, frozenset())


def test_io_stays_in_its_room(source: Path) -> None:
    """h11, ssl and certifi are imported only in net, sqlite3 only in store."""
    for module in imports_of(source):
        home = ONLY_IN.get(module.split(".")[0])
        assert home is None or room_of(source) == home, f"{source.name} imports {module}"


def test_asyncio_stays_at_the_rim(source: Path) -> None:
    """No asyncio is imported in L0, wire, store, providers and the pure files of record."""
    is_pure = room_of(source) == "record" and (
        source.relative_to(ROOT / "llmflow_web").as_posix() in PURE_RECORD or source.stem.startswith("semconv")
    )
    if room_of(source) in NO_ASYNCIO or is_pure:
        assert "asyncio" not in {module.split(".")[0] for module in imports_of(source)}


def test_sdk_and_console_stand_alone(source: Path) -> None:
    """The console imports nothing of ours, the sdk nothing but itself and the standard library."""
    if source.stem == "console" and room_of(source) == "L0":
        assert not [module for module in imports_of(source) if target_room(module)]
    if room_of(source) == "sdk":
        tops = {module.split(".")[0] for module in imports_of(source) if target_room(module) != "sdk"}
        assert tops <= sys.stdlib_module_names


def test_only_known_packages_are_imported(source: Path) -> None:
    """At run time nothing but the standard library, h11, certifi and brotli is imported."""
    known = sys.stdlib_module_names | THIRD_PARTY
    if source.relative_to(ROOT).as_posix() in LOADED_BY_PYTEST:
        known = known | {"pytest"}
    for module in imports_of(source):
        top = module.split(".")[0]
        assert target_room(module) or top == "llmflow_web" or top in known, module


def test_adapters_are_named_once() -> None:
    """Only registry.py names `llmflow_web.providers`, and nothing names a bare `providers`."""
    for path in sources():
        text = path.read_text(encoding="utf-8")
        names = [m for m in imports_of(path) if m.split(".")[:2] == ["llmflow_web", "providers"]]
        if room_of(path) != "providers":
            assert not names, path
        assert not [m for m in imports_of(path) if m.split(".")[0] == "providers"], path
        is_registry = path.name == "registry.py"
        assert is_registry or 'import_module("llmflow_web.providers")' not in text, path


def test_no_cycle_inside_a_room() -> None:
    """No module imports, at its top, a module that imports it back."""
    graph = {module_of(path): set(top_imports(path)) for path in sources()}

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " → ".join((*trail, module))
        if module in done:
            return
        for target in graph.get(module, ()):
            if target in graph:
                visit(target, (*trail, module))
        done.add(module)

    done: set[str] = set()
    for name in graph:
        visit(name, ())


def top_imports(path: Path) -> Iterator[str]:
    module = module_of(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            yield ".".join([*base, *([node.module] if node.module else [])])


def test_files_stay_readable() -> None:
    """No shipped Python file is longer than 600 lines."""
    too_long = {p.name: n for p in sources() if (n := len(p.read_text(encoding="utf-8").splitlines())) > 600}
    assert not too_long


def test_bare_providers_is_never_loaded(tmp_path: Path) -> None:
    """With everything imported, from a folder with the user's own `providers`, theirs is not touched."""
    (tmp_path / "providers").mkdir()
    (tmp_path / "providers" / "__init__.py").write_text("raise RuntimeError('the user\\'s own package was imported')")
    code = "import sys; import llmflow_web.app.build, llmflow_web.registry; assert 'providers' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, check=True, timeout=90)
