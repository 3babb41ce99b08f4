"""A database with its threads, and one driven by hand, each in a folder of the test's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from store_help import Hand, Live


@pytest.fixture
def make_hand(tmp_path: Path) -> Iterator[Callable[..., Hand]]:
    made: list[Hand] = []

    def make(**limits: Any) -> Hand:
        folder = tmp_path / f"hand{len(made)}"
        folder.mkdir()
        made.append(Hand(folder, **limits))
        return made[-1]

    yield make
    for hand in made:
        hand.connection.close()


@pytest.fixture
def hand(make_hand: Callable[..., Hand]) -> Hand:
    return make_hand()


@pytest.fixture
def make_live(tmp_path: Path) -> Iterator[Callable[..., Live]]:
    made: list[Live] = []

    def make(path: Path | None = None, **options: Any) -> Live:
        made.append(Live(path or tmp_path / "data" / "llmflow.db", **options).start())
        return made[-1]

    yield make
    for live in made:
        with contextlib.suppress(Exception):
            live.database.close()


@pytest.fixture
def live(make_live: Callable[..., Live]) -> Live:
    return make_live()
