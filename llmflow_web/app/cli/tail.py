"""`llmflow tail`: calls as they are committed, from whoever commits them."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from llmflow_web.app.cli.options import Out, add_filter, config_from, ending, out_for, read_args, say_notes
from llmflow_web.app.cli.options import make_parser as make
from llmflow_web.app.cli.render_list import tail_line
from llmflow_web.app.cli.sources import FileSource, Source, server_url
from llmflow_web.app.settings import Config
from llmflow_web.errors import LLMFlowError, StoreRefused
from llmflow_web.model import JSON

DEFAULT_LINES = 10
MAX_LINES = 1000
RETRY_S = 0.5
_KEPT_IDS = 10_000


def make_parser(command: str) -> argparse.ArgumentParser:
    """Make the parser of `tail`."""
    parser = make(
        command,
        "[FILTER ...] [options]",
        "Show calls as they end. Ctrl-C ends it.",
        "llmflow tail",
        "llmflow tail status:error",
        "llmflow tail --json -n 0 | jq -r .model",
    )
    add_filter(parser, has_since=False)
    parser.add_argument(
        "-n", "--lines", metavar="N", type=_lines_of, default=DEFAULT_LINES, help="Begin with the last N calls. [10]"
    )
    parser.add_argument(
        "--running", action="store_true", default=False, help="Calls under way, too, when they begin (a server's)."
    )
    return parser


def _lines_of(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > MAX_LINES:
        raise argparse.ArgumentTypeError(f"a whole number from 0 to {MAX_LINES} is wanted; got {text[:40]!r}")
    return int(text)


def run(command: str, argv: Sequence[str]) -> int:
    """Run `tail` and return the exit code: 0 when it is interrupted, for that is how it ends."""
    options = read_args(make_parser(command), argv)
    config = config_from(options)
    tail = _Tail(config, options, out_for(config, options))
    with suppress(ValueError, AttributeError):  # not the main thread; no such signal here
        signal.signal(signal.SIGTERM, _interrupt)

    def work() -> int:
        say_notes(options.filter, tail.out)
        with suppress(KeyboardInterrupt):
            tail.follow()
        return 0

    return ending(work)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


class _Tail:
    """What has been shown so far, and where more comes from."""

    def __init__(self, config: Config, options: argparse.Namespace, out: Out) -> None:
        self._config = config
        self._options = options
        self.out = out
        self._shown: dict[str, None] = {}
        self._change = -1
        self._said = ""

    def follow(self) -> None:
        """Show what comes, from the server while there is one, else from the file; over and over."""
        while True:
            url = server_url(self._config, self._options)
            if url is not None:
                self._follow_server(url)
            else:
                self._follow_file()
            time.sleep(RETRY_S)

    def _follow_server(self, url: str) -> None:
        from llmflow_web.app.cli.listening import Gone, ServerListener
        from llmflow_web.app.cli.server import ServerSource

        source = ServerSource(url, self._config.token)
        listener = ServerListener(source, self._options.filter)
        try:
            self._begin(source)
            listener.change = self._change
            for event in listener.events():
                self._take(event.op, event.rows)
                self._change = listener.change
        except Gone as gone:
            self._change = max(self._change, listener.change)
            self._say(f"{gone.message}; waiting for it to come back")
        except LLMFlowError:
            if self._change < 0:  # the first contact: whatever it is will not mend itself
                raise
        finally:
            source.close()

    def _follow_file(self) -> None:
        from llmflow_web.app.cli.listening import follow_file

        try:
            source = FileSource(self._config)
        except StoreRefused as refused:
            if self._config.database.exists():
                raise
            self._say(f"{refused.message} Waiting for the first call")
            self._change = 0
            return
        try:
            self._begin(source)
            self._look(follow_file(source, self._options.filter, self._change))
        finally:
            source.close()

    def _look(self, events: Iterator[Any]) -> None:
        """Show what comes into a file until a server takes it over."""
        for event in events:
            self._take(event.op, event.rows)
            if not event.rows and server_url(self._config, self._options) is not None:
                return

    def _begin(self, source: Source) -> None:
        """Show the last calls before what comes, once."""
        if self._change >= 0:
            return
        lines = self._options.lines
        page = source.get("/api/traces", {"filter": self._options.filter, "joined": "0", "limit": str(max(1, lines))})
        self._take("new", list(reversed(page.value[:lines])))
        self._change = page.change

    def _take(self, op: str, rows: Sequence[JSON]) -> None:
        if op != "new" and (op != "running" or not self._options.running):
            return
        for row in rows:
            key = f"{op}:{row['trace_id']}:{row['id']}"
            if key not in self._shown:
                self._shown[key] = None
                self._write(row)
        while len(self._shown) > _KEPT_IDS:
            del self._shown[next(iter(self._shown))]

    def _write(self, row: JSON) -> None:
        self._said = ""
        if self.out.is_json:
            self.out.value(row)
        else:
            self.out.lines([tail_line(row, self.out.width, self.out.paint)])
        sys.stdout.flush()

    def _say(self, sentence: str) -> None:
        if sentence != self._said:
            self._said = sentence
            self.out.note(sentence)
