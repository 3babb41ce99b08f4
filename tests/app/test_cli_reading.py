"""ls, show, stats and diff: what they print, the same from a server as from the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_help import BEGAN_MS, HOSTILE, TRACE, Terminal, fill, plain_terminal, spans
from conftest import Flow
from fake_upstream import FakeUpstream

from llmflow_web.app.cli import COMMANDS, run
from llmflow_web.app.cli.cells import width_of

ROOT = Path(__file__).resolve().parent.parent.parent
A, B = "d0" + "1" * 14, "b" * 16
COMMANDS_READ = (
    ("ls",), ("ls", "--spans", "--limit", "3"), ("ls", "-status:ok"), ("ls", "--sort", "duration", "--reverse"),
    ("ls", "tag:prod", "--since", "2026-09-01"), ("show", TRACE[:6]), ("show", B), ("show", B, "--part", "attributes"),
    ("stats",), ("stats", "--by", "tag"), ("stats", "service:bot", "--since", "2026-09-01", "--by", "service"),
    ("stats", "--by", "session", "--sort", "tokens"), ("prompts",), ("diff", A[:4], B),
)  # fmt: skip


@pytest.fixture
def filled(flow_at: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch) -> Flow:
    plain_terminal(monkeypatch)
    flow = flow_at()
    fill(flow)
    return flow


@pytest.fixture
def terminal(filled: Flow, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys, filled.config.data_dir)


def without_now(value: Any) -> Any:
    """Leave out what differs from moment to moment: up to when sums are told."""
    if isinstance(value, list):
        return [without_now(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {name: without_now(one) for name, one in value.items() if name not in ("to", "date_to")}


def test_server_and_file_give_the_same(filled: Flow, terminal: Terminal) -> None:
    """Every command that reads prints the same text and the same JSON, whoever answers; all fits 80 columns."""
    before = [(terminal(*argv), [without_now(one) for one in terminal.json_lines(*argv)]) for argv in COMMANDS_READ]
    filled.stop()
    after = [(terminal(*argv), [without_now(one) for one in terminal.json_lines(*argv)]) for argv in COMMANDS_READ]
    for argv, one, other in zip(COMMANDS_READ, before, after, strict=True):
        assert one == other, argv
        assert one[0].strip(), argv
        for line in one[0].splitlines():
            assert width_of(line) <= 80, (argv, line)
            assert line.isprintable(), (argv, line)


LS = """\
ID        TIME         CALL             ST  TOKENS     COST   TOOK  PROMPT
f0111111  09-21 14:16  \\x1b]0;owned\\…  200      10        ?   10ms  \\x1b]0;owne…
e0111111  09-21 14:15  gpt-4o-mini     429       -        -   40ms  Rate limit …
d0111111  09-21 14:14  gpt-4o-mini     200    1.2k  $0.0002  850ms  日本語のテ…
aaaaaaaa  09-21 14:13  planner +2      200    1.2k  $0.0040   4.2s  Plan a day
"""


def test_ls_is_a_table(terminal: Terminal) -> None:
    """One line a trace, the newest first; hostile text written out, wide characters counted double."""
    assert terminal("ls") == LS


def test_ls_gives_rows_as_the_api_does(filled: Flow, terminal: Terminal) -> None:
    """--json is one list element a line, as GET /api/traces has them, page after page."""
    fill(filled, [{**spans()[1], "id": f"{n:016x}", "trace_id": f"{n:032x}", "parent_id": None} for n in range(1200)])
    rows = terminal.json_lines("ls", "--limit", "1100")
    assert len(rows) == 1100
    assert rows[:1000] == filled.get("/api/traces?limit=1000&roots=1&joined=0")


def test_what_is_not_understood_is_said(terminal: Terminal) -> None:
    """A word no field has is searched as text, and standard error says so; nothing found is not an error."""
    assert terminal("ls", "colour:red") == ""
    assert "no field “colour”" in terminal.err
    assert "nothing passes the filter" in terminal.err


SHOW = """\
SPAN                  ST   START  TOOK  TOKENS     COST  ID
agent: planner       200    +0ms  4.2s       -        -  aaaaaaaa
├ chat gpt-4o        200  +200ms  1.5s    1.2k  $0.0040  bbbbbbbb
└ tool: ferry_times  200   +1.8s  90ms       -        -  cccccccc

call    openai gpt-4o
status  200
took    1.5s, first token after 300ms
tokens  1,000 in (400 cached) → 200 out
cost    $0.004, by gpt-4o of DATE
labels  source:sdk service:shop user:anna tag:prod
ids     span bbbbbbbbbbbbbbbb, trace 0af7651916cd43dd8448eb211c80319c

── user ────────────────────────────────────────────────────────────────────────
Where is the ferry?

── assistant ───────────────────────────────────────────────────────────────────
By the river.
"""


def test_show_is_a_tree_and_a_conversation(terminal: Terminal) -> None:
    """The trace around a span, its figures, its messages."""
    shown = terminal("show", "bbbb")
    date = json.loads(terminal("show", "bbbb", "--json"))["trace"]["cost_detail"]["price_date"]
    assert shown.replace(date, "DATE") == SHOW


def test_long_texts_are_folded(filled: Flow, terminal: Terminal) -> None:
    """A long message shows its beginning and how long it is; --full shows all of it."""
    text = "\n".join(f"line {number}" for number in range(100))
    fill(filled, [{**spans()[1], "id": "9" * 16, "trace_id": "9" * 32, "parent_id": None, "output": text}])
    folded = terminal("show", "9999")
    assert "line 11\n" in folded
    assert "line 12\n" not in folded
    assert f"… {len(text)} characters in all: --full shows them" in folded
    assert "line 99\n" in terminal("show", "9999", "--full")


def test_tool_calls_are_readable(filled: Flow, terminal: Terminal) -> None:
    """A call of a tool shows its name and its arguments laid out, a result what came of it."""
    call = {"id": "c1", "type": "function", "function": {"name": "ferry", "arguments": '{"pier":2}'}}
    asked = {"messages": [
        {"role": "user", "content": [{"type": "text", "text": "See:"}, {"type": "image_url", "image_url": {"url": "http://x/y.png"}}]},
        {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c1", "content": "[1, 2]"}]}  # fmt: skip
    fill(filled, [{**spans()[1], "id": "9" * 16, "trace_id": "9" * 32, "parent_id": None, "input": asked}])
    shown = terminal("show", "9999")
    assert '→ ferry  c1\n  {\n    "pier": 2\n  }\n' in shown
    assert "← c1\n  [\n    1,\n    2\n  ]\n" in shown
    assert "[image: http://x/y.png]" in shown


def test_parts_are_shown_alone(filled: Flow, terminal: Terminal) -> None:
    """--part prints one part, written out for a terminal, exact in JSON."""
    assert json.loads(
        terminal("show", "f011", "--part", "attributes").replace("\\x", "\\\\x").replace("\\u202e", "\\\\u202e")
    )
    assert terminal.json("show", "f011", "--part", "attributes") == {"x": HOSTILE}
    assert terminal.json("show", "f011", "--part", "headers") == {"request": {}, "response": {}}


def test_a_proxied_call_is_shown_as_it_travelled(
    flow_at: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bodies and headers of a call through the proxy are those that were sent, keys masked."""
    plain_terminal(monkeypatch)
    with FakeUpstream.openai() as upstream:
        flow = flow_at(openai=upstream.url)
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": HOSTILE}], "stream": True}
        body["stream_options"] = {"include_usage": True}  # asked for by itself, nothing is taken out of the answer
        headers = {"content-type": "application/json", "authorization": "Bearer sk-THISISASECRET0123456789"}
        request = urllib.request.Request(flow.proxy_url + "/v1/chat/completions", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            sent = answer.read()
        flow.wait_traces(1)
    terminal = Terminal(capsys, flow.config.data_dir)
    (row,) = terminal.json_lines("ls")
    key = row["id"][:8]
    assert terminal.json("show", key, "--part", "request")["messages"] == body["messages"]
    assert terminal("show", key, "--part", "response").split() == sent.decode().split()
    shown = terminal("show", key, "--part", "headers")
    assert "# POST /v1/chat/completions" in shown
    assert "SECRET" not in shown
    assert "streamed" in terminal("show", key)


def test_an_id_may_be_begun(filled: Flow, terminal: Terminal) -> None:
    """A beginning is enough where it is one thing's; else what it may mean is named."""
    fill(filled, [{**spans()[1], "id": "d02" + "0" * 13, "trace_id": "d0" + "2" * 30, "parent_id": None}])
    assert terminal.json("show", "d01")["trace"]["id"] == A
    terminal("show", "d0", code=1)
    assert "is the beginning of several ids" in terminal.err
    terminal("show", "nothing", code=1)
    assert "There is no trace or span 'nothing'" in terminal.err
    for odd in ('a"b', "a*", "%", "\x1b[2J", ""):
        terminal("show", odd, code=1)
        assert terminal.err.startswith("llmflow: There is no trace or span")
        assert "\x1b" not in terminal.err


STATS = """\
MODEL        CALLS  ERRORS  TOKENS  CACHED     COST    P50    P95   TTFT
gpt-4o           1       -    1.2k     40%  $0.0040   1.6s   1.9s  312ms
gpt-4o-mini      2   1 50%    1.2k     40%  $0.0002   51ms  952ms      -
all              3   1 33%    2.4k     40%  $0.0042  835ms   1.8s  312ms
"""


def test_stats_sum_up(terminal: Terminal) -> None:
    """A row a model, the dearest first, then all; what has no price is said."""
    assert terminal("stats", "model:gpt-4o*") == STATS
    whole = terminal.json("stats", "model:gpt-4o*")
    assert (whole["total"]["requests"], whole["total"]["errors"]) == (3, 1)
    assert [row["key"] for row in whole["rows"]] == ["gpt-4o", "gpt-4o-mini"]
    assert "1 call has no known price" in terminal("stats")


def test_stats_since_is_exact(filled: Flow, terminal: Terminal) -> None:
    """--since counts from that moment, not from the hour it lies in."""
    begun = BEGAN_MS + 60_000
    assert terminal.json("stats", "--since", str(begun))["total"]["requests"] == 3
    assert terminal.json("stats", "--since", str(begun + 1))["total"]["requests"] == 2


def test_diff_shows_what_differs(terminal: Terminal) -> None:
    """Figures side by side, parameters, and messages of which what differs is marked."""
    shown = terminal("diff", B, A)
    assert shown.splitlines()[0] == f"a  gpt-4o  {B}"
    assert ["duration", "1.5s", "850ms", "-650ms", "-43%"] in [line.split() for line in shown.splitlines()]
    assert "- Where is the ferry?" in shown
    assert "+ 日本語のテキストはここに入ります。長い文章です。" in shown
    assert {row["name"] for row in terminal.json("diff", B, A)["deltas"]} >= {"duration_ms", "estimated_cost"}


@pytest.mark.parametrize(
    ("argv", "code", "word"),
    [
        (["ls", "--since", "yesterday"], 2, "--since"),
        (["stats", "--limit", "1000"], 2, "--limit"),
        (["ls", "--url", "ftp://x"], 2, "--url"),
        (["ls", "--url", "http://127.0.0.1:9"], 1, "cannot be reached"),
        (["ls", "--data-dir", "/nonexistent/here"], 1, "nothing has been recorded"),
    ],
)
def test_errors_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, word: str
) -> None:
    """What is wrong is said in a line that names it, and the exit code tells whose fault it is."""
    plain_terminal(monkeypatch)
    assert run(argv) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert word in err
    assert err.count("\n") == 1


def test_a_token_is_needed_and_found(
    flow_at: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server with a token lets the commands in when LLMFLOW_TOKEN holds it, and they say so when it does not."""
    plain_terminal(monkeypatch)
    flow = flow_at({"token": "a-secret-token"})
    terminal = Terminal(capsys, flow.config.data_dir)
    terminal("ls", code=1)
    assert "LLMFLOW_TOKEN" in terminal.err
    monkeypatch.setenv("LLMFLOW_TOKEN", "a-secret-token")
    assert terminal("ls") == ""
    assert run(["ls", "--json", "--url", flow.dashboard_url]) == 0


def test_a_reader_that_goes_away_is_no_error(filled: Flow) -> None:
    """A closed pipe ends a command with 141 and not a word."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "llmflow", "ls", "--json", "--spans", "--data-dir", str(filled.config.data_dir)]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, cwd=ROOT, env=env, timeout=60)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_colours_are_for_terminals(filled: Flow) -> None:
    """On a terminal there are colours, with NO_COLOR there are none."""
    import pty

    def on_a_terminal(**more: str) -> bytes:
        main, other = pty.openpty()
        env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", **more}
        command = [sys.executable, "-m", "llmflow", "ls", "--data-dir", str(filled.config.data_dir)]
        with subprocess.Popen(command, stdout=other, stderr=other, cwd=ROOT, env=env) as child:
            os.close(other)
            told = b""
            while True:
                try:
                    piece = os.read(main, 65536)
                except OSError:  # Linux's word for the end of a terminal
                    break
                if not piece:
                    break
                told += piece
            assert child.wait(60) == 0
        os.close(main)
        return told

    assert b"\x1b[31m429" in on_a_terminal()
    assert b"\x1b" not in on_a_terminal(NO_COLOR="1")


@pytest.mark.parametrize("command", ["ls", "tail", "show", "stats", "prompts", "diff", "prune", "reprice", "doctor"])
def test_help_fits_and_has_an_example(command: str) -> None:
    """--help is readable at 80 columns and shows how the command is used."""
    text = COMMANDS[command].load().make_parser(command).format_help()
    assert all(len(line) <= 80 for line in text.splitlines()), [line for line in text.splitlines() if len(line) > 80]
    assert f"  llmflow {command}" in text.partition("examples:")[2]
