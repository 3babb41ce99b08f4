"""Pictures of every screen: `python tests/bench/ui_screenshots.py FOLDER [--only NAME …]`, in both themes, wide and narrow.

The demo runs in a folder of its own; a week of made-up calls, log records and metric points stand beside its own, so that
no screen is empty. PNGs have a palette of few colours when pillow is installed.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from browser.stored import visit  # noqa: E402
from proxy_bench import ROOT, free_port, wait_port  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SIZES = {"1440": {"width": 1440, "height": 900}, "390": {"width": 390, "height": 844}}
THEMES = ("light", "dark")
COLOURS, MOST_BYTES = (256, 128, 64, 32), 120_000
DEMO_CALLS = 20
DICE = random.Random(4)

MODELS = [
    ("openai", "gpt-4.1-mini", 0.4, 1.6, 40), ("anthropic", "claude-sonnet-4-5", 3.0, 15.0, 25), ("openai", "gpt-4o", 2.5, 10.0, 15),
    ("gemini", "gemini-2.5-flash", 0.3, 2.5, 12), ("mistral", "mistral-small-latest", 0.1, 0.3, 8),
]  # fmt: skip
ASKS = [
    ("answer ticket", "My parcel was due on Tuesday, where is it?", "It left the depot in Porto this morning and should be with you tomorrow before noon."),
    ("answer ticket", "Can I change the size of an order that is already paid?", "Yes, as long as it has not been packed. I have opened the order for you."),
    ("summarise thread", "Summarise this thread for the next agent in two sentences.", "The customer was charged twice. A refund of one payment is on its way."),
    ("classify mail", "Which team should answer this mail?", '{"team": "billing", "urgency": "high"}'),
    ("write description", "Describe the blue wool jacket in 60 words for the shop.", "Warm without weight: merino from the Serra da Estrela, cut long, lined with cotton."),
    ("translate page", "Translate the return policy into German.", "Sie können jeden Artikel innerhalb von 30 Tagen zurücksenden."),
    ("extract invoice", "Read number, date and total of this invoice.", '{"number": "2026-1183", "date": "2026-11-03", "total": 184.2}'),
]  # fmt: skip
ERRORS = [
    (429, "Rate limit reached for requests"),
    (529, "Overloaded"),
    (400, "This model's maximum context length is 128000 tokens"),
]


def call(number: int, now: float) -> dict[str, Any]:
    """Return one call of the week, more of them by day."""
    while True:
        at = now - DICE.random() ** 1.3 * 7 * 86_400 - 90
        if DICE.random() < 0.25 + 0.75 * math.sin((at % 86_400) / 86_400 * math.pi) ** 2:
            break
    provider, model, price_in, price_out, _ = DICE.choices(MODELS, [one[-1] for one in MODELS])[0]
    name, asked, said = DICE.choice(ASKS)
    sent, got = int(DICE.lognormvariate(6.8, 0.8)), int(DICE.lognormvariate(5, 0.7))
    code, error = DICE.choice(ERRORS) if DICE.random() < 0.04 else (200, None)
    took = DICE.lognormvariate(0.2, 0.6) * 1000
    told = {} if error else {
        "prompt_tokens": sent, "completion_tokens": got, "cached_tokens": sent // 2 if number % 3 == 0 else 0, "ttft_ms": took * 0.3,
        "estimated_cost": (sent * price_in + got * price_out) / 1e6, "output": {"choices": [{"message": {"role": "assistant", "content": said}}]},
    }  # fmt: skip
    return {
        "id": f"{0x5000 + number:016x}", "trace_id": f"{0x5000 + number:032x}", "span_type": "llm", "span_name": name, "provider": provider, "model": model,
        "start_time": int(at * 1000), "duration_ms": took, "status": code, "error": error, "tags": [("support", "shop", "back office")[number % 3]],
        "user_id": ("anna", "bruno", "carla", "duarte")[number % 4], "session_id": f"ticket-{1200 + number // 5}" if number % 3 != 1 else None,
        "input": {"messages": [{"role": "system", "content": "You help the people of a small shop."}, {"role": "user", "content": asked}]}, **told,
    }  # fmt: skip


def value(thing: Any) -> dict[str, Any]:
    return {"intValue": str(thing)} if isinstance(thing, int) else {"stringValue": thing}


def attributes(**given: Any) -> list[dict[str, Any]]:
    return [{"key": key.replace("_", "."), "value": value(thing)} for key, thing in given.items()]


def logs(now: float) -> dict[str, Any]:
    lines = [
        (9, "INFO", "order {} paid"), (9, "INFO", "ticket {} answered"), (13, "WARN", "answer for ticket {} took longer than 5 s"),
        (5, "DEBUG", "cache of prices renewed, {} rows"), (17, "ERROR", "payment of order {} refused by the bank"),
    ]  # fmt: skip
    records = []
    for number in range(160):
        severity, word, text = DICE.choices(lines, [8, 6, 2, 5, 1])[0]
        records.append({
            "timeUnixNano": str(int((now - number * 47) * 1e9)), "severityNumber": severity, "severityText": word,
            "body": {"stringValue": text.format(DICE.randrange(1000, 9999))}, "attributes": attributes(event_name="shop.step", order=DICE.randrange(9999)),
        })  # fmt: skip
    scope = {"scope": {"name": "shop"}, "logRecords": records}
    return {"resourceLogs": [{"resource": {"attributes": attributes(service_name="shop")}, "scopeLogs": [scope]}]}


def metrics(now: float) -> dict[str, Any]:
    def points(key: str, make: Any) -> list[dict[str, Any]]:
        return [{"startTimeUnixNano": str(int((now - 7200) * 1e9)), "timeUnixNano": str(int((now - (60 - n) * 60) * 1e9)), key: make(n)} for n in range(60)]  # fmt: skip

    made = [
        {"name": "claude_code.token.usage", "unit": "tokens", "description": "Tokens used", "sum": {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": points("asDouble", lambda n: 900 + 600 * abs(math.sin(n / 7)))}},
        {"name": "claude_code.cost.usage", "unit": "USD", "description": "Cost of the session", "sum": {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": points("asDouble", lambda n: 0.02 + 0.01 * math.sin(n / 5))}},
        {"name": "process.memory.usage", "unit": "By", "description": "Memory in use", "gauge": {"dataPoints": points("asInt", lambda n: str(180_000_000 + 700_000 * n))}},
        {"name": "queue.length", "unit": "{ticket}", "description": "Tickets that wait", "gauge": {"dataPoints": points("asInt", lambda n: str(int(12 + 9 * math.sin(n / 9))))}},
    ]  # fmt: skip
    scope = {"scope": {"name": "shop"}, "metrics": made}
    return {"resourceMetrics": [{"resource": {"attributes": attributes(service_name="shop")}, "scopeMetrics": [scope]}]}


class Demo:
    """The demo with a week behind it."""

    def __init__(self, folder: Path) -> None:
        proxy, dashboard = free_port(), free_port()
        command = [
            sys.executable, str(ROOT / "llmflow.py"), "demo", "--proxy-port", str(proxy), "--dashboard-port", str(dashboard),
            "--data-dir", str(folder), "--no-price-refresh", "--quiet",
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{dashboard}"
        wait_port(dashboard)
        now = time.time()
        for start in range(0, 900, 100):
            self.ask("/api/spans", {"spans": [call(number, now) for number in range(start, start + 100)]})
        self.ask("/v1/logs", logs(now))
        self.ask("/v1/metrics", metrics(now))
        for name, more in (("team", {"limit_usd": 25, "per": "week"}), ("gpt-4o", {"limit_tokens": 60_000, "per": "week", "model": "gpt-4o"}), ("evals", {"limit_calls": 5, "per": "day", "action": "block", "tag": "evals"})):  # fmt: skip
            self.ask("/api/budgets", {"name": name, **more})
        while sum(row["source"] == "proxy" for row in self.newest()) < DEMO_CALLS:
            time.sleep(0.5)

    def newest(self) -> Any:
        return self.ask("/api/traces?limit=100")

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def screens(self) -> dict[str, str]:
        """Return the addresses of what is worth a look."""
        rows = self.newest()
        trace = max(rows, key=lambda row: row["span_count"])["trace_id"]
        spans = [row for row in rows if row["trace_id"] == trace and row["span_type"] == "llm"]
        said = f"/traces/{trace}?span={spans[-1]['id']}"
        booking = next(row["trace_id"] for row in rows if row["span_name"] == "answer booking question")
        answers = [row for row in rows if row["trace_id"] == booking and row["span_type"] == "llm"]
        tools = f"/traces/{booking}?span={max(answers, key=lambda row: row['timestamp'])['id']}&tab=messages"
        failed = next(row for row in rows if row["status"] >= 400 and row["source"] == "proxy")
        chats = [row["trace_id"] for row in rows if row["session_id"] == "chat-4711"]
        return {
            "traces": "/traces", "filtered": "/traces?q=model%3Agpt-4o%20-refund&status=success&since=7d", "nothing": "/traces?q=nothingofthesort",
            "trace": f"/traces/{trace}", "messages": tools, "raw": f"{said}&tab=raw", "attributes": f"{said}&tab=attributes", "cost": f"{said}&tab=cost",
            "failed": f"/traces/{failed['trace_id']}", "diff": f"/diff/{chats[0]}/{chats[1]}", "sessions": "/sessions", "session": "/sessions/chat-4711",
            "analytics": "/analytics?since=7d", "logs": "/logs", "metrics": "/metrics", "metric": f"/metrics?name={quote('claude_code.token.usage')}", "models": "/models",
            "timeline": "/timeline", "setup": "/setup", "prompts": "/prompts", "budgets": "/budgets", "help": "/traces", "unknown": f"/traces/{0xBAD:032x}",
        }  # fmt: skip

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def shrink(path: Path) -> None:
    """Give a picture as few colours as make it small enough; those that few dots have count as much as the others."""
    try:
        from PIL import Image
    except ImportError:
        return
    picture = Image.open(path).convert("RGB")
    for colours in COLOURS:
        picture.quantize(colours, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE).save(
            path, optimize=True
        )
        if path.stat().st_size <= MOST_BYTES:
            return


def main() -> None:
    from playwright.sync_api import sync_playwright

    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    options.add_argument("--only", nargs="+")
    given = options.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        demo = Demo(Path(name))
        try:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            for size, viewport in SIZES.items():
                for theme in THEMES:
                    page = browser.new_context(
                        viewport=viewport, color_scheme=theme, reduced_motion="reduce"
                    ).new_page()
                    for screen, path in demo.screens().items():
                        if given.only and screen not in given.only:
                            continue
                        visit(page, demo.url + path)
                        page.mouse.move(0, 0)
                        if screen == "help":
                            page.keyboard.press("?")
                            page.wait_for_selector("dialog[open]")
                        picture = given.folder / f"{screen}-{theme}-{size}.png"
                        page.screenshot(path=picture)
                        shrink(picture)
                        print(f"{picture}: {picture.stat().st_size:,} bytes")
                    page.context.close()
            browser.close()
        finally:
            demo.stop()


if __name__ == "__main__":
    main()
