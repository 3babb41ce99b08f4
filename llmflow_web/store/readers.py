"""Reader threads: read-only connections, a snapshot per question, a time budget, and a way to stop."""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from llmflow_web.errors import BadRequest, LLMFlowError, StoreError
from llmflow_web.store.files import connect
from llmflow_web.store.search import Connection, Texts

_STEPS_BETWEEN_LOOKS = 2000  # SQLite instructions between two looks at the clock: some tens of microseconds


class ReadFuture(Future[Any]):
    """The answer to come. Unlike a plain future it can be cancelled while it is being worked on."""

    def __init__(self) -> None:
        super().__init__()
        self.is_stopped = False

    def cancel(self) -> bool:
        """Stop the query, begun or not."""
        self.is_stopped = True
        return super().cancel()


class _Question:
    __slots__ = ("args", "budget_s", "fn", "future")

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], budget_s: float | None) -> None:
        self.fn = fn
        self.args = args
        self.budget_s = budget_s
        self.future = ReadFuture()


class Readers:
    """Some threads that answer questions from one queue."""

    def __init__(self, path: Path, count: int, name: str, texts: Texts) -> None:
        self._path = path
        self._texts = texts
        self._questions: queue.SimpleQueue[_Question | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"llmflow-{name}-{number}", daemon=True)
            for number in range(1, count + 1)
        ]
        self._current: set[_Question] = set()
        self._is_closed = False
        self._generation = 0  # of the file behind the path

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def ask(self, fn: Callable[..., Any], args: tuple[Any, ...], budget_s: float | None) -> Future[Any]:
        """Queue a question."""
        question = _Question(fn, args, budget_s)
        if self._is_closed:
            question.future.set_exception(StoreError("The database is closed."))
        else:
            self._questions.put(question)
        return question.future

    def renew(self) -> None:
        """There is another file at the path: open it for the questions to come."""
        self._generation += 1

    def close(self, timeout_s: float) -> None:
        """Stop what runs, fail what waits, end the threads."""
        self._is_closed = True
        for question in list(self._current):
            question.future.is_stopped = True
        for _ in self._threads:
            self._questions.put(None)
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        connection: Connection | None = None
        generation = self._generation
        while (question := self._questions.get()) is not None:
            if not question.future.set_running_or_notify_cancel():
                continue
            if self._is_closed:
                question.future.set_exception(StoreError("The database is closed."))
                continue
            self._current.add(question)
            try:
                if connection is not None and generation != self._generation:
                    connection.close()
                    connection = None
                if connection is None:
                    generation = self._generation
                    connection = connect(self._path, is_reader=True)
                    connection.texts = self._texts
                question.future.set_result(_answer(connection, question))
            except BaseException as error:  # noqa: BLE001 - the asker gets it, the thread goes on
                question.future.set_exception(_explain(error, question))
            self._current.discard(question)
        if connection is not None:
            connection.close()


def _answer(connection: Connection, question: _Question) -> Any:
    """Work out one answer, all its statements in one snapshot."""
    deadline = None if question.budget_s is None else time.monotonic() + question.budget_s
    future = question.future

    def is_over() -> bool:
        return future.is_stopped or (deadline is not None and time.monotonic() > deadline)

    connection.set_progress_handler(is_over, _STEPS_BETWEEN_LOOKS)
    connection.execute("BEGIN")
    try:
        return question.fn(connection, *question.args)
    finally:
        connection.set_progress_handler(None, 0)
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _explain(error: BaseException, question: _Question) -> BaseException:
    if isinstance(error, UnicodeEncodeError):
        return BadRequest("What was asked for is not valid text.")
    if isinstance(error, LLMFlowError) or not isinstance(error, sqlite3.Error):
        return error
    if "interrupted" in str(error):
        if question.future.is_stopped:
            said = StoreError("The query was stopped.")
        else:
            said = StoreError(f"The query took longer than {question.budget_s:g} s; narrow the filter or the time.")
    else:
        said = StoreError(f"The database cannot be read: {error}.")
    said.__cause__ = error
    return said
