"""Delivery: in batches, in the background, bounded, and silent whatever LLMFlow does."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from fake_upstream import FakeUpstream, answer

from llmflow_web.sdk import configure, delivery, flush, span, stats, trace
from llmflow_web.sdk.delivery import MAX_PAUSE_S, MAX_WAITING_SPANS, MAX_WAITING_WEIGHT, Sender, post_json

PATIENCE_S = 60.0


def wait_until(is_true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.005)


def stored(body: bytes) -> tuple[int, bytes]:
    return 201, json.dumps({"stored": len(json.loads(body)["spans"]), "rejected": 0}).encode()


class Gate:
    """An LLMFlow that answers when it is let."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.counts: list[int] = []

    def post(self, _url: str, _token: str | None, body: bytes) -> tuple[int, bytes]:
        assert self.open.wait(PATIENCE_S)
        self.counts.append(len(json.loads(body)["spans"]))
        return stored(body)


@pytest.fixture
def sender_of() -> Iterator[Callable[..., Sender]]:
    made: list[Sender] = []

    def make(post) -> Sender:
        made.append(Sender(post))
        return made[-1]

    yield make
    for sender in made:
        sender.close(PATIENCE_S)


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nobody listens, and nobody can begin to."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def test_spans_arrive(sdk):
    """What a program traces is a tree in LLMFlow: names, kinds, times, tokens, cost, contents."""

    @span(span_type="tool")
    def search(query):
        return [query]

    with trace("agent", session_id="s-1", user_id="u-1", tags="nightly") as root:
        search("tea")
        with span("ask", span_type="llm", model="gpt-4o-mini", provider="openai") as one:
            one.set(prompt_tokens=1000, completion_tokens=100)
    assert flush(PATIENCE_S)
    rows = {row["span_name"]: row for row in sdk.wait_traces(3)}
    assert {row["trace_id"] for row in rows.values()} == {root.trace_id}
    assert {row["session_id"] for row in rows.values()} == {"s-1"}
    tool = next(row for name, row in rows.items() if name.endswith("search"))
    assert (tool["parent_id"], tool["span_type"]) == (root.id, "tool")
    assert (rows["ask"]["total_tokens"], rows["ask"]["estimated_cost"] > 0) == (1100, True)
    assert rows["agent"]["tags"] == ["nightly"]
    assert rows["agent"]["duration_ms"] >= rows["ask"]["duration_ms"]
    detail = sdk.get(f"/api/traces/{tool['id']}?trace_id={root.trace_id}")
    assert (detail["input"], detail["output"]) == ({"query": "tea"}, ["tea"])
    assert stats()["waiting"] == 0


def test_they_come_by_themselves(sdk):
    """Nobody has to call flush()."""
    with span("alone"):
        pass
    sdk.wait_traces(1)


def test_a_token_is_sent(use_sender, flow_at):
    """A guarded LLMFlow takes spans with the token, and none with a wrong one."""
    flow = flow_at(settings={"token": "token-of-this-test"})
    use_sender(Sender())
    configure(url=flow.dashboard_url, token="token-of-this-test")
    with span("let in"):
        pass
    assert flush(PATIENCE_S)
    configure(token="another-token")
    with span("kept out"):
        pass
    assert not flush(PATIENCE_S)
    assert {"sent": 1, "rejected": 1}.items() <= stats().items()


def test_batches(sender_of):
    """Spans that wait go together, at most MAX_BATCH_SPANS at a time, in their order."""
    gate = Gate()
    sender = sender_of(gate.post)
    for number in range(901):
        sender.put({"id": number}, 10)
    gate.open.set()
    assert sender.flush(PATIENCE_S)
    assert sum(gate.counts) == 901
    assert max(gate.counts) == 200
    assert sender.stats() == {"waiting": 0, "sent": 901, "dropped": 0, "rejected": 0, "failed_attempts": 0}


def test_a_slow_llmflow_holds_nobody_up(use_sender):
    """While LLMFlow does not answer at all, spans begin and end; then all arrive."""
    gate = Gate()
    use_sender(Sender(gate.post))

    @span
    def work(n):
        return n

    assert [work(n) for n in range(500)] == list(range(500))
    assert gate.counts == []
    gate.open.set()
    assert flush(PATIENCE_S)
    assert sum(gate.counts) == 500


def test_memory_is_bounded(sender_of):
    """Beyond a number of spans, or of bytes, new ones are dropped and counted."""
    gate = Gate()
    sender = sender_of(gate.post)
    for number in range(MAX_WAITING_SPANS + 70):
        sender.put({"id": number}, 10)
    assert {"waiting": MAX_WAITING_SPANS, "dropped": 70}.items() <= sender.stats().items()
    heavy = sender_of(gate.post)
    for number in range(10):
        heavy.put({"id": number}, MAX_WAITING_WEIGHT // 4)
    assert {"waiting": 4, "dropped": 6}.items() <= heavy.stats().items()
    gate.open.set()
    assert sender.flush(PATIENCE_S)
    assert heavy.flush(PATIENCE_S)
    sender.put({"id": "later"}, 10)
    assert sender.flush(PATIENCE_S)
    assert sender.stats()["sent"] == MAX_WAITING_SPANS + 1


def test_nobody_is_there(use_sender, nobody, capsys):
    """Without LLMFlow the program runs as ever; spans wait, one line is said, flush() tells and does not hang."""
    use_sender(Sender())
    configure(url=nobody)
    for _ in range(5):
        with span("work"):
            pass
        assert not flush(PATIENCE_S)
    assert {"waiting": 5, "dropped": 0}.items() <= stats().items()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"[llmflow] {nobody} cannot be reached (ConnectionRefusedError)")
    assert "LLMFLOW_SDK=off" in said


def test_llmflow_comes_later(use_sender, nobody, flow):
    """What waited while nobody was there arrives once somebody is."""
    use_sender(Sender())
    configure(url=nobody)
    with span("early"):
        pass
    assert not flush(PATIENCE_S)
    configure(url=flow.dashboard_url)
    with span("late"):
        pass
    assert flush(PATIENCE_S)
    assert {row["span_name"] for row in flow.wait_traces(2)} == {"early", "late"}


@pytest.mark.parametrize("status", [500, 503, 429])
def test_what_passes_is_tried_again(sender_of, status):
    """After an answer that may pass, the very same batch is posted again."""
    answers = [(status, b"busy"), (status, b"busy")]
    bodies = []

    def post(_url, _token, body):
        bodies.append(body)
        return answers.pop() if answers else stored(body)

    sender = sender_of(post)
    sender.put({"id": "a"}, 10)
    while not sender.flush(PATIENCE_S):
        assert len(bodies) <= 3
    assert len(bodies) == 3
    assert len(set(bodies)) == 1
    assert {"sent": 1, "failed_attempts": 2}.items() <= sender.stats().items()


def test_pauses_grow(sender_of, monkeypatch):
    """The pauses between attempts double, up to a limit: there is no storm."""
    pauses: list[float] = []

    def post(*_):
        raise ConnectionRefusedError

    sender = sender_of(post)
    done = threading.Event()

    def rest(pause_s):
        pauses.append(pause_s)
        if len(pauses) < 10:
            return True
        done.set()
        return False

    monkeypatch.setattr(sender, "_rest", rest)
    sender.put({"id": "a"}, 10)
    assert done.wait(PATIENCE_S)
    assert pauses == [0.5, 1, 2, 4, 8, 16, MAX_PAUSE_S, MAX_PAUSE_S, MAX_PAUSE_S, MAX_PAUSE_S]


def test_somebody_else_is_there(use_sender, capsys):
    """Another server at that address gets one batch, which is given up; then there is a long pause."""
    page = answer(200, [("Content-Type", "text/html")], b"<html>not me</html>")
    with FakeUpstream(page) as other:
        use_sender(Sender())
        configure(url=other.url)
        with span("work"):
            pass
        assert not flush(PATIENCE_S)
        wait_until(lambda: stats()["rejected"] == 1)
        with span("more"):
            pass
        assert stats()["waiting"] == 1
        assert len(other.requests) == 1
        assert "does not take spans (status 200)" in capsys.readouterr().err


def test_an_answer_that_breaks_off(use_sender):
    """A connection that ends in the middle of the answer is a failed attempt, no more."""

    def cut(talk):
        talk.body()
        talk.send(b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{")
        talk.close()

    with FakeUpstream(cut) as broken:
        use_sender(Sender())
        configure(url=broken.url)
        with span("work"):
            pass
        assert not flush(PATIENCE_S)
        assert stats()["failed_attempts"] >= 1


def test_refused_spans_are_counted(sdk):
    """What LLMFlow refuses one by one is counted, and the others arrive."""
    from llmflow_web.sdk.settings import settings

    settings.sender.put({"id": "good", "span_name": "good"}, 10)
    settings.sender.put({"id": "bad", "model": ["no", "text"]}, 10)
    assert not flush(PATIENCE_S)
    assert {"sent": 1, "rejected": 1, "failed_attempts": 0}.items() <= stats().items()


def test_a_span_that_cannot_be_prepared(sender_of):
    """One span that fails on its way out does not take the others with it."""
    gate = Gate()
    gate.open.set()
    sender = sender_of(gate.post)

    def prepare(item):
        return {"id": 1 // item["id"]}

    sender.prepare = prepare
    for number in (1, 0, 1):
        sender.put({"id": number}, 10)
    assert not sender.flush(PATIENCE_S)
    assert {"sent": 2, "dropped": 1, "waiting": 0}.items() <= sender.stats().items()


def test_many_threads(sdk):
    """Spans of many threads at once all arrive, each once."""
    begin = threading.Barrier(8)

    def work(number):
        begin.wait()
        for turn in range(50):
            with span(f"{number}/{turn}"):
                pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert flush(PATIENCE_S)
    assert len({row["span_name"] for row in sdk.wait_traces(400)}) == 400


def test_it_may_be_entered_again(sender_of):
    """A signal handler or destructor that ends a span while one is being put does not lock up."""
    gate = Gate()
    gate.open.set()
    sender = sender_of(gate.post)
    with sender._lock:
        sender.put({"id": 1}, 10)
    assert sender.flush(PATIENCE_S)


def test_the_end(sender_of, capsys):
    """close() sends what waits; what comes after is dropped; what could not be sent is told."""
    gate = Gate()
    gate.open.set()
    sender = sender_of(gate.post)
    sender.put({"id": 1}, 10)
    sender.close(PATIENCE_S)
    sender.put({"id": 2}, 10)
    assert {"sent": 1, "dropped": 1, "waiting": 0}.items() <= sender.stats().items()
    assert sender.flush(PATIENCE_S)
    stuck = sender_of(Gate().post)
    stuck._post = lambda *_: (_ for _ in ()).throw(OSError("gone"))
    stuck.put({"id": 1}, 10)
    stuck.close(PATIENCE_S)
    assert {"dropped": 1, "waiting": 0}.items() <= stuck.stats().items()
    assert "1 spans were not delivered" in capsys.readouterr().err


def test_places():
    """A path in LLMFlow's address is kept, and https is https: a certificate nobody vouches for is refused."""
    with FakeUpstream(answer(201, [], b"{}")) as server:
        assert post_json(server.url + "/behind/", None, b"{}") == (201, b"{}")
        assert server.requests[0].path == "/behind/api/spans"
    with FakeUpstream(answer(201, [], b"{}"), tls=True) as server, pytest.raises(ssl.SSLCertVerificationError):
        post_json(server.url, None, b"{}")


def test_limits_are_named():
    """What bounds the SDK's memory and time can be read in one place."""
    assert (delivery.MAX_BATCH_SPANS, delivery.LINGER_S, delivery.EXIT_TIMEOUT_S) == (200, 1.0, 2.0)
