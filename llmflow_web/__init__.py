"""LLMFlow's server. In a checkout the adapters stand beside this package; in a wheel, inside it."""

from pathlib import Path as _Path

_here = _Path(__file__).parent
if not (_here / "providers").exists() and (_here.parent / "pyproject.toml").exists():
    __path__.append(str(_here.parent))
