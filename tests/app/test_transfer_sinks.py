"""Lines on their way through a server that is not always well, and a terminal that is not to be touched."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from fake_upstream import CLOSE, FakeUpstream, answer, head_of, wire

from llmflow_web.app.cli import transfer_sinks
from llmflow_web.app.cli.transfer_files import FileLine, batches
from llmflow_web.app.cli.transfer_sinks import ServerSink
from llmflow_web.app.cli.transfer_write import MAX_TOGETHER, OTLP_ROWS, _batches, _Shown
from llmflow_web.app.settings import Config
from llmflow_web.errors import LLMFlowError

DONE = {
    "new": {"spans": 1, "logs": 0, "metrics": 0}, "known": {"spans": 0, "logs": 2, "metrics": 0}, "refused": 1,
    "errors": [{"line": 2, "error": "no"}],
}  # fmt: skip


def sink_at(upstream: FakeUpstream, **settings: object) -> ServerSink:
    return ServerSink(Config(**settings), int(upstream.url.rpartition(":")[2]))  # type: ignore[arg-type]


def test_a_busy_server_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a 503 the same lines are sent again, as late as the server asks; a closed connection is opened anew."""
    pauses: list[float] = []
    monkeypatch.setattr(transfer_sinks.time, "sleep", pauses.append)
    busy = answer(503, [("retry-after", "2")], b'{"error": "full"}')
    done = answer(200, [], json.dumps(DONE).encode())
    with FakeUpstream().script(busy, answer(503, [], b"{}"), done, wire(CLOSE), done) as upstream:
        sink = sink_at(upstream, token="a-long-token-for-tests")
        for _ in range(2):
            outcome = sink.store([b"{}", b"[]"])
            assert (outcome.tally.new["spans"], outcome.tally.known["logs"], outcome.tally.refused) == (1, 2, 1)
            assert outcome.errors == [(1, "no")]
        sink.close()
        assert pauses == [2.0, 1.0]
        assert {request.body for request in upstream.requests if request.is_answered} == {b"{}\n[]"}
        assert {request.header("x-llmflow-token") for request in upstream.requests} == {"a-long-token-for-tests"}


def test_what_the_server_refuses_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that is too long for it is refused; any other answer, and none, ends the import with its reason."""
    monkeypatch.setattr(transfer_sinks.time, "sleep", lambda _: None)
    monkeypatch.setattr(transfer_sinks, "MAX_ATTEMPTS", 2)
    full = answer(503, [], b'{"error": "The disk is full."}')
    with FakeUpstream().script(answer(413, [], b"{}"), answer(404, [], b"nothing"), full, full) as upstream:
        sink = sink_at(upstream)
        outcome = sink.store([b"long"])
        assert (outcome.tally.refused, [index for index, _ in outcome.errors]) == (1, [0])
        with pytest.raises(LLMFlowError, match="answered 404: nothing"):
            sink.store([b"{}"])
        with pytest.raises(LLMFlowError, match="answered 503: The disk is full"):
            sink.store([b"{}"])
        sink.close()
    with FakeUpstream().script(wire(head_of(200, [("content-length", "50")]), b"{", CLOSE)) as upstream:
        sink = sink_at(upstream)
        with pytest.raises(LLMFlowError, match="cannot be reached"):
            sink.store([b"{}"])
        assert "ServerSink 127.0.0.1" in repr(sink)


def test_batches_are_bounded_by_lines_and_bytes() -> None:
    """A batch has at most 500 lines and 4 MiB, a longer line stands alone, none is lost."""
    sizes = [1] * 1200 + [3_000_000, 3_000_000, 9_000_000, 1]
    found = list(batches(FileLine(f"f:{n}", b"x" * size) for n, size in enumerate(sizes)))
    assert [len(batch) for batch in found] == [500, 500, 201, 1, 1, 1]
    assert [line.place for batch in found for line in batch] == [f"f:{n}" for n in range(len(sizes))]


def test_what_belongs_together_is_not_cut_apart() -> None:
    """A batch goes on over its bound while the rows are of one moment, up to a bound of its own."""
    numbers = [0] * (OTLP_ROWS - 1) + [1] * 10 + [2] * (MAX_TOGETHER + 5)
    found = [len(batch) for batch in _batches(numbers, together=lambda number: number)]
    assert found == [OTLP_ROWS + 9, MAX_TOGETHER, 5]
    assert [len(batch) for batch in _batches([3, 3, 3], weigh=lambda n: n * 1024 * 1024)] == [1, 1, 1]


def test_a_terminal_gets_nothing_it_could_act_on() -> None:
    """Control, direction and format characters go to a terminal as JSON's escapes, the rest as it is."""
    stream = io.BytesIO()
    _Shown(stream).write('{"a": "\x9b2J \u202e é 😀 \U000e0041"}\n'.encode())
    shown = stream.getvalue().decode()
    assert shown == '{"a": "\\u009b2J \\u202e é 😀 \\udb40\\udc41"}\n'
    assert json.loads(shown)["a"].endswith("\U000e0041")


def test_nothing_is_left_of_an_export_that_fails(tmp_path: Path) -> None:
    """A file that cannot be made is one sentence, and the old one stays."""
    from llmflow_web.app.cli.transfer_write import output

    (tmp_path / "f").write_text("old")

    def write() -> None:
        with output(str(tmp_path / "f")) as stream:
            stream.write(b"new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("f", "old")]
