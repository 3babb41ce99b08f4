"""What docs/sdk.md shows works as it is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llmflow_web.sdk import flush
from llmflow_web.sdk.settings import settings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "sdk.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
PATIENCE_S = 60.0


@pytest.mark.sdk
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the examples leave closing to the end of the program
@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_an_example(number, sdk, upstream, monkeypatch):
    """Each example runs; only the addresses are those of the test."""
    code = BLOCKS[number].replace("http://localhost:8080", sdk.proxy_url)
    if "openai" in code:
        pytest.importorskip("openai", reason="the openai SDK is not installed")
    code = code.replace("llmflow.serve()", f"llmflow.serve(upstreams={{'openai': {upstream.url!r}}})")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-THISKEYMUSTNOTBESTORED0123456789")
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(code, f"docs/sdk.md, example {number}", "exec"), names)
    assert flush(PATIENCE_S)
    client = names.get("client")
    if client is not None:
        client.close()
    if "redact" in names:
        assert names["redact"]("input", {"q": ["it is 4111111111111111"]}) == {"q": ["it is [card]"]}
    if "answer" in names:
        rows = {row["span_name"] or row["provider"]: row for row in sdk.wait_traces(3)}
        call = next(row for row in rows.values() if row["source"] == "proxy")
        assert (call["parent_id"], call["session_id"]) == (rows["answer"]["id"], "session-7")
        assert rows["search"]["parent_id"] == rows["answer"]["id"]


def test_limits_are_those_of_the_code():
    """The numbers in the page are the code's."""
    from llmflow_web.sdk import capture, delivery

    assert f"batches of up to {delivery.MAX_BATCH_SPANS}" in PAGE
    assert f"{delivery.MAX_WAITING_SPANS:,} spans ({delivery.MAX_WAITING_WEIGHT >> 20} MiB)" in PAGE
    assert f"{capture.MAX_CHARS >> 10} K characters" in PAGE
    assert f"first {capture.MAX_ITEMS:,} entries" in PAGE
    assert (delivery.EXIT_TIMEOUT_S, delivery.LINGER_S, delivery.MAX_PAUSE_S) == (2.0, 1.0, 30.0)


def test_every_field_is_in_the_page():
    """The page names every keyword that a span takes, and every setting."""
    from llmflow_web.sdk import fields

    for name in fields._LABELS | fields._COUNTS | fields._NUMBERS | {"tags", "attributes", "input", "output", "error"}:
        assert f"`{name}`" in PAGE or name == "span_name", name
    for name in ("url", "token", "enabled", "service_name", "capture", "redact"):
        assert name in PAGE
    assert settings is not None
