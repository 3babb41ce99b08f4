"""Budgets in a whole LLMFlow: real sockets, real streams, a real file."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from fake_upstream import HANG, FakeUpstream, answer, stream, wire

import llmflow
from llmflow_web.errors import ConfigError

PATIENCE_S = 60.0
MODEL = "gpt-4o-mini"
INPUT_USD, OUTPUT_USD = 0.15e-6, 0.6e-6  # a token of gpt-4o-mini
ASKED = {"model": MODEL, "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
_OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url: str, body: object = None, method: str | None = None, **headers: str):
    """Send JSON past any proxy; return (status, headers, parsed body or None)."""
    data = None if body is None else json.dumps(body).encode()
    given = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    request = urllib.request.Request(url, data, given, method=method)
    try:
        with _OPEN.open(request, timeout=PATIENCE_S) as found:
            text = found.read()
            return found.status, found.headers, json.loads(text) if text[:1] in b"[{" and text else text
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, json.loads(error.read())


def chat(flow, body: object = ASKED, **headers: str):
    return ask(flow.openai_base_url + "/chat/completions", body, **headers)


def answered(prompt: int = 10, completion: int = 10):
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    choice = {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}
    return answer(body=json.dumps({"id": "c", "model": MODEL, "choices": [choice], "usage": usage}).encode())


def streamed(prompt: int, completion: int, gap_s: float = 0.0):
    head = {"id": "c", "object": "chat.completion.chunk", "model": MODEL}
    delta = {**head, "choices": [{"index": 0, "delta": {"content": "ok"}, "finish_reason": None}]}
    last = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    events = [delta, delta, last, {**head, "choices": [], "usage": usage}]
    chunks = [b"data: " + json.dumps(one).encode() + b"\n\n" for one in events]
    return stream([*chunks, b"data: [DONE]\n\n"], gap_s=gap_s)


def budgets_of(flow) -> dict:
    found = ask(flow.dashboard_url + "/api/budgets")[2]
    return {one["name"]: one for one in found["budgets"]}


def until(is_true, what: str = "it"):
    """Wait for something that will be, and return it."""
    end = time.monotonic() + PATIENCE_S
    while True:
        found = is_true()
        if found:
            return found
        assert time.monotonic() < end, f"{what} did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize("max_tokens", [200, None])
def test_64_streams_at_once(max_tokens) -> None:
    """Of 64 streamed calls at once no more pass than the limit allows, but for a last one by itself."""
    asked = {**ASKED, "stream": True} | ({} if max_tokens is None else {"max_tokens": max_tokens})
    each = 10 * INPUT_USD + 150 * OUTPUT_USD
    limit = each * 20
    with (
        FakeUpstream(streamed(10, 150, gap_s=0.02)) as upstream,
        llmflow.serve(upstreams={"openai": upstream.url}, max_cost=f"{limit:.8f}") as flow,
    ):
        gate = threading.Barrier(64)

        def call(_: int) -> int:
            gate.wait(PATIENCE_S)
            return chat(flow, asked)[0]

        with ThreadPoolExecutor(64) as pool:
            statuses = list(pool.map(call, range(64)))
        passed = statuses.count(200)
        assert passed + statuses.count(429) == 64
        assert 1 <= passed == len(upstream.requests)
        cost = flow.cost()
        assert cost == pytest.approx(passed * each, rel=1e-6)
        # Every call reserved at least what it used, so nothing is over the limit, but for a last call by itself.
        assert cost < limit + each
        cap = budgets_of(flow)["max_cost"]
        assert (cap["in_flight"], cap["reserved"]) == (0, 0.0)
        assert cap["used"] == pytest.approx(cost)
        assert cap["refused"] == 64 - passed


def test_streams_that_say_too_little() -> None:
    """Calls that use more than was reserved pass the limit by that difference and no more, then all are refused."""
    asked = {**ASKED, "stream": True, "max_tokens": 10}
    actual = 10 * INPUT_USD + 100 * OUTPUT_USD  # the provider does not keep to max_tokens
    limit = 10 * actual
    with (
        FakeUpstream(streamed(10, 100, gap_s=0.02)) as upstream,
        llmflow.serve(upstreams={"openai": upstream.url}, max_cost=f"{limit:.8f}") as flow,
    ):
        body = len(json.dumps(asked).encode())
        reserved = -(-body // 4) * INPUT_USD + 10 * OUTPUT_USD
        gate = threading.Barrier(64)

        def call(_: int) -> int:
            gate.wait(PATIENCE_S)
            return chat(flow, asked)[0]

        with ThreadPoolExecutor(64) as pool:
            statuses = list(pool.map(call, range(64)))
        passed = statuses.count(200)
        assert passed == len(upstream.requests)
        assert flow.cost() <= limit + passed * (actual - reserved) + 1e-12
        while chat(flow, asked)[0] == 200:
            flow.cost()
        assert chat(flow, asked)[0] == 429


def test_calls_side_by_side_under_a_small_cap() -> None:
    """Calls that may use far more than they do are held for one another, not refused."""
    asked = {**ASKED, "stream": True, "max_tokens": 4096}
    limit = 5 * 4096 * OUTPUT_USD  # five of them at a time
    with (
        FakeUpstream(streamed(10, 5)) as upstream,
        llmflow.serve(upstreams={"openai": upstream.url}, max_cost=f"{limit:.8f}") as flow,
        ThreadPoolExecutor(20) as pool,
    ):
        assert set(pool.map(lambda _: chat(flow, asked)[0], range(40))) == {200}
        assert flow.cost() < limit / 10
        assert budgets_of(flow)["max_cost"]["refused"] == 0


def test_calls_cap_is_exact() -> None:
    """--max-calls lets so many calls leave, and not one more, however many come at once."""
    with (
        FakeUpstream(streamed(1, 1, gap_s=0.01)) as upstream,
        llmflow.serve(upstreams={"openai": upstream.url}, max_calls=7) as flow,
    ):
        with ThreadPoolExecutor(32) as pool:
            statuses = list(pool.map(lambda _: chat(flow, {**ASKED, "stream": True})[0], range(32)))
        assert statuses.count(200) == len(upstream.requests) == 7
        assert ask(flow.openai_base_url + "/models")[0] == 200  # a listing costs nothing and is not asked about


def test_refusal() -> None:
    """The answer names the rule, what was used and when it resets; the row says so, costs nothing and does not count."""
    with (
        FakeUpstream(answered()) as upstream,
        llmflow.serve(upstreams={"openai": upstream.url}) as flow,
    ):
        rule = {"name": "daily", "limit_calls": 1, "per": "month", "action": "block"}
        status, _, made = ask(flow.dashboard_url + "/api/budgets", rule)
        assert (status, made["state"], made["used"]) == (201, "ok", 0)
        assert chat(flow)[0] == 200
        flow.cost()
        status, headers, body = chat(flow)
        assert status == 429
        assert body["error"]["code"] == "budget_exceeded"
        assert body["error"]["type"] == "insufficient_quota"
        assert "'daily' is used up: 1 of 1 call this month" in body["error"]["message"]
        assert "It resets at 2" in body["error"]["message"]
        assert headers["x-should-retry"] == "false"
        assert 0 < int(headers["retry-after"]) <= 32 * 86_400
        assert headers["x-llmflow-budget"] == "daily"
        row = flow.call(headers["x-llmflow-span-id"])["trace"]
        assert (row["status"], row["counts"], row["total_tokens"]) == (429, False, None)
        assert not row["estimated_cost"]
        assert row["error"] == body["error"]["message"]
        assert len(upstream.requests) == 1
        daily = budgets_of(flow)["daily"]
        assert (daily["calls"], daily["refused"], daily["state"]) == (1, 1, "exceeded")


def test_restart_and_change(tmp_path) -> None:
    """What was used survives a restart and a higher limit; a new rule takes in what its window has already."""
    with FakeUpstream(answered(1000, 1000)) as upstream:
        serve = {"upstreams": {"openai": upstream.url}, "data_dir": tmp_path}
        with llmflow.serve(**serve) as flow:
            assert chat(flow, x_llmflow_tag="a")[0] == 200
            flow.cost()
            rule = {"name": "tokens", "limit_tokens": 2000, "per": "total", "action": "block", "tag": "a"}
            assert ask(flow.dashboard_url + "/api/budgets", rule)[2]["used"] == 2000
            assert chat(flow, x_llmflow_tag="a")[0] == 429
            assert chat(flow, x_llmflow_tag="b")[0] == 200  # of another tag
        with llmflow.serve(**serve) as flow:
            assert chat(flow, x_llmflow_tag="a")[0] == 429
            url = flow.dashboard_url + "/api/budgets/tokens"
            assert ask(url, {**rule, "limit_tokens": 100_000}, "PUT")[2]["used"] == 2000
            assert chat(flow, x_llmflow_tag="a")[0] == 200
            flow.cost()
            assert budgets_of(flow)["tokens"]["used"] == 4000
            trace = next(row["trace_id"] for row in flow.calls() if row["status"] == 200)
            ask(f"{flow.dashboard_url}/api/traces/{trace}", method="DELETE")
            assert budgets_of(flow)["tokens"]["used"] == 4000  # deleting does not give money back
            assert ask(url, method="DELETE")[0] == 204
            assert budgets_of(flow) == {}
            assert flow._server.house.dispatcher.gate is None


def test_unrecorded_calls_count() -> None:
    """A call that is not to be recorded counts all the same, and leaves no row."""
    with (
        FakeUpstream(answered(5, 6)) as upstream,
        llmflow.serve(upstreams={"openai": upstream.url}, max_calls=2) as flow,
    ):
        assert chat(flow, x_llmflow_record="off")[0] == 200
        assert chat(flow, x_llmflow_record="off")[0] == 200
        assert chat(flow)[0] == 429
        assert [row["status"] for row in flow.calls()] == [429]
        assert until(lambda: budgets_of(flow)["max_calls"]["calls"] == 2)
        assert budgets_of(flow)["max_calls"]["tokens"] == 22


def test_ingested_calls_count() -> None:
    """A span that an app sends counts; the same call seen by the proxy, too, counts once."""
    with (
        FakeUpstream(answered(5, 6)) as upstream,
        llmflow.serve(upstreams={"openai": upstream.url}, max_tokens=100) as flow,
    ):
        span = {
            "trace_id": "1" * 32, "id": "2" * 16, "span_type": "llm", "provider": "openai", "model": MODEL,
            "prompt_tokens": 60, "completion_tokens": 50, "start_time": int(time.time() * 1000) + 10,
        }  # fmt: skip
        status, _, told = ask(flow.dashboard_url + "/api/spans", span)
        assert status < 300, told
        assert until(lambda: budgets_of(flow)["max_tokens"]["tokens"] == 110)
        assert chat(flow)[0] == 429
        assert ask(flow.dashboard_url + "/api/spans", {**span, "completion_tokens": 20})[0] < 300
        assert until(lambda: budgets_of(flow)["max_tokens"]["tokens"] == 80)  # the span as it is now, not twice


def test_no_rule_no_gate() -> None:
    """Without a rule nothing of it is there, and unrecorded calls are not even captured."""
    with (
        FakeUpstream(answered()) as upstream,
        llmflow.serve(upstreams={"openai": upstream.url}) as flow,
    ):
        house = flow._server.house
        assert house.dispatcher.gate is None
        assert not house._ledger.is_open
        assert chat(flow, x_llmflow_record="off")[0] == 200
        assert flow.calls() == []


def test_rule_while_calls_run() -> None:
    """A rule that is made while calls run reserves for them, and counts them when they are over."""
    release = threading.Event()

    def slow(talk) -> None:
        talk.body()
        release.wait(PATIENCE_S)
        answered(10, 20)(talk)

    with (
        FakeUpstream(slow) as upstream,
        llmflow.serve(upstreams={"openai": upstream.url}) as flow,
        ThreadPoolExecutor(1) as pool,
    ):
        running = pool.submit(chat, flow)
        upstream.wait_until(lambda: len(upstream.requests) == 1)
        rule = {"name": "two", "limit_calls": 2, "per": "total", "action": "block"}
        made = ask(flow.dashboard_url + "/api/budgets", rule)[2]
        assert (made["used"], made["reserved"], made["in_flight"]) == (0, 1, 1)
        release.set()
        assert running.result(PATIENCE_S)[0] == 200
        flow.cost()
        two = budgets_of(flow)["two"]
        assert (two["used"], two["in_flight"]) == (1, 0)


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"name": "a"}, "one limit"),
        ({"name": "a", "limit_usd": 1, "limit_calls": 2}, "one limit"),
        ({"name": "a", "limit_usd": 1, "webhook": "https://x.test/"}, "only be set in llmflow.toml"),
        ({"name": "a", "limit_usd": 1, "command": ["rm"]}, "only be set in llmflow.toml"),
        ({"name": "a/b", "limit_usd": 1}, "a name has"),
        ({"name": "a", "limit_usd": -1}, "a number above 0"),
        ({"name": "a", "limit_usd": 1, "per": "year"}, "hour or day"),
        ({"name": "a", "limit_usd": 1, "tz": "Mars/Olympus"}, "time zone"),
        ({"name": "a", "limit_usd": 1, "on_unpriced": "block"}, 'needs action = "block"'),
        ({"name": "a", "limit_usd": 1, "colour": "red"}, "no key"),
        ({"name": "max_calls", "limit_usd": 1}, "by a flag"),
    ],
)
def test_what_the_api_refuses(rule, sentence, flow_with_cap) -> None:
    """A rule that cannot be is refused in a sentence that says why."""
    status, _, body = ask(flow_with_cap.dashboard_url + "/api/budgets", rule)
    assert status in (400, 409)
    assert sentence in json.dumps(body, ensure_ascii=False).replace('\\"', '"')


@pytest.fixture(scope="module")
def flow_with_cap():
    with llmflow.serve(max_calls=1000) as flow:
        yield flow


def test_what_the_api_does_not_change(flow_with_cap) -> None:
    """A cap or a rule of the file is shown, and changed nowhere but there."""
    url = flow_with_cap.dashboard_url + "/api/budgets/"
    assert ask(url + "max_calls", {"limit_calls": 5}, "PUT")[0] == 409
    assert ask(url + "max_calls", method="DELETE")[0] == 409
    assert ask(url + "none", method="DELETE")[0] == 404
    assert budgets_of(flow_with_cap)["max_calls"]["origin"] == "cap"


def test_a_webhook_that_hangs(tmp_path) -> None:
    """While a webhook hangs, calls go on; its delivery is shown by the host's name, and told once over a restart."""
    with FakeUpstream(answered()) as upstream, FakeUpstream(wire(HANG)) as hook:
        (tmp_path / "llmflow.toml").write_text(
            f'[budget.all]\nlimit_calls = 2\nper = "total"\nwarn_at = 0.5\nwebhook = "{hook.url}/secret"\n'
        )
        with llmflow.serve(upstreams={"openai": upstream.url}, data_dir=tmp_path) as flow:
            assert chat(flow)[0] == 200
            hook.wait_until(lambda: len(hook.requests) >= 1)
            assert [chat(flow)[0] for _ in range(3)] == [200] * 3  # it only warns
            flow.cost()
            until(lambda: sum(one.is_complete for one in hook.requests) >= 2, "the second webhook")
            assert {json.loads(one.body)["event"] for one in hook.requests if one.is_complete} == {"warn", "exceeded"}
            found = ask(flow.dashboard_url + "/api/budgets")[2]
            assert [(one["state"], one["target"]) for one in found["deliveries"]] == [("waiting", "127.0.0.1")] * 2
            assert "secret" not in json.dumps(found)
            assert "secret" not in json.dumps(ask(flow.dashboard_url + "/api/health")[2])
            hook.close_connections()
        with llmflow.serve(upstreams={"openai": upstream.url}, data_dir=tmp_path) as flow:
            assert chat(flow)[0] == 200
            flow.cost()
            found = ask(flow.dashboard_url + "/api/budgets")[2]
            assert budgets_of(flow)["all"]["used"] == 5
            assert found["deliveries"] == []
            assert [one["event"] for one in found["sent"]] == ["exceeded", "warn"]


def test_a_name_twice(tmp_path) -> None:
    """A rule of the file takes the place of one of the same name made on the screen; a wrong file ends the start."""
    with llmflow.serve(data_dir=tmp_path) as flow:
        assert ask(flow.dashboard_url + "/api/budgets", {"name": "a", "limit_usd": 1})[0] == 201
        assert ask(flow.dashboard_url + "/api/budgets", {"name": "a", "limit_usd": 1})[0] == 409
    (tmp_path / "llmflow.toml").write_text("[budget.a]\nlimit_calls = 5\n")
    with llmflow.serve(data_dir=tmp_path) as flow:
        assert budgets_of(flow)["a"]["unit"] == "calls"
        assert ask(flow.dashboard_url + "/api/budgets", {"name": "a", "limit_usd": 1})[0] == 409
    (tmp_path / "llmflow.toml").write_text("[budget.a]\nlimit_call = 5\n")
    with pytest.raises(ConfigError, match=r"\[budget.a\]"):
        llmflow.serve(data_dir=tmp_path)
