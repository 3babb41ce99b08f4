"""Deleting whole traces: the oldest when there are too many, or those the user names."""

from __future__ import annotations

from collections.abc import Callable

from llmflow_web.store.limits import Limits


class Pruner:
    """Finds and deletes the traces the limits no longer allow."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
