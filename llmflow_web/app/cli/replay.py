"""`llmflow replay`: a recorded call once more, as it was, edited, or by another provider.

The call goes through a running server's proxy; where no server holds the data directory, one is started for it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llmflow_web.app.cli.cells import clean
from llmflow_web.app.cli.options import Out, config_from, ending, out_for
from llmflow_web.app.cli.options import make_parser as make
from llmflow_web.app.cli.server import ServerSource
from llmflow_web.app.cli.sources import server_url, whole_key
from llmflow_web.app.settings import Config
from llmflow_web.errors import ConfigError, LLMFlowError
from llmflow_web.model import JSON

EXIT_REFUSED = 1
KEY_HEADER = "x-llmflow-key"
_FIGURES = (
    ("status", "status"), ("model", "model"), ("duration", "duration_ms"), ("first token", "ttft_ms"),
    ("tokens in", "prompt_tokens"), ("tokens out", "completion_tokens"), ("cost", "estimated_cost"),
)  # fmt: skip


def make_parser(command: str) -> argparse.ArgumentParser:
    """Make the parser of `replay`."""
    parser = make(
        command,
        "ID [options]",
        "Send a recorded call once more, through the proxy, and show both results.\n"
        "The key is that of your environment (OPENAI_API_KEY and its like).",
        "llmflow replay 3f9a",
        "llmflow replay 3f9a --model gpt-4.1 --set temperature=0",
        "llmflow replay 3f9a --provider anthropic --model claude-sonnet-4-5",
        "llmflow replay 3f9a --dry-run > request.json",
    )
    parser.add_argument("id", metavar="ID", help="A trace or a span, or the beginning of its id.")
    parser.add_argument("--provider", metavar="NAME", help="Ask another provider, in its own words.")
    parser.add_argument("--model", metavar="NAME", help="Ask another model.")
    parser.add_argument(
        "--set",
        metavar="NAME=JSON",
        action="append",
        dest="parameters",
        help="Set a member of the request; null: none.",
    )
    parser.add_argument("--body", metavar="FILE", help="Send this request instead; - is standard input.")
    parser.add_argument("--stream", action=argparse.BooleanOptionalAction, help="Ask for a stream, or for none.")
    parser.add_argument("--tag", metavar="TEXT", action="append", dest="tags", help="Tag the new call.")
    parser.add_argument("--dry-run", action="store_true", default=False, help="Only show what would be sent.")
    return parser


def run(command: str, argv: Sequence[str]) -> int:
    """Run `replay` and return the exit code: 1 where the provider refused."""
    options = make_parser(command).parse_args(argv)
    config = config_from(options)
    edit = _edit(options)
    out = out_for(config, options)
    with _server(config, options) as source:
        return ending(lambda: _replay(source, options, edit, out))


@contextmanager
def _server(config: Config, options: argparse.Namespace) -> Iterator[ServerSource]:
    """Give the server to ask; where none runs, one of our own for as long as it takes."""
    url = server_url(config, options)
    if url is not None:
        source = ServerSource(url, config.token)
        try:
            yield source
        finally:
            source.close()
        return
    from dataclasses import replace

    from llmflow_web.app.serve import Server
    from llmflow_web.console import Console

    if not config.database.exists():
        raise LLMFlowError(f"Nothing is recorded in {config.database.parent} yet.")
    alone = replace(config, proxy_port=0, dashboard_port=0, otlp_port=None, quiet=True, price_refresh=False)
    with Server(alone, Console(sys.stderr, is_quiet=True)) as server:
        source = ServerSource(server.dashboard_url, config.token)
        try:
            yield source
        finally:
            source.close()


def _edit(options: argparse.Namespace) -> JSON:
    """Read what is to be changed. Raises ConfigError."""
    told = vars(options)
    edit: JSON = {name: told[name] for name in ("provider", "model", "stream", "tags") if told.get(name) is not None}
    if told.get("parameters"):
        edit["parameters"] = dict(_parameter(text) for text in told["parameters"])
    if told.get("body") is not None:
        edit["body"] = _body(str(told["body"]))
    return edit


def _parameter(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise ConfigError(f"--set wants NAME=JSON, such as temperature=0; got {text[:80]!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value  # a bare word is a text


def _body(name: str) -> Any:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        return json.loads(text)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--body {name}: {error}") from error


def _replay(source: ServerSource, options: argparse.Namespace, edit: JSON, out: Out) -> int:
    key = whole_key(source, options.id)
    path = f"/api/traces/{_quoted(key)}/replay"
    chosen: dict[str, str] = {name: str(edit[name]) for name in ("provider", "model") if name in edit}
    plan: JSON = source.get(path, chosen).value
    if options.dry_run:
        out.lines([json.dumps(edit.get("body") or plan["body"], indent=2, ensure_ascii=True)])
        return 0
    for note in plan["notes"]:
        out.note(note)
    headers = {} if plan["has_key"] else _key_for(plan["provider"], os.environ, source.where)
    told: JSON = source.post(f"{path}?wait=1", edit, headers)
    before = source.get(f"/api/traces/{_quoted(key)}").value["trace"]
    after = source.get(f"/api/traces/{_quoted(told['id'])}", {"trace_id": told["trace_id"]}).value
    if out.is_json:
        out.value(told | {"trace": after["trace"], "messages": after["messages"]})
    else:
        out.lines(list(_lines(before, after, out)))
    return EXIT_REFUSED if told["status"] >= 400 else 0


def _key_for(provider: str, env: Mapping[str, str], url: str) -> dict[str, str]:
    """Return the key of our own environment, for a server on this machine whose environment has none."""
    from urllib.parse import urlsplit

    from llmflow_web.app.config import is_loopback
    from llmflow_web.registry import PROVIDERS

    if not is_loopback(urlsplit(url).hostname or ""):
        return {}
    names = next((row.key_env for row in PROVIDERS if row.name == provider), ())
    value = next((env[name] for name in names if env.get(name)), None)
    return {KEY_HEADER: value} if value else {}


def _lines(before: JSON, after: JSON, out: Out) -> Iterator[str]:
    """Show both calls side by side, and the new answer."""
    row = after["trace"]
    width = max(20, (out.width - 16) // 2)
    yield f"{'':<13} {'recorded':<{width}} now"
    for label, name in _FIGURES:
        one, two = _shown(name, before.get(name)), _shown(name, row.get(name))
        yield (
            f"{label:<13} {one:<{width}} {two}"
            if one == two
            else f"{label:<13} {one:<{width}} {out.paint(two, 'bold')}"
        )
    if row.get("error"):
        yield f"{'error':<13} {clean(str(row['error']))}"
    texts = [part["text"] for message in after["messages"]["output"] for part in message["parts"] if part.get("text")]
    if texts:
        yield ""
        for text in texts:
            yield from (clean(line) for line in text.splitlines())
    yield ""
    yield f"llmflow diff {before['id']} {row['id']}"


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in ("duration_ms", "ttft_ms"):
        return f"{value / 1000:.2f} s"
    return f"${value:.6f}" if name == "estimated_cost" else clean(str(value))


def _quoted(key: str) -> str:
    from urllib.parse import quote

    return quote(key, safe="")
