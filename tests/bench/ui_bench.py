"""The figures of the dashboard: `python tests/bench/ui_bench.py [FOLDER] [--only NAME …]` prints a table. Nothing here is asserted.

FOLDER is a data dir made by ui_fixture.py (without it one is made for the run and goes away with it). The server is a
process of its own, the browser the system's Chromium without a graphics card: what it paints costs this machine's
processor. "Painted" is the second frame after the nodes stood; "busy" is Chromium's own count of the main thread's work.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import ui_fixture as made  # noqa: E402
from proxy_bench import ROOT, free_port, wait_port  # noqa: E402

STATIC = ROOT / "llmflow_web" / "static"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
RUNS = 5
LIVE_S, LIVE_PER_S, LIVE_POSTS_PER_S = 60, 500, 10
TRACES = 110_000  # more than the fixture has: nothing is pruned while we look

ROWS = ".traces .window > .row:not([hidden]):not(.is-blank)"
PROBE = """
window.bench = { tasks: [], keys: [], frames: new Set() };
new PerformanceObserver((all) => { for (const one of all.getEntries()) bench.tasks.push([one.startTime, one.duration]); }).observe({ type: 'longtask', buffered: true });
new PerformanceObserver((all) => { for (const one of all.getEntries()) if (one.name.startsWith('key')) bench.keys.push(one.duration); }).observe({ type: 'event', durationThreshold: 16, buffered: true });
bench.painted = (test) => new Promise((done) => {
  const look = () => (test() ? requestAnimationFrame(() => done(performance.now())) : requestAnimationFrame(look));
  look();
});
bench.go = async (address, test) => {
  const begin = performance.now();
  history.pushState(null, '', address);
  dispatchEvent(new PopStateEvent('popstate'));
  return (await bench.painted(test)) - begin;
};
bench.rows = () => document.querySelectorAll('ROWS').length;
bench.tree = (text) => () => document.querySelector('.summary h1')?.textContent.includes(text) && document.querySelector('.tree .window > .row:not([hidden]) .label')?.textContent;
""".replace("ROWS", ROWS)


class Server:
    """A LLMFlow over the fixture, a process of its own."""

    def __init__(self, folder: Path, static: Path | None = None) -> None:
        self.port = free_port()
        command = [
            sys.executable, str(ROOT / "llmflow.py"), "serve", "--proxy-port", str(free_port()), "--dashboard-port", str(self.port),
            "--data-dir", str(folder), "--max-traces", str(TRACES * 10), "--quiet", "--no-price-refresh",
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_port(self.port)
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


class Bench:
    """What all measurements share: the server, the browser, the table."""

    def __init__(self, server: Server, browser: Any) -> None:
        self.server, self.browser = server, browser
        self.table: list[tuple[str, str, str]] = []

    def tell(self, what: str, value: str, limit: str = "–") -> None:
        self.table.append((what, value, limit))
        print(f"| {what} | {value} | {limit} |", flush=True)

    def page(self, path: str | None = "/traces", height: int = 900) -> Any:
        """Open a page in a browser profile of its own: nothing is cached."""
        context = self.browser.new_context(viewport={"width": 1440, "height": height})
        context.set_default_timeout(120_000)
        context.add_init_script(PROBE)
        page = context.new_page()
        if path is not None:
            page.goto(self.server.url + path)
            page.wait_for_selector(ROWS)
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(2500)  # what comes after the rows has come
        return page

    # ── the first screen ─────────────────────────────────────────────────────────────────────────────────────────────

    def first(self) -> None:
        """The list with 50 rows in a cold browser, and what it asked for."""
        times = []
        for _ in range(RUNS):
            page = self.page(None, height=1560)
            page.goto(self.server.url + "/traces", wait_until="commit")
            painted = page.evaluate("bench.painted(() => bench.rows() >= 50)")
            times.append(painted - page.evaluate("performance.getEntriesByType('navigation')[0].responseEnd"))
            asked = page.evaluate(
                f"[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')].filter((one) => one.startTime < {painted}).map((one) => [one.name, one.decodedBodySize, one.encodedBodySize])"
            )
            page.context.close()
        spread = f"{min(times):.0f} to {max(times):.0f}"
        self.tell(
            "list with 50 rows painted, after the HTML", f"{statistics.median(times):.0f} ms ({spread})", "300 ms"
        )
        sizes = [(raw, packed) for name, raw, packed in asked if "/api/" not in name]
        data = sum(raw for name, raw, _ in asked if "/api/" in name)
        self.tell("first screen: requests in all, data among them", f"{len(asked)}, {data:,} bytes of data", "40")
        sums = " / ".join(f"{sum(side):,}" for side in zip(*sizes, strict=True))
        self.tell("first screen: bytes of files / as sent in gzip", sums, "150,000 / 45,000")
        files = [path.read_bytes() for path in STATIC.rglob("*") if path.is_file()]
        total, small = sum(map(len, files)), sum(len(gzip.compress(data, 9)) for data in files)
        self.tell(
            "all static files: number / bytes / as gzip",
            f"{len(files)} / {total:,} / {small:,}",
            "– / 600,000 / 220,000",
        )

    def requests(self) -> None:
        """The API alone, over a connection that stays open."""
        for name, path, limit in (
            ("list page as the dashboard asks", "/api/traces?limit=100&fields=summary&roots=1&joined=0", "20 ms, 60 KB"),
            ("list page, all fields", "/api/traces?limit=100", "20 ms, 60 KB"),
            ("search of 100 in 100,000", f"/api/traces?limit=100&fields=summary&roots=1&filter={made.NEEDLE}", "100 ms"),
            ("search of a common word", "/api/traces?limit=100&fields=summary&roots=1&filter=invoice", "100 ms"),
            ("totals", "/api/stats", "–"),
            ("histogram of everything", "/api/histogram?buckets=60", "–"),
            ("tree of 10,000 spans, summary", f"/api/traces/{made.WIDE_TRACE}/tree?fields=summary", "–"),
        ):  # fmt: skip
            took, size, packed = self.ask(path)
            self.tell(f"{name}: server / bytes / as gzip", f"{took:.1f} ms / {size:,} / {packed:,}", limit)

    def ask(self, path: str) -> tuple[float, int, int]:
        """Return the median time of an answer in ms, its bytes, and its bytes packed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        times = []
        for _ in range(15):
            begun = time.perf_counter()
            connection.request("GET", path)
            body = connection.getresponse().read()
            times.append((time.perf_counter() - begun) * 1000)
        connection.close()
        return statistics.median(times), len(body), len(gzip.compress(body))

    # ── the list ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def scroll(self) -> None:
        """Five rows a frame for five seconds through pages that have to be asked for."""
        page = self.page()
        found = page.evaluate("""() => new Promise((done) => {
          const grid = document.querySelector('.traces'), begin = performance.now(), gaps = [];
          let last = begin, nodes = 0;
          bench.tasks.length = 0;
          const frame = (now) => {
            gaps.push(now - last);
            last = now;
            grid.scrollTop += 140;
            nodes = Math.max(nodes, document.querySelectorAll('.traces .window > .row').length);
            if (now - begin < 5000) requestAnimationFrame(frame);
            else done({ gaps: gaps.slice(1), nodes });
          };
          requestAnimationFrame(frame);
        })""")
        gaps = sorted(found["gaps"])
        tasks = [task for _, task in page.evaluate("bench.tasks")]
        late = sum(gap > 34 for gap in gaps)
        rate = 1000 * len(gaps) / sum(gaps)
        self.tell("scrolling, 5 rows a frame: frames a second / late ones", f"{rate:.0f} / {late} of {len(gaps)}", "60")
        self.tell("scrolling: row nodes alive / tasks over 50 ms", f"{found['nodes']} / {len(tasks)}", "60 / 0")
        page.context.close()

    def search(self) -> None:
        """From the key press to the rows, the pause of 150 ms in it."""
        for word, name in ((made.NEEDLE, "100 of 100,000"), ("invoice", "a common word")):
            times = []
            for _ in range(RUNS):
                page = self.page()
                page.evaluate("document.querySelector('.traces .window').dataset.old = 1")
                page.focus("#searchInput")
                times.append(page.evaluate(
                    """async (word) => {
                      const input = document.querySelector('#searchInput');
                      const grid = document.querySelector('.traces'), before = grid.ariaRowCount;
                      input.value = word;
                      const begin = performance.now();
                      input.dispatchEvent(new InputEvent('input', { bubbles: true }));
                      await new Promise((done) => { const other = new PerformanceObserver((all) => { if (all.getEntries().some((one) => one.name.includes('/api/traces?') && one.name.includes(word))) { other.disconnect(); done(); } }); other.observe({ type: 'resource', buffered: true }); });
                      return (await bench.painted(() => bench.rows() > 0 && grid.getAttribute('aria-busy') !== 'true')) - begin;
                    }""",
                    word,
                ))  # fmt: skip
                page.context.close()
            self.tell(f"search for {name}: key press to rows", f"{statistics.median(times):.0f} ms", "150 + 100 ms")

    # ── a trace ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def opening(self) -> None:
        """From the click's address to the waterfall, the first time and when its modules are there."""
        for trace, text, limit in ((made.TREE_TRACE, "plan a trip", 100), (made.WIDE_TRACE, "ten thousand", 500)):
            cold, warm, nodes = [], [], 0
            for _ in range(RUNS):
                page = self.page()
                for times in (cold, warm):
                    times.append(page.evaluate(f"bench.go('/traces/{trace}', bench.tree('{text}'))"))
                    nodes = max(nodes, page.evaluate("document.querySelectorAll('.tree .window > .row').length"))
                    page.evaluate(
                        "bench.go('/traces', () => !document.querySelector('.summary h1')?.checkVisibility())"
                    )
                page.context.close()
            count = "50" if limit == 100 else "10,000"
            self.tell(f"open a trace of {count} spans, first time", f"{statistics.median(cold):.0f} ms", "–")
            self.tell(
                f"open a trace of {count} spans, again / row nodes",
                f"{statistics.median(warm):.0f} ms / {nodes}",
                f"{limit} ms / 80",
            )

    def payload(self) -> None:
        """A call whose request is of 5 MB: opened on both tabs, and typed beside."""
        for tab in ("messages", "raw"):
            page = self.page()
            page.evaluate("bench.tasks.length = bench.keys.length = 0")
            took = page.evaluate(
                f"bench.go('/traces/{made.LONG_TRACE}?tab={tab}', () => document.querySelector('.panel[data-tab={tab}] :is(.msg, .raw-body)'))"
            )
            page.focus("#searchInput")
            for letter in "the quick brown fox jumps":
                page.keyboard.press(letter if letter != " " else "Space")
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(2000)
            longest = max((task for _, task in page.evaluate("bench.tasks")), default=0)
            key = max(page.evaluate("bench.keys"), default=0)
            self.tell(
                f"5 MB, {tab}: shown / longest task / slowest key",
                f"{took:.0f} / {longest:.0f} / {key:.0f} ms",
                "– / 100 / 100 ms",
            )
            page.context.close()

    # ── live ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def live(self) -> None:
        """A minute of 500 spans a second, each a trace of its own, while the list stands at its top."""
        page = self.page()
        page.mouse.move(5, 5)
        devtools = page.context.new_cdp_session(page)
        devtools.send("Performance.enable")
        page.wait_for_selector(".live[data-state=live]")
        page.evaluate("""() => {
          const watch = new MutationObserver(() => bench.frames.add(document.timeline.currentTime));
          watch.observe(document.querySelector('.traces .window'), { subtree: true, childList: true, characterData: true, attributes: true });
          bench.tasks.length = 0;
        }""")
        begun, before, heap = time.monotonic(), self.metrics(devtools)["TaskDuration"], self.heap(devtools)
        sender = Sender(self.server.url)
        heaps = [heap]
        while time.monotonic() - begun < LIVE_S:
            page.wait_for_timeout(5000)
            heaps.append(self.metrics(devtools)["JSHeapUsedSize"] / 1e6)
        sender.stop()
        seconds = time.monotonic() - begun
        busy = (self.metrics(devtools)["TaskDuration"] - before) / seconds
        frames, tasks = page.evaluate("bench.frames.size"), page.evaluate("bench.tasks")
        after, nodes = self.heap(devtools), page.evaluate("document.querySelectorAll('.traces .window > .row').length")
        rate = sender.count / seconds
        self.tell("live: spans a second taken", f"{rate:.0f}", str(LIVE_PER_S))
        self.tell("live: frames in which the list changed, a second", f"{frames / seconds:.1f}", "4")
        self.tell("live: main thread busy / tasks over 50 ms", f"{busy:.0%} / {len(tasks)}", "20 % / –")
        self.tell(
            "live: JS heap before / after a minute / peak", f"{heap:.1f} / {after:.1f} / {max(heaps):.1f} MB", "flat"
        )
        self.tell("live: row nodes alive", str(nodes), "60")
        page.context.close()

    def metrics(self, devtools: Any) -> dict[str, float]:
        return {one["name"]: one["value"] for one in devtools.send("Performance.getMetrics")["metrics"]}

    def heap(self, devtools: Any) -> float:
        """MB in use once the rubbish is out."""
        for _ in range(3):
            devtools.send("HeapProfiler.collectGarbage")
        return self.metrics(devtools)["JSHeapUsedSize"] / 1e6


class Sender(threading.Thread):
    """Posts spans at a pace until it is stopped."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.netloc, self.is_over, self.count = urlsplit(url).netloc, threading.Event(), 0
        self.start()

    def run(self) -> None:
        connection = http.client.HTTPConnection(self.netloc, timeout=60)
        begun = time.monotonic()
        while not self.is_over.wait(max(0.0, self.count / LIVE_PER_S - (time.monotonic() - begun))):
            spans = [self.span(self.count + i) for i in range(LIVE_PER_S // LIVE_POSTS_PER_S)]
            connection.request("POST", "/api/spans", json.dumps({"spans": spans}), {"Content-Type": "application/json"})
            connection.getresponse().read()
            self.count += len(spans)
        connection.close()

    def span(self, number: int) -> dict[str, Any]:
        return {
            "id": f"{time.time_ns():016x}", "trace_id": f"{time.time_ns() * 1000 + number:032x}", "span_type": "llm", "span_name": f"live {number}", "model": "gpt-4o-mini",
            "provider": "openai", "prompt_tokens": 120, "completion_tokens": 30, "start_time": time.time() * 1000, "duration_ms": 250,
            "input": "how is the weather in the north harbour", "output": "rain until noon", "status": 200 if number % 50 else 500,
        }  # fmt: skip

    def stop(self) -> None:
        self.is_over.set()
        self.join(60)


def main() -> None:
    from playwright.sync_api import sync_playwright

    names = ["first", "requests", "scroll", "search", "opening", "payload", "live"]
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path, nargs="?")
    options.add_argument("--traces", type=int, default=100_000)
    options.add_argument("--only", nargs="+", choices=names, default=names)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = given.folder or Path(name)
        if not (folder / "llmflow.db").exists():
            made.make(folder, given.traces)
        server = Server(folder)
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=CHROMIUM,
                    args=[
                        "--no-sandbox",
                        "--disable-gpu",
                        "--disable-background-networking",
                        "--enable-precise-memory-info",
                    ],
                )
                bench = Bench(server, browser)
                print("| | measured | aim |\n|---|---|---|")
                for measure in given.only:
                    run: Callable[[], None] = getattr(bench, measure)
                    run()
                browser.close()
        finally:
            server.stop()


if __name__ == "__main__":
    main()
