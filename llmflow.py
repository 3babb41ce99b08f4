"""LLMFlow's front door: `python llmflow.py`, `llmflow` and `python -m llmflow` start the proxy and the dashboard.

Nothing is decided here: the command line lives in `llmflow_web.app.cli`.
"""

from __future__ import annotations

import sys
from typing import NoReturn

__all__ = ["main"]

_LONE_FILE = (
    "llmflow.py is only the front door and needs the llmflow_web folder beside it; "
    "the build of LLMFlow in a single file is llmflow.pyz."
)


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    try:
        from llmflow_web.app.cli import main as run

        run()
    except ModuleNotFoundError as error:
        if error.name not in {"llmflow_web", "h11", "certifi"}:
            raise
        sys.exit(_LONE_FILE if error.name == "llmflow_web" else _missing(error.name))


def _missing(package: str | None) -> str:
    return f"LLMFlow needs the package {package}; install LLMFlow with: python -m pip install ."


if __name__ == "__main__":
    main()
