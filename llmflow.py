"""LLMFlow's front door: `python llmflow.py`, `llmflow` and `python -m llmflow` start the proxy and the dashboard.

`from llmflow import trace, span, wrap, serve` are the names for programs. Nothing is decided here: the command line
lives in `llmflow_web.app.cli`, the SDK in `llmflow_web.sdk`, the server for programs in `llmflow_web.app.embed`. Each
is imported when it is asked for, so that this file alone can say what it needs.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from llmflow_web.app.embed import Flow, serve
    from llmflow_web.sdk import (
        Span,
        carry,
        configure,
        current_span,
        current_trace_headers,
        flush,
        span,
        stats,
        trace,
        wrap,
    )

__all__ = [
    "Flow",
    "Span",
    "carry",
    "configure",
    "current_span",
    "current_trace_headers",
    "flush",
    "main",
    "serve",
    "span",
    "stats",
    "trace",
    "wrap",
]

_LONE_FILE = (
    "llmflow.py is only the front door and needs the llmflow_web folder beside it; "
    "the build of LLMFlow in a single file is llmflow.pyz."
)
_EMBEDDING = frozenset({"Flow", "serve"})


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'llmflow' has no attribute {name!r}")
    if name in _EMBEDDING:
        from llmflow_web.app import embed as home
    else:
        from llmflow_web import sdk as home  # type: ignore[no-redef]
    value: object = getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


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
