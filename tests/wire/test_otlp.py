"""OTLP requests: both encodings give the values the official package gives, and nothing that comes in can do harm."""

import base64
import json
import random
import struct

import pytest
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from otlp_official import REQUESTS, SIGNALS, as_json, requests, same, values_of

from llmflow_web.errors import BadRequest, TooLarge
from llmflow_web.wire.otlp import (
    OtlpLimits,
    decode,
    decode_response,
    encode,
    encode_response,
    encode_status,
    sendable,
    storable,
)
from llmflow_web.wire.otlp_values import LogRecord, OtlpMetric, OtlpSpan, Resource, Scope
from llmflow_web.wire.protobuf import LENGTH, VARINT, block, tag_bytes, varint_bytes

MANY = settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck), database=None)
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ONE, TWO, THREE = (tag_bytes(number, LENGTH) for number in (1, 2, 3))
RESPONSES = {
    "traces": ExportTraceServiceResponse,
    "logs": ExportLogsServiceResponse,
    "metrics": ExportMetricsServiceResponse,
}


def dumps(value) -> bytes:
    return json.dumps(value).encode()


def read_json(root, signal="traces", **limits):
    return decode(signal, dumps(root), is_json=True, limits=OtlpLimits(**limits))


def span_json(**members):
    span = {"traceId": TRACE, "spanId": SPAN, "name": "chat"} | members
    return {"resourceSpans": [{"scopeSpans": [{"spans": [{k: v for k, v in span.items() if v is not ...}]}]}]}


def attribute(value):
    """How one AnyValue in JSON reads, as an attribute of a span."""
    return read_json(span_json(attributes=[{"key": "k", "value": value}])).items[0].attributes["k"]


def request_of(*spans: bytes) -> bytes:
    """A protobuf request with these items, of whatever signal."""
    return block(ONE, block(TWO, b"".join(block(TWO, span) for span in spans)))


def span_bytes(more: bytes = b"") -> bytes:
    return block(ONE, bytes.fromhex(TRACE)) + block(TWO, bytes.fromhex(SPAN)) + more


def first_item(message) -> bytes:
    """The first item of an official request, in bytes; b"" if there is none."""
    for group in getattr(message, message.DESCRIPTOR.fields[0].name):
        for inner in getattr(group, group.DESCRIPTOR.fields[1].name):
            for item in getattr(inner, inner.DESCRIPTOR.fields[1].name):
                return item.SerializeToString()
    return b""


# Agreement with the official package


@pytest.mark.parametrize("signal", SIGNALS)
def test_both_encodings_read_as_the_official_package_reads_them(signal):
    """Whatever fields are set: protobuf and OTLP/JSON give the values the official classes hold."""

    @MANY
    @given(requests(signal))
    def agree(message):
        expected = same(values_of(message))
        assert same(decode(signal, message.SerializeToString(), is_json=False).items) == expected
        assert same(decode(signal, dumps(as_json(message)), is_json=True).items) == expected
        named_as_in_proto = json_format.MessageToDict(message, preserving_proto_field_name=True)
        hex_ids = json.loads(dumps(_hex_ids(named_as_in_proto)))
        assert same(read_json(hex_ids, signal).items) == expected

    agree()


def _hex_ids(value):
    if isinstance(value, list):
        return [_hex_ids(entry) for entry in value]
    if isinstance(value, dict):
        ids = {"trace_id", "span_id", "parent_span_id"}
        return {k: base64.b64decode(v).hex() if k in ids else _hex_ids(v) for k, v in value.items()}
    return value


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_official_package_reads_what_is_written(signal):
    """Both encodings written by us hold the same for the official parsers, and for us."""

    @MANY
    @given(requests(signal))
    def agree(message):
        items = decode(signal, message.SerializeToString(), is_json=False).items
        expected = same(values_of(message))
        assert same(values_of(REQUESTS[signal].FromString(encode(signal, items, is_json=False)))) == expected
        written = encode(signal, items, is_json=True)
        assert same(decode(signal, written, is_json=True).items) == expected
        official = json_format.ParseDict(_base64_ids(json.loads(written)), REQUESTS[signal]())
        assert same(values_of(official)) == expected

    agree()


def _base64_ids(value):
    if isinstance(value, list):
        return [_base64_ids(entry) for entry in value]
    if isinstance(value, dict):
        ids = {"traceId", "spanId", "parentSpanId"}
        return {
            k: base64.b64encode(bytes.fromhex(v)).decode() if k in ids else _base64_ids(v) for k, v in value.items()
        }
    return value


@pytest.mark.parametrize("signal", SIGNALS)
def test_messages_merge_as_protobuf_says(signal):
    """Two items' bytes in one message: later scalars win, messages merge, lists grow, the last of a oneof stands."""

    @MANY
    @given(requests(signal), requests(signal))
    def agree(one, other):
        body = request_of(first_item(one) + first_item(other))
        if first_item(one) or first_item(other):
            official = REQUESTS[signal].FromString(body)
            assert same(decode(signal, body, is_json=False).items) == same(values_of(official))

    agree()


# Bodies gone wrong

JSON_BITS = [
    b"null",
    b"[",
    b"{",
    b"}",
    b'"',
    b"1e999",
    b"9" * 30,
    b"-",
    b"true",
    b"\\ud800",
    b'{"values":',
    b"NaN",
    b"\xff",
]


def mutated(body: bytes, dice: random.Random) -> bytes:
    """Flip bits, cut, insert, double or swap pieces: one to four times."""
    data = bytearray(body)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(data) + 1)
        to = min(len(data), at + dice.randint(1, 12))
        kind = dice.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            del data[at:to]
        elif kind == 2:
            data[at:at] = dice.randbytes(dice.randint(1, 12))
        elif kind == 3:
            data[at:at] = data[at:to]
        elif kind == 4:
            data[at:to] = dice.choice(JSON_BITS)
        else:
            del data[at:]
    return bytes(data)


@pytest.mark.parametrize("is_json", [False, True], ids=["protobuf", "json"])
@pytest.mark.parametrize("signal", SIGNALS)
def test_mutated_bodies_are_read_or_refused(signal, is_json):
    """Of 10,200 broken bodies each is Decoded or BadRequest; what was read can be written, and is what others read."""

    @settings(MANY, max_examples=170, derandomize=True)
    @given(requests(signal))
    def harmless(message):
        whole = dumps(as_json(message)) if is_json else message.SerializeToString()
        for seed in range(10):
            body = mutated(whole, random.Random(seed))
            try:
                found = decode(signal, body, is_json=is_json)
            except BadRequest:
                found = None
            if found is not None:
                assert len(found.errors) <= 5
                encode(signal, found.items, is_json=False)
                json.loads(encode(signal, found.items, is_json=True))
            if not is_json:
                compare_with_official(signal, body, found)

    harmless()


def compare_with_official(signal, body, found):
    """What the official parser takes we take, with the same values."""
    try:
        official = REQUESTS[signal].FromString(body)
    except DecodeError:
        return
    if found is None:  # only for being another signal's
        with pytest.raises(BadRequest, match="posted to"):
            decode(signal, body, is_json=False)
    elif (
        not found.rejected
        and b"strindex" not in json_format.MessageToJson(official, preserving_proto_field_name=True).encode()
    ):
        assert same(found.items) == same(values_of(official))


# Depth, size, numbers


def nested_bytes(levels: int, wrap) -> bytes:
    value = block(ONE, b"end")
    for _ in range(levels):
        value = wrap(value)
    return request_of(span_bytes(block(tag_bytes(9, LENGTH), block(ONE, b"k") + block(TWO, value))))


@pytest.mark.parametrize(
    "wrap",
    [lambda value: block(tag_bytes(5, LENGTH), block(ONE, value)),
     lambda value: block(tag_bytes(6, LENGTH), block(ONE, block(ONE, b"k") + block(TWO, value))),
     lambda value: block(tag_bytes(6, LENGTH), block(ONE, block(TWO, value) + block(ONE, b"k")))],
    ids=["lists", "maps", "maps the other way round"],
)  # fmt: skip
def test_protobuf_nested_too_deeply_is_refused(wrap):
    """64 levels are read; 65 and 2,000 are a BadRequest, never a RecursionError; so are more than a lifted limit lets."""
    assert decode("traces", nested_bytes(64, wrap), is_json=False).items
    for levels in (65, 2000):
        with pytest.raises(BadRequest, match="max_depth"):
            decode("traces", nested_bytes(levels, wrap), is_json=False)
    with pytest.raises(BadRequest, match="nested too deeply"):
        decode("traces", nested_bytes(2000, wrap), is_json=False, limits=OtlpLimits(max_depth=10_000))


def test_json_nested_too_deeply_is_refused():
    """64 levels are read; 65, deep unknown members and endless brackets are a BadRequest."""
    opened = '{"kvlistValue":{"values":[{"key":"k","value":{"arrayValue":{"values":['
    body = dumps(span_json(attributes=[{"key": "k", "value": {}}])).decode()

    def nested(pairs):
        return body.replace('"value": {}', '"value": ' + opened * pairs + "{}" + "]}}}]}}" * pairs).encode()

    assert decode("traces", nested(32), is_json=True).items
    with pytest.raises(BadRequest, match="max_depth"):
        decode("traces", nested(33), is_json=True)
    for endless in (nested(20_000), b"[" * 200_000, b'{"a":' * 200_000, b'{"resourceSpans":' + b"[" * 200_000):
        with pytest.raises(BadRequest, match="nested too deeply"):
            decode("traces", endless, is_json=True)
    assert read_json({"unknown": [[[[]]]]}).items == []


def test_what_is_written_is_never_too_deep():
    """A value of any depth is written, and what would be too deep for others is named."""
    value = "end"
    for levels in range(500):
        value = [value] if levels % 2 else {"k": value}
    span = OtlpSpan(Resource(), Scope(), TRACE, SPAN, attributes={"deep": value})
    for is_json in (False, True):
        body = encode("traces", [span], is_json=is_json)
        assert "too deeply" in repr(decode("traces", body, is_json=is_json).items)
    assert values_of(REQUESTS["traces"].FromString(encode("traces", [span], is_json=False)))


def test_limits_are_named():
    """Too many items or parts are a TooLarge that names its limit, before they fill the memory."""
    span = span_bytes()
    assert len(decode("traces", request_of(*[span] * 5), is_json=False, limits=OtlpLimits(max_items=5)).items) == 5
    with pytest.raises(TooLarge, match="max_items"):
        decode("traces", request_of(*[span] * 6), is_json=False, limits=OtlpLimits(max_items=5))
    with pytest.raises(TooLarge, match="max_items"):
        read_json({"resourceSpans": [{"scopeSpans": [{"spans": [{}] * 6}]}]}, max_items=5)
    empty_events = block(tag_bytes(11, LENGTH), b"") * 50
    empty_values = block(tag_bytes(9, LENGTH), block(TWO, block(tag_bytes(5, LENGTH), block(ONE, b"") * 50)))
    for more in (empty_events, empty_values):
        with pytest.raises(TooLarge, match="max_parts"):
            decode("traces", request_of(span_bytes(more)), is_json=False, limits=OtlpLimits(max_parts=40))
    for members in ({"events": [{}] * 50}, {"attributes": [{"value": {"arrayValue": {"values": [{}] * 50}}}]}):
        with pytest.raises(TooLarge, match="max_parts"):
            read_json(span_json(**members), max_parts=40)
    with pytest.raises(TooLarge, match="max_json_brackets"):
        decode("traces", b'{"a":[' + b"{}," * 99 + b"{}]}", is_json=True, limits=OtlpLimits(max_json_brackets=50))


def test_64_bit_numbers_keep_every_digit():
    """Strings and numbers give the same whole number, past 2^53 and up to the last of 64 bits."""
    for number in (1_700_000_000_123_456_789, 2**64 - 1, 0):
        for written in (number, str(number)):
            assert read_json(span_json(startTimeUnixNano=written)).items[0].start_ns == number
    for number in (-(2**63), 2**63 - 1):
        assert attribute({"intValue": str(number)}) == attribute({"intValue": number}) == number
    assert attribute({"intValue": 3.0}) == 3
    assert type(attribute({"doubleValue": 3})) is float


@pytest.mark.parametrize(
    "value",
    [{"intValue": "1.5"}, {"intValue": "9223372036854775808"}, {"intValue": 10**30}, {"intValue": ""}, {"intValue": "0x1"},
     {"intValue": True}, {"intValue": []}, {"intValue": float("nan")}, {"doubleValue": "many"}, {"doubleValue": 10**400},
     {"doubleValue": False}, {"boolValue": "true"}, {"stringValue": 5}, {"bytesValue": "a"}, {"bytesValue": "ü"},
     {"arrayValue": []}, {"arrayValue": {"values": {}}}, {"kvlistValue": {"values": [1]}}, {"kvlistValue": 1}, "text", 5],
    ids=str,
)  # fmt: skip
def test_a_member_of_a_wrong_type_costs_its_span(value):
    """The other spans of the request are kept, and the answer says where the fault is."""
    root = span_json(attributes=[{"key": "k", "value": value}])
    root["resourceSpans"] += span_json()["resourceSpans"]
    found = read_json(root)
    assert [span.name for span in found.items] == ["chat"]
    assert found.rejected == 1
    assert found.errors[0].startswith('Span "chat" was left out: attributes[0]')


def test_a_number_of_ten_thousand_digits_is_refused():
    """json.loads would not read it, and neither do we."""
    with pytest.raises(BadRequest, match="no JSON"):
        decode("traces", b'{"resourceSpans":' + b"9" * 10_000 + b"}", is_json=True)


def test_faults_outside_of_items():
    """A wrong type around the items costs the request, with the path to it."""
    for root, path in [
        ({"resourceSpans": {}}, "resourceSpans must be an array, not an object"),
        ({"resourceSpans": [[]]}, r"resourceSpans\[0\] must be an object, not an array"),
        ({"resourceSpans": [{"resource": {"attributes": [{"key": 1}]}}]},
         r"resourceSpans\[0\].resource.attributes\[0\].key must be a string, not 1"),
        ([], "must be an object, not an array"),
        (None, ": must be an object, not null"),
    ]:  # fmt: skip
        with pytest.raises(BadRequest, match=path):
            read_json(root)


def test_a_bad_metric_or_point_costs_its_points():
    """A point with a fault is left out alone; a metric with a fault with all of its points."""
    points = [{"asInt": "1"}, {"asInt": "x"}, {"asInt": 3}]

    def metrics(*given):
        return {"resourceMetrics": [{"scopeMetrics": [{"metrics": list(given)}]}]}

    found = read_json(metrics({"name": "m", "sum": {"dataPoints": points}}), "metrics")
    assert [point.value for point in found.items[0].points] == [1, 3]
    assert found.rejected == 1
    found = read_json(metrics({"name": "m", "unit": 5, "gauge": {"dataPoints": points}}, {"name": "n"}), "metrics")
    assert [metric.name for metric in found.items] == ["n"]
    assert found.rejected == 3


# Ids


BAD_IDS = ["", "0" * 32, "0af7", "x" * 32, TRACE + "00", ...]


@pytest.mark.parametrize("bad", BAD_IDS, ids=str)
def test_a_span_without_its_ids_is_left_out_by_name(bad):
    """Both ids have to be there, in full and not zero, in JSON and in protobuf; good spans stay."""
    for members, word in (({"traceId": bad}, "trace_id"), ({"spanId": bad}, "span_id")):
        found = read_json(span_json(**members))
        assert (found.items, found.rejected) == ([], 1)
        assert 'Span "chat"' in found.errors[0]
        assert word in found.errors[0]


def test_bad_ids_in_protobuf():
    """A span with an id of the wrong size is left out, and of many such only five are named."""
    name = block(tag_bytes(5, LENGTH), b"chat")
    bad = [
        block(ONE, bytes(16)) + block(TWO, b"12345678"),
        block(ONE, b"abc"),
        block(TWO, b"12345678"),
        span_bytes(block(TWO, b"1")),
    ]
    found = decode("traces", request_of(span_bytes(name), *(one + name for one in bad * 3)), is_json=False)
    assert len(found.items) == 1
    assert found.rejected == 12
    assert len(found.errors) == 5


def test_ids_of_others_are_left_out_alone():
    """A parent, a link, a log record or an exemplar with a bad id stays, without it, and the answer says so."""
    found = read_json(span_json(parentSpanId="77", links=[{"traceId": "zz", "spanId": SPAN.upper()}]))
    assert found.rejected == 0
    assert found.items[0].parent_span_id == ""
    assert (found.items[0].links[0].trace_id, found.items[0].links[0].span_id) == ("", SPAN)
    assert len(found.errors) == 2
    log = block(tag_bytes(9, LENGTH), b"abc") + block(tag_bytes(10, LENGTH), bytes(8)) + block(THREE, b"INFO")
    found = decode("logs", request_of(log), is_json=False)
    assert (found.items[0].trace_id, found.items[0].span_id, found.items[0].severity_text) == ("", "", "INFO")
    assert found.errors == ["A trace_id was left out: it must have 16 bytes (32 hex digits)."]


def test_ids_are_read_in_any_case_and_with_dashes():
    """Upper case and the dashes of a UUID mean nothing."""
    found = read_json(span_json(traceId="0AF76519-16CD-43DD-8448-EB211C80319C", parentSpanId="0" * 16))
    assert (found.items[0].trace_id, found.items[0].parent_span_id) == (TRACE, "")


# What JSON allows, and what people send


def test_enums_by_number_word_and_numeric_text():
    """OTLP writes numbers; words are read too, and unknown numbers are kept."""
    for kind in (3, "3", "SPAN_KIND_CLIENT", 3.0):
        assert read_json(span_json(kind=kind)).items[0].kind == 3
    assert read_json(span_json(kind=77)).items[0].kind == 77
    assert read_json(span_json(status={"code": "STATUS_CODE_ERROR"})).items[0].status_code == 2
    assert read_json(span_json(kind="SPAN_KIND_OF_MAGIC")).rejected == 1
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"severityNumber": "SEVERITY_NUMBER_ERROR2"}]}]}]}
    assert read_json(logs, "logs").items[0].severity_number == 18


def test_values_in_json():
    """Words for NaN and the infinities, base64 of either alphabet, and nothing for null."""
    assert (
        repr([attribute({"doubleValue": word}) for word in ("NaN", "-Infinity", "0.5", 2)]) == "[nan, -inf, 0.5, 2.0]"
    )
    assert [attribute({"bytesValue": text}) for text in ("+/8=", "-_8", "")] == [b"\xfb\xff", b"\xfb\xff", b""]
    assert [attribute(value) for value in (None, {}, {"stringValue": None}, {"unknown": 1})] == [None] * 4
    assert attribute({"arrayValue": {"values": [{"boolValue": False}, None, {}]}}) == [False, None, None]
    assert attribute({"arrayValue": {}}) == []
    assert attribute({"kvlist_value": {"values": [{"key": "a", "value": {"int_value": 1}}, {"key": "b"}]}}) == {
        "a": 1,
        "b": None,
    }


def test_null_and_unknown_members_are_as_if_not_there():
    """Wherever they stand."""
    empty = dict.fromkeys(
        ["attributes", "events", "links", "status", "kind", "flags", "traceState", "startTimeUnixNano"]
    )
    assert read_json(span_json(**empty, unknown=[{"deep": 1}])).items == read_json(span_json()).items
    assert read_json({"resourceSpans": None, "x": 1}).items == read_json({}).items == []


def test_half_a_surrogate_pair_becomes_text():
    """What is no text in UTF-8 is replaced, in both encodings, so that everybody after us can write it; pairs stay."""
    assert attribute({"stringValue": "a\ud800b"}) == "a\ufffdb"
    assert attribute({"stringValue": "🎉"}) == "🎉"
    value = block(tag_bytes(9, LENGTH), block(ONE, b"k\xff") + block(TWO, block(ONE, b"a\xffb")))
    assert decode("traces", request_of(span_bytes(value)), is_json=False).items[0].attributes == {"k\ufffd": "a\ufffdb"}
    raw = dumps(span_json(name="?")).replace(b"?", b"\xff")
    assert decode("traces", raw, is_json=True).items[0].name == "\ufffd"
    span = OtlpSpan(Resource(), Scope(), TRACE, SPAN, name="a\ud800", attributes={"\ud800": "\ud800"})
    for is_json in (False, True):
        assert decode("traces", encode("traces", [span], is_json=is_json), is_json=is_json).items[0].name == "a?"


def test_protobuf_lists_packed_or_not():
    """Bucket counts and bounds are read either way, and both in one message."""
    counts = [1, 2, 2**64 - 1]
    single = b"".join(bytes([6 << 3 | 1]) + struct.pack("<Q", count) for count in counts)
    packed = block(tag_bytes(6, LENGTH), struct.pack("<3Q", *counts))
    bounds = bytes([7 << 3 | 1]) + struct.pack("<d", 0.5) + block(tag_bytes(7, LENGTH), struct.pack("<2d", 1.5, 2.5))
    side = b"".join(bytes([2 << 3 | VARINT]) + varint_bytes(count) for count in counts)
    exponential = block(tag_bytes(8, LENGTH), side + block(TWO, b"\x05\xac\x02"))
    body = request_of(
        block(tag_bytes(9, LENGTH), block(ONE, single + packed + bounds)),
        block(tag_bytes(10, LENGTH), block(ONE, exponential)),
    )
    histogram, other = decode("metrics", body, is_json=False).items
    assert histogram.points[0].bucket_counts == counts * 2
    assert histogram.points[0].explicit_bounds == [0.5, 1.5, 2.5]
    assert other.points[0].positive_counts == [*counts, 5, 300]


def test_fields_in_any_order():
    """A resource that comes after its spans is theirs all the same, in both encodings."""
    scope = block(TWO, block(TWO, span_bytes()) + block(ONE, block(ONE, b"scope")) + block(THREE, b"s-url"))
    body = block(ONE, scope + block(THREE, b"r-url") + block(ONE, block(ONE, block(ONE, b"k"))))
    tree = {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": TRACE, "spanId": SPAN}], "scope": {"name": "scope"},
            "schemaUrl": "s-url"}], "schemaUrl": "r-url", "resource": {"attributes": [{"key": "k"}]}}]}  # fmt: skip
    expected = OtlpSpan(Resource({"k": None}, schema_url="r-url"), Scope("scope", schema_url="s-url"), TRACE, SPAN)
    assert decode("traces", body, is_json=False).items == read_json(tree).items == [expected]


# The wrong door

SAMPLES = {
    "traces": OtlpSpan(Resource(), Scope(), TRACE, SPAN, name="chat gpt", start_ns=1, end_ns=2, attributes={"a": "b"}),
    "logs": LogRecord(Resource(), Scope(), time_ns=1, severity_text="INFO", body="hello", attributes={"a": "b"}),
    "metrics": OtlpMetric(Resource(), Scope(), "gen_ai.client.token.usage", "Tokens", "{token}"),
}


@pytest.mark.parametrize("is_json", [False, True], ids=["protobuf", "json"])
@pytest.mark.parametrize("posted", SIGNALS)
@pytest.mark.parametrize("signal", SIGNALS)
def test_another_signal_is_named(signal, posted, is_json):
    """Logs posted to traces are refused with the path that takes them, whichever of the nine it is."""
    from llmflow_web.wire.otlp_values import DataPoint

    SAMPLES["metrics"].points = [DataPoint(time_ns=1, value=5)]
    body = encode(signal, [SAMPLES[signal]], is_json=is_json)
    if signal == posted:
        assert decode(posted, body, is_json=is_json).items == [SAMPLES[signal]]
    else:
        with pytest.raises(BadRequest, match=f"These are {signal}, posted to /v1/{posted}. Send them to /v1/{signal}."):
            decode(posted, body, is_json=is_json)


@pytest.mark.parametrize("signal", SIGNALS)
def test_no_request_is_taken_for_another(signal):
    """Whatever of its fields an item has, its own door takes it."""

    @MANY
    @given(requests(signal))
    def taken(message):
        decode(signal, message.SerializeToString(), is_json=False)

    taken()


def test_content_types_that_lie():
    """JSON sent as protobuf, protobuf as JSON, and what is still compressed: the refusal says which."""
    for body, is_json, said in [
        (b' {"resourceSpans":[]}', False, "content-type: application/json"),
        (request_of(span_bytes()), True, "content-type: application/x-protobuf"),
        (b"\x1f\x8b\x08\x00", True, "content-encoding: gzip"),
        (b"\x1f\x8b\x08\x00", False, "content-encoding: gzip"),
    ]:
        with pytest.raises(BadRequest, match=said):
            decode("traces", body, is_json=is_json)
    for body, is_json in [(b"hello", False), (b"hello", True), (b'{"a":', True), (b"", True)]:
        with pytest.raises(BadRequest):
            decode("traces", body, is_json=is_json)


@pytest.mark.parametrize("signal", SIGNALS)
def test_nothing_is_something(signal):
    """An empty request is a request."""
    assert decode(signal, b"", is_json=False).items == decode(signal, b"{}", is_json=True).items == []
    assert encode(signal, [], is_json=False) == b""


# Grouping


def test_items_are_written_under_one_resource():
    """Equal resources and scopes are one, the same or not; 1 and True are not equal."""
    spans = [
        OtlpSpan(Resource({"a": value}), Scope(name), TRACE, f"{nth:016x}")
        for nth, (value, name) in enumerate([(1, "x"), (True, "x"), (1, "y"), (1, "x")], start=1)
    ]
    tree = json.loads(encode("traces", spans, is_json=True))["resourceSpans"]
    shape = [[[int(span["spanId"], 16) for span in scope["spans"]] for scope in one["scopeSpans"]] for one in tree]
    assert shape == [[[1, 4], [3]], [[2]]]


def test_what_has_no_place_is_written_as_text():
    """Whole numbers past 64 bits and strange objects become text, tuples become lists."""
    span = OtlpSpan(Resource(), Scope(), TRACE, SPAN, attributes={"big": 2**70, "pair": (1, 2), 5: 1j})
    for is_json in (False, True):
        found = decode("traces", encode("traces", [span], is_json=is_json), is_json=is_json).items[0].attributes
        assert found == {"big": str(2**70), "pair": [1, 2], "5": "1j"}


# Answers


@pytest.mark.parametrize("signal", SIGNALS)
def test_answers(signal):
    """A partial success is what the official package makes of it; full success is nothing at all."""
    assert encode_response(signal, rejected=0, message="", is_json=False) == b""
    assert encode_response(signal, rejected=0, message="", is_json=True) == b"{}"
    for rejected, message in [(3, "too bad"), (0, "a warning"), (2**40, ""), (1, "🎉")]:
        name = {"traces": "rejected_spans", "logs": "rejected_log_records", "metrics": "rejected_data_points"}[signal]
        body = encode_response(signal, rejected=rejected, message=message, is_json=False)
        official = RESPONSES[signal].FromString(body)
        assert getattr(official.partial_success, name) == rejected
        assert official.partial_success.error_message == message
        text = encode_response(signal, rejected=rejected, message=message, is_json=True)
        assert json_format.Parse(text, RESPONSES[signal]()) == official
        assert decode_response(signal, body, is_json=False) == (rejected, message)
        assert decode_response(signal, text, is_json=True) == (rejected, message)


@pytest.mark.parametrize("body", [b"", b"OK", b"<html>", b"[]", b"null", b'{"partialSuccess":null}', b'{"partialSuccess":5}',
                                  b'{"partialSuccess":{"rejectedSpans":"x","errorMessage":5}}', b"\x0a\xff", b"[" * 99_999])  # fmt: skip
def test_an_answer_that_says_nothing(body):
    """Backends answer a success with anything."""
    for is_json in (False, True):
        assert decode_response("traces", body, is_json=is_json) == (0, "")


def test_answers_of_others_are_read():
    """A number where the mapping wants a string, and names as in the .proto."""
    assert decode_response("traces", b'{"partialSuccess":{"rejectedSpans":2}}', is_json=True) == (2, "")
    named = b'{"partial_success":{"rejected_log_records":"2","error_message":"m"}}'
    assert decode_response("logs", named, is_json=True) == (2, "m")


def test_status():
    """The body of a refusal is a google.rpc.Status, in both encodings."""
    official = Status.FromString(encode_status(3, "no such thing", is_json=False))
    assert (official.code, official.message) == (3, "no such thing")
    assert json.loads(encode_status(3, "no", is_json=True)) == {"code": 3, "message": "no"}


# Stored values

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_stored_values_come_back(value):
    """What is stored is strict JSON, and `sendable` gives back what `storable` was given."""
    stored = json.dumps(storable(value), allow_nan=False)
    assert same(sendable(json.loads(stored))) == same(value)


def test_what_only_looks_stored():
    """A map with a text that is no base64 is a map; the three words are numbers."""
    assert sendable({"bytesValue": "not base64!"}) == {"bytesValue": "not base64!"}
    assert sendable({"bytesValue": "AA==", "more": 1}) == {"bytesValue": "AA==", "more": 1}
    assert storable((1, b"\x00")) == [1, {"bytesValue": "AA=="}]
    assert sendable("-Infinity") == float("-inf")
