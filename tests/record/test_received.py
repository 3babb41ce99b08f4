"""An OTLP request becomes rows: one bad record costs itself, a bad body the request, and nothing else comes out."""

import gzip

import pytest

from llmflow_web.errors import BadRequest, Busy, TooLarge
from llmflow_web.record import received as module
from llmflow_web.record.received import MAX_ERRORS, Received, received
from llmflow_web.wire import otlp
from llmflow_web.wire.otlp_values import DataPoint, LogRecord, OtlpMetric, OtlpSpan, Resource, Scope

NOW_NS = 1_763_800_000_000_000_000
LIMIT = 1 << 20


def span(n: int, **more) -> OtlpSpan:
    return OtlpSpan(
        Resource(), Scope(), trace_id="ab" * 16, span_id=f"{n + 1:016x}", name=f"s{n}", start_ns=NOW_NS, **more
    )


def read(signal: str, items: list, codings: tuple[str, ...] = (), pack=bytes, *, is_json: bool = False) -> Received:
    body = pack(otlp.encode(signal, items, is_json=is_json))
    return received(signal, body, codings, is_json=is_json, limit=LIMIT, now_ns=NOW_NS)


def items_of(found: Received) -> list:
    return [item for piece in found.pieces for item in piece.items]


@pytest.mark.parametrize("is_json", [True, False])
def test_rows_in_order(is_json: bool) -> None:
    """Rows come in the order of their spans, in pieces with weights; pending spans make none."""
    spans = [*(span(n) for n in range(250)), span(999, attributes={"logfire.span_type": "pending_span"})]
    found = read("traces", spans, ("gzip",), gzip.compress, is_json=is_json)
    assert [row.span.span_name for row in items_of(found)] == [f"s{n}" for n in range(250)]
    assert len(found.pieces) == 2
    assert found.weight == sum(piece.weight for piece in found.pieces) >= 250 * 1024
    assert (found.rejected, found.message) == (0, "")


def test_alike_records_are_numbered() -> None:
    """Log records that are alike get ids of their own, the same when they are sent again."""
    record = LogRecord(Resource(), Scope(), body="hello")
    other = LogRecord(Resource(), Scope(), body="hello", severity_number=9)
    ids = [log.id for log in items_of(read("logs", [record, other, record, record]))]
    assert len(set(ids)) == 4
    assert ids == [log.id for log in items_of(read("logs", [record, other, record, record]))]
    assert ids[0] == items_of(read("logs", [record]))[0].id


def test_missing_times_are_the_arrival() -> None:
    """What has no time was there when it came."""
    assert items_of(read("logs", [LogRecord(Resource(), Scope(), body="x")]))[0].time_ns == NOW_NS
    late = OtlpSpan(Resource(), Scope(), trace_id="ab" * 16, span_id="cd" * 8)
    assert items_of(read("traces", [late]))[0].span.start_ns == NOW_NS


def test_record_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record the conventions stumble over is counted and named; the others are kept."""
    true = module.row_from_otlp

    def stumbling(one: OtlpSpan, **more):
        if one.name.startswith("bad"):
            raise KeyError("odd")
        return true(one, **more)

    monkeypatch.setattr(module, "row_from_otlp", stumbling)
    bad = [span(n) for n in range(10)]
    for one in bad:
        one.name = "bad" + one.name
    found = read("traces", [*bad, span(11)])
    assert [row.span.span_name for row in items_of(found)] == ["s11"]
    assert found.rejected == 10
    assert found.message.count(";") == MAX_ERRORS - 1
    assert "'bads0'" in found.message

    def points(*_: object, **__: object) -> list:
        raise ValueError("odd")

    monkeypatch.setattr(module, "metrics_from_otlp", points)
    metric = OtlpMetric(Resource(), Scope(), name="n", points=[DataPoint(value=1), DataPoint(value=2)])
    assert read("metrics", [metric]).rejected == 2


def test_body_is_kept_where_it_is_wanted() -> None:
    """Who wants to send a request on gets it as it was before it was packed, and it is weighed."""
    body = otlp.encode("traces", [span(1), span(2)], is_json=False)
    plain = received("traces", body, (), is_json=False, limit=LIMIT, now_ns=NOW_NS)
    told = {"is_json": False, "limit": LIMIT, "now_ns": NOW_NS, "is_body_kept": True}
    kept = received("traces", gzip.compress(body), ["gzip"], **told)
    assert (plain.body, kept.body, kept.count) == (b"", body, 2)
    assert kept.weight == plain.weight + len(body)


@pytest.mark.parametrize(("error", "told"), [(KeyError("x"), BadRequest), (MemoryError(), Busy)])
def test_decoder_that_stumbles(error: Exception, told: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect in reading a body is the body's, for who sent it; a want of memory passes."""

    def stumbling(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(module, "decode", stumbling)
    with pytest.raises(told):
        received("traces", b"x", (), is_json=False, limit=LIMIT, now_ns=NOW_NS)


def test_bodies_that_are_none() -> None:
    """Garbage, cut and oversized packings are refused as a whole; an empty body is an empty request."""
    for is_json in (True, False):
        assert received("traces", b"", (), is_json=is_json, limit=LIMIT, now_ns=NOW_NS).pieces == []
        with pytest.raises(BadRequest):
            received("traces", b"\xff\xff", (), is_json=is_json, limit=LIMIT, now_ns=NOW_NS)
    with pytest.raises(TooLarge):
        received("traces", gzip.compress(b" " * (LIMIT + 1)), ("gzip",), is_json=True, limit=LIMIT, now_ns=NOW_NS)
