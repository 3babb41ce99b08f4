"""`llmflow demo`: a whole LLMFlow, a fake provider and a believable day of calls, without a key or a network.

Its data lies in a folder of its own that goes away with it, unless --data-dir names one; ~/.llmflow is never touched.
`--once` sends the calls, compares what was recorded with what was sent, prints a table and ends.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from llmflow_web.app import config as configuration
from llmflow_web.app.cli import EXIT_FAILED, console_for
from llmflow_web.app.demo_desk import Desk, Sent
from llmflow_web.app.demo_script import SCENES
from llmflow_web.app.fake_provider import FakeProvider
from llmflow_web.app.serve import Server, run_server
from llmflow_web.app.settings import Config, UpstreamSetting
from llmflow_web.console import Console, short_cost, short_count, short_duration, table

VENDORS = ("openai", "groq", "mistral", "deepseek", "xai")
RECORDED_TIMEOUT_S = 10.0
POLL_S = 0.05
_COLUMNS = ("call", "provider", "model", "status", "tokens", "cost", "time", "recorded")
_NUMBERS = frozenset({3, 4, 5, 6})
# Of a user's own set-up nothing may leak into the demo, above all not where their data lies.
_IGNORED_ENV = ("DATA_DIR", "LLMFLOW_DATA_DIR", "DB_PATH", "LLMFLOW_DB_PATH", "OLLAMA_HOST", "LLMFLOW_CONFIG")


def run_demo(
    flags: Mapping[str, Sequence[str]],
    env: Mapping[str, str],
    *,
    config_file: str | None = None,
    is_once: bool = False,
    is_opened: bool = False,
    speed: float | None = None,
) -> int:
    """Run the demo and return the exit code. speed: 1.0 = calls take as long as real ones."""
    answers: dict[str, Any] = {}
    speed = speed or (6.0 if is_once else 1.0)
    with contextlib.ExitStack() as stack:
        config = _demo_config(stack, flags, env, config_file=config_file, is_once=is_once)
        provider = FakeProvider(answers, speed=speed)
        provider.start()
        stack.callback(provider.stop)
        config = replace(config, upstreams=_upstreams(provider.url))
        if is_once:
            return _run_once(config, answers, speed)
        return _run_and_serve(config, answers, speed, is_opened=is_opened)


def _demo_config(
    stack: contextlib.ExitStack,
    flags: Mapping[str, Sequence[str]],
    env: Mapping[str, str],
    *,
    config_file: str | None,
    is_once: bool,
) -> Config:
    own = dict(flags)
    own.pop("upstream", None)
    if "data_dir" not in own:
        folder = tempfile.TemporaryDirectory(prefix="llmflow-demo-", ignore_cleanup_errors=True)
        own["data_dir"] = [stack.enter_context(folder)]
    if is_once:
        # Nobody will look at it: any free ports do, so that it runs beside an LLMFlow that is in use.
        own.setdefault("proxy_port", ["0"])
        own.setdefault("dashboard_port", ["0"])
        own.setdefault("quiet", ["on"])
    kept = {name: value for name, value in env.items() if name not in _IGNORED_ENV}
    config = configuration.load(own, kept, config_file=config_file)
    return replace(config, env_keys=False, price_refresh=False, bodies=True)


def _upstreams(url: str) -> dict[str, UpstreamSetting]:
    # Priced as the real vendors are, although the fake one is on this machine.
    return {name: UpstreamSetting(name, f"{url}/{name}", "the demo", free=False) for name in VENDORS}


# ── the two ways to run ──────────────────────────────────────────────────────────────────────────────────────────


def _run_once(config: Config, answers: dict[str, Any], speed: float) -> int:
    server = Server(config, Console(sys.stderr, is_quiet=True))
    server.start()
    try:
        desk = _desk(config, server.proxy_url, server.dashboard_url, answers, speed)
        play(desk)
        problems = [check(desk, sent) for sent in desk.sent]
        problems.append(check_spans(desk))
        recorded = [_recorded(desk, sent) for sent in desk.sent]
    finally:
        server.stop()
    print(summary(desk.sent, recorded, problems))
    return EXIT_FAILED if any(problems) else 0


def _run_and_serve(config: Config, answers: dict[str, Any], speed: float, *, is_opened: bool) -> int:
    console = console_for(config)

    def begin(proxy_url: str, dashboard_url: str) -> None:
        console.note(f"the demo's calls are on their way; watch them at {dashboard_url}")
        if is_opened:
            import webbrowser

            webbrowser.open(dashboard_url)
        desk = _desk(config, proxy_url, dashboard_url, answers, speed)
        try:
            play(desk)
        except OSError:
            return  # LLMFlow was stopped while calls were running
        except RuntimeError as error:
            console.error(f"the demo could not go on: {error}")
            return
        console.note(f"{len(desk.sent)} calls and {len(desk.steps)} spans sent; press Ctrl-C to end the demo")

    return run_server(
        config,
        console,
        started=lambda house: threading.Thread(
            target=begin, args=(house.proxy_url, house.dashboard_url), name="demo", daemon=True
        ).start(),
    )


def _desk(config: Config, proxy_url: str, dashboard_url: str, answers: dict[str, Any], speed: float) -> Desk:
    headers = {} if config.token is None else {"X-LLMFlow-Token": config.token}
    return Desk(proxy_url, dashboard_url, answers, speed=speed, extra_headers=headers)


def play(desk: Desk) -> None:
    """Run all scenes side by side and wait for their end. Raises what went wrong in one."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(SCENES), thread_name_prefix="demo") as pool:
        for scene in [pool.submit(scene, desk) for scene in SCENES]:
            scene.result()


# ── was it recorded truly? ───────────────────────────────────────────────────────────────────────────────────────


def check(desk: Desk, sent: Sent) -> str:
    """Compare the stored call with the sent one; return what differs, or "" when it is true."""
    stored = _recorded(desk, sent)
    if stored is None:
        return "is not recorded"
    trace, request = stored["trace"], stored["request"]
    if request["body"] != sent.request:
        return "the stored request differs from the one sent"
    for name, expected in _expected(sent).items():
        if trace.get(name) != expected:
            return f"{name} is {trace.get(name)!r}, expected {expected!r}"
    if sent.usage is not None and not trace.get("estimated_cost"):
        return "has no cost"
    is_same = _answer_text(stored) == sent.text if sent.is_stream else stored["response"]["body"] == sent.body
    if not is_same:
        return "the stored answer differs from the one received"
    return ""


def _expected(sent: Sent) -> dict[str, Any]:
    expected: dict[str, Any] = {
        "provider": sent.provider,
        "trace_id": sent.trace_id,
        "status": 502 if sent.is_cut else sent.status,
        "ending": "upstream_closed" if sent.is_cut else "finished",
        "is_stream": sent.is_stream,
        "session_id": sent.headers.get("X-LLMFlow-Session-Id"),
        "parent_id": sent.headers.get("X-Parent-Id"),
    }
    if sent.usage is not None:
        expected["model"] = sent.answer.model or sent.request["model"]
        expected["prompt_tokens"] = sent.usage["prompt_tokens"]
        expected["total_tokens"] = sent.usage["total_tokens"]
    return expected


def _answer_text(stored: Mapping[str, Any]) -> str:
    return "".join(_texts(stored["messages"]["output"]))


def _texts(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for message in messages:
        for part in message["parts"]:
            if part["type"] == "text":
                yield part["text"]


def check_spans(desk: Desk) -> str:
    """Compare the stored spans of the demo's programs with those reported."""
    for step in desk.steps:
        status, tree = desk.dashboard("GET", f"/api/traces/{step.trace_id}/tree")
        if status != 200:
            return f"the trace of span {step.name} is not recorded"
        found = {span["id"]: span for span in _flat(tree["spans"])}
        stored = found.get(step.id)
        if stored is None or (stored["span_name"], stored["parent_id"]) != (step.name, step.parent_id):
            return f"span {step.name} is not where it belongs"
    return ""


def _flat(spans: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for span in spans:
        yield span
        yield from _flat(span["children"])


def _recorded(desk: Desk, sent: Sent) -> dict[str, Any] | None:
    """Return the stored call. It is written a moment after its last byte was sent, hence the patience."""
    deadline = time.monotonic() + RECORDED_TIMEOUT_S
    while sent.span_id and time.monotonic() < deadline:
        status, stored = desk.dashboard("GET", f"/api/traces/{sent.span_id}")
        if status == 200:
            return dict(stored)
        time.sleep(POLL_S)
    return None


def summary(calls: Sequence[Sent], recorded: Sequence[dict[str, Any] | None], problems: Sequence[str]) -> str:
    """Write the table of calls with totals and what was not recorded truly."""
    rows = []
    for number, (sent, stored) in enumerate(zip(calls, recorded, strict=True)):
        trace = stored["trace"] if stored else {}
        tokens = trace.get("total_tokens")
        rows.append(
            (
                number + 1,
                sent.provider,
                trace.get("model") or sent.request["model"],
                f"{sent.status} cut" if sent.is_cut else sent.status,
                short_count(tokens) if tokens else "-",
                short_cost(trace.get("estimated_cost")) if tokens else "-",
                short_duration(sent.duration_ms),
                problems[number] or "yes",
            )
        )
    traces = [stored["trace"] for stored in recorded if stored]
    tokens = sum(trace.get("total_tokens") or 0 for trace in traces)
    cost = sum(trace.get("estimated_cost") or 0 for trace in traces)
    lines = [table(_COLUMNS, rows, right=_NUMBERS), ""]
    wrong = sum(1 for problem in problems if problem)
    verdict = "all recorded as sent" if not wrong else f"{wrong} not recorded as sent"
    lines.append(f"{len(calls)} calls, {short_count(tokens)} tokens, {short_cost(cost)}: {verdict}")
    if problems[len(calls) :] and problems[-1]:
        lines.append(problems[-1])
    return "\n".join(lines)
