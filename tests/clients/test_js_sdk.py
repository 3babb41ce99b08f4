"""The JavaScript SDK with the official clients, as an example runs it, in a browser, and as a package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from anthropic_server import AnthropicLike
from browser.conftest import CHROMIUM, FLAGS
from examples_help import check_briefing, surroundings
from fake_upstream import FakeUpstream
from js_help import JS, SDK, installed

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 240

pytestmark = pytest.mark.sdk


@pytest.fixture(scope="session")
def modules(tmp_path_factory) -> Path:
    """The folder with node_modules."""
    return installed(tmp_path_factory)


def run_node(modules: Path, folder: Path, script: Path, env: dict[str, str], *arguments: str) -> str:
    """Run a program beside the SDK, where its packages are found; return what it printed."""
    os.symlink(modules / "node_modules", folder / "node_modules", target_is_directory=True)
    shutil.copy(script, folder)
    shutil.copy(SDK, folder / "llmflow.mjs")
    command = ["node", str(folder / script.name), *arguments]
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def test_wrapped_clients(flow_at, upstream, modules, tmp_path):
    """Every kind of call of the official SDKs stands under its span; a client that was not wrapped stands alone."""
    with FakeUpstream(AnthropicLike()) as claude, FakeUpstream.openai() as openai:
        flow = flow_at(openai=openai.url, anthropic=claude.url)
        env = surroundings(flow, PROXY_URL=flow.proxy_url)
        run_node(modules, tmp_path, JS / "wrapped.mjs", env)
        rows = flow.wait_traces(23)
    spans = {row["span_name"]: row for row in rows if row["source"] == "sdk"}
    under = {row["parent_id"]: row for row in rows if row["source"] == "proxy"}
    root = spans["root"]
    assert {name for name, row in spans.items() if row["parent_id"] == root["id"]} == set(spans) - {"root"}
    for name in set(spans) - {"root", "untouched"}:
        call = under[spans[name]["id"]]
        assert (call["trace_id"], call["session_id"]) == (root["trace_id"], "js-session")
    assert under[None]["trace_id"] != root["trace_id"]
    assert (spans["stream"]["is_stream"], spans["stream"]["status"]) == (True, 200)


def test_agent_in_javascript(flow, modules, tmp_path):
    """docs/examples/agent.mjs needs no key, and its five calls stand under the steps that made them."""
    said = run_node(modules, tmp_path, ROOT / "docs/examples/agent.mjs", surroundings(flow), "Why is the sky blue?")
    check_briefing(flow, said)


PAGE = b"""<!doctype html><meta charset=utf-8><title>a page</title><script type=module>
import { trace, flush, stats } from "%b/sdk/llmflow.js";
const words = await trace("in a page", async (self) => {
  await new Promise((resolve) => setTimeout(resolve, 1));
  return self.span("tool", "inside", () => "words");
});
window.done = { words, arrived: await flush(), stats: stats() };
trace("at the end", () => 1);
</script>"""


@pytest.mark.browser
def test_in_a_browser(flow):
    """A page of another loopback origin imports the SDK from the dashboard; what waits is sent when the page goes."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    from fake_upstream import answer

    with FakeUpstream(answer(body=PAGE % flow.dashboard_url.encode(), content_type="text/html")) as site:
        with sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
            page = browser.new_page()
            problems: list[str] = []
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.goto(site.url.replace("127.0.0.1", "localhost"))
            page.wait_for_function("window.done")
            told = page.evaluate("window.done")
            page.goto("about:blank")
            rows = flow.wait_traces(3)
            browser.close()
    assert (problems, told["words"], told["arrived"], told["stats"]["sent"]) == ([], "words", True, 2)
    named = {row["span_name"]: row for row in rows}
    assert named["inside"]["parent_id"] == named["in a page"]["id"]
    assert set(named) == {"in a page", "inside", "at the end"}


def test_served_for_others(flow):
    """The module has its type, a tag, and may be imported by pages of this machine's other ports."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(
        f"{flow.dashboard_url}/sdk/llmflow.js", headers={"Origin": "http://localhost:5173"}
    )
    with opener.open(request, timeout=60) as answered:
        assert answered.read() == SDK.read_bytes()
        assert answered.headers["content-type"].startswith("text/javascript")
        assert answered.headers["access-control-allow-origin"] == "http://localhost:5173"
        assert answered.headers["etag"]


def test_the_package(tmp_path):
    """What goes to npm holds the module, types that name all of it, and nothing else."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    subprocess.run([sys.executable, ROOT / "packaging/build_npm.py", "--output", str(tmp_path)], check=True)
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {"package.json", "README.md", "LICENSE", "llmflow.js", "llmflow.d.ts"}
    package = json.loads((tmp_path / "package.json").read_text())
    assert set(package["files"]) == made - {"package.json", "README.md", "LICENSE"}
    assert "dependencies" not in package
    source = SDK.read_text(encoding="utf-8")
    exported = set(re.findall(r"^export (?:const|function|class|async function) (\w+)", source, re.MULTILINE))
    types = (tmp_path / "llmflow.d.ts").read_text(encoding="utf-8")
    assert exported == set(re.findall(r"^export declare (?:const|function|class) (\w+)", types, re.MULTILINE))
