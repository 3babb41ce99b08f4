"""Secrets in telemetry: what a name or a shape gives away is masked, everything else stays as it was sent."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflow_web.model import Log, Metric
from llmflow_web.record import telemetry_rows
from llmflow_web.record.telemetry_rows import TelemetryRedactor, is_known_clean, redact_attributes

KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"
SECRET = "hushhush-hushhush"


def redacted(attributes: dict, secrets: tuple[bytes, ...] = ()) -> dict:
    return json.loads(redact_attributes(json.dumps(attributes).encode(), secrets))


@pytest.mark.parametrize(
    "name",
    [
        "http.request.header.authorization", "http.request.header.x_api_key", "http.response.header.set-cookie",
        "ai.request.headers.x-session-token", "ai.request.headers.X-Api-Key", "rpc.grpc.request.metadata.api-key",
        "rpc.request.metadata.x-my-secret",
    ],
)  # fmt: skip
def test_headers_by_name(name: str) -> None:
    """An attribute that repeats a credential header is masked, as a text or as a list of them."""
    assert SECRET not in json.dumps(redacted({name: SECRET, "k": 1}))
    assert SECRET not in json.dumps(redacted({name: [SECRET, SECRET]}))
    assert redacted({name: SECRET, "k": [1.5, None, "ü"]})["k"] == [1.5, None, "ü"]


def test_headers_in_an_object() -> None:
    """Headers that came as one object, nested or in a list, are masked by their own names."""
    sent = {"request": {"headers": {"X-Session-Token": SECRET, "accept": "a/b"}}, "calls": [{"http.headers": [{"x-auth": SECRET}]}]}  # fmt: skip
    clean = redacted(sent)
    assert SECRET not in json.dumps(clean)
    assert clean["request"]["headers"]["accept"] == "a/b"


@pytest.mark.parametrize(
    "attributes",
    [
        {"http.request.header.authorization": {"value": SECRET}},
        {"http.request.header.x-api-key": [{"v": [SECRET]}]},
        {"http.request.headers": json.dumps([["authorization", SECRET], ["accept", "a/b"]])},
        {"request.headers": f"{{'accept': 'a/b', 'x-api-key': '{SECRET}', 'authorization': 'Token {SECRET}'}}"},
        {"http.request.headers": [["X-Api-Key", SECRET], "authorization", SECRET]},
        {"process.command_args": ["a/b", f"--api-key={SECRET}", "--auth-token", SECRET]},
        {"process.command_line": f'a/b --header "x-api-key: {SECRET}" --password={SECRET}'},
        {"headers": [{"name": "Authorization", "value": SECRET}, {"key": "accept", "value": "a/b"}]},
        {"OPENAI_API_KEY": SECRET, "aws.secret_access_key": SECRET, "my-private-key": [SECRET], "k": "a/b"},
    ],
)
def test_secrets_with_their_names_in_any_shape(attributes: dict) -> None:
    """Pairs, objects within, texts that print headers, what a program was started with, keys named as such."""
    clean = json.dumps(redacted(attributes))
    assert SECRET not in clean
    assert ("a/b" in clean) == ("a/b" in json.dumps(attributes)), "the rest stays"


@pytest.mark.parametrize(
    "attributes",
    [
        {"process.command_line": "serve --port=30000000 --key-file=/a/bcdefgh", "prompt_cache_key": SECRET},
        {"http.request.header.user-agent": "x", "http.request.header.idempotency-key": SECRET},
        {"gen_ai.usage.input_token": "12", "reader.token": "abc", "llm.metadata.key": "value of no secret"},
        {"headers": "a text", "header": 7, "reader": {"max-token": 9}},
        {},
    ],
)
def test_what_is_no_secret_stays(attributes: dict) -> None:
    """Other headers, tokens that are counts, and words that only sound like it keep their bytes."""
    data = json.dumps(attributes).encode()
    assert redact_attributes(data) is data


def test_shapes_and_known_secrets() -> None:
    """Key shapes are masked wherever they stand, and so is what is known to be secret."""
    clean = redacted({"note": f"with {KEY}", "a": "our-own-token-123"}, (b"our-own-token-123",))
    assert KEY not in clean["note"]
    assert clean["a"] != "our-own-token-123"


def test_cut_attributes_are_masked_by_shape() -> None:
    """What is no JSON, because it was cut, is still looked through."""
    assert KEY.encode() not in redact_attributes(b'{"headers": {"a": "' + KEY.encode())
    assert redact_attributes(b'{"headers":' * 100_000)


@given(
    st.lists(st.sampled_from([*'._-x"{', "eader", "metadata", "command", "key", "KEY", "api"]), max_size=12).map(
        "".join
    )
)
def test_no_hint_is_passed_over(text: str) -> None:
    """Names are looked at wherever one of the words that may give a secret away is in the bytes."""
    hints = ("eader", "metadata.", ".command", '_key"', '_KEY"', '-key"')
    assert telemetry_rows._may_name_secret(text.encode()) == any(hint in text for hint in hints)


def test_remembered_attributes() -> None:
    """Whether short attributes hold a secret is remembered for each set of secrets that are known by value."""
    data = b'{"resource":{"attributes":{"a":"our-own-token-123"}}}'
    for _ in range(2):
        assert is_known_clean(data, ())
        assert not is_known_clean(data, (b"our-own-token-123",))
        assert not is_known_clean(b'{"headers":{"x-auth":"hushhush-hushhush"}}', ())


def test_log_and_metric() -> None:
    """Texts, attributes, resource and detail of a log and a metric are masked; the rows they came in are not changed."""
    resource = {"service.name": "shop", "note": KEY}
    log = Log("l", 1, body=f"uses {KEY}", attributes={"http.request.header.cookie": SECRET}, resource_attributes=resource,
              event_name="e", detail={"body": {"authorization": f"Bearer {KEY}"}})  # fmt: skip
    metric = Metric("m", "s", 1, "tokens", attributes={"k": KEY}, resource_attributes=resource,
                    detail={"exemplars": [{"filtered_attributes": {"k": KEY}}]})  # fmt: skip
    redactor = TelemetryRedactor()
    clean_log, clean_metric = redactor.log(log), redactor.metric(metric)
    for clean in (clean_log, clean_metric):
        assert KEY not in repr(clean)
        assert SECRET not in repr(clean)
        assert clean.resource_attributes["service.name"] == "shop"
    assert clean_log.resource_attributes is clean_metric.resource_attributes, "looked through once"
    assert (clean_log.id, clean_log.event_name, clean_metric.name) == ("l", "e", "tokens")
    assert KEY in repr(log)
    assert KEY in repr(metric)


def test_harmless_rows_keep_their_values() -> None:
    """What holds no secret is not even copied."""
    log = Log("l", 1, body="hello", attributes={"a": 1}, resource_attributes={"b": [1]})
    clean = TelemetryRedactor().log(log)
    assert clean == log
    assert clean.attributes is log.attributes
