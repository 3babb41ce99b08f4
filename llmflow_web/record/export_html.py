"""Traces as one HTML file: made here, read anywhere, offline. Pure.

It holds what strangers wrote, so everything in it is text: each value is escaped, there is no script and no link, and
its own policy forbids whatever could be fetched. Only inlined pictures of plain kinds are shown as such.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from llmflow_web.model import (
    JSON,
    PART_ANSWER,
    PART_ATTRIBUTES,
    PART_INPUT,
    PART_OTLP,
    PART_OUTPUT,
    PART_REQUEST,
    PART_RESPONSE,
    Body,
)

MAX_PART_CHARS = 256 * 1024
"""Of each text; a longer one is cut, and says so."""

MAX_SPANS = 2000
"""Of one trace."""

MAX_PAGE_CHARS = 32 * 1024 * 1024
"""Messages and bodies beyond it are left out of the page."""

MAX_IMAGE_CHARS = 4 * 1024 * 1024
_MAX_INDENT = 24
_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+")
_PARTS = (
    (PART_REQUEST, "Request"), (PART_RESPONSE, "Response"), (PART_ANSWER, "Answer, put together"),
    (PART_INPUT, "Input"), (PART_OUTPUT, "Output"), (PART_ATTRIBUTES, "Attributes"), (PART_OTLP, "OpenTelemetry"),
)  # fmt: skip
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_STYLE = """
:root{color-scheme:light dark;--line:#d9dde3;--muted:#5a6270;--bar:#0b5fd0;--bad:#b3261e;--soft:#f4f6f8}
@media(prefers-color-scheme:dark){:root{--line:#2c3138;--muted:#a3abb8;--bar:#7ab2ff;--bad:#ff8a80;--soft:#1b1f25}}
body{font:14px/1.45 system-ui,sans-serif;margin:0 auto;max-width:72rem;padding:1rem}
h1{font-size:1.3rem}h2{font-size:1.1rem;margin-top:2rem}h3,h4{font-size:1rem;margin:.8rem 0 .3rem}
h1,h2,dd,summary,pre{overflow-wrap:anywhere}p{margin:.3rem 0}.muted{color:var(--muted)}.bad{color:var(--bad)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem}dt{color:var(--muted)}dd{margin:0}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{border-bottom:1px solid var(--line);padding:.2rem .5rem;text-align:left;white-space:nowrap}
td.n,th.n{text-align:right}td.t{min-width:14rem;width:40%}
.bar{background:var(--bar);height:.6rem;min-width:2px;border-radius:2px}
details{border:1px solid var(--line);border-radius:6px;margin:.5rem 0;padding:.3rem .7rem}summary{cursor:pointer}
pre{background:var(--soft);border-radius:4px;margin:.3rem 0;padding:.5rem;white-space:pre-wrap;unicode-bidi:plaintext}
.said{border-left:3px solid var(--line);margin:.6rem 0;padding-left:.7rem}img{max-width:100%}
"""


@dataclass(frozen=True, slots=True)
class ToldSpan:
    """A span, and how what was stored of it is read: one span's bodies are in memory at a time."""

    span: JSON  # its whole row
    depth: int
    read: Callable[[], tuple[Mapping[str, Sequence[JSON]], Mapping[int, Body]]]  # its messages and its bodies


@dataclass(frozen=True, slots=True)
class ToldTrace:
    """A trace's summary, and its spans, parents before their children."""

    summary: JSON
    spans: Sequence[ToldSpan]


class _Room:
    """How much the page may still hold."""

    def __init__(self) -> None:
        self.left = MAX_PAGE_CHARS

    def cut(self, text: str) -> tuple[str, str]:
        """Return what of a text fits, and a sentence about the rest."""
        kept = text[: max(0, min(MAX_PART_CHARS, self.left))]
        self.left -= len(kept)
        more = len(text) - len(kept)
        return kept, f"{more:,} more characters are not in this file." if more else ""


def page(traces: Sequence[ToldTrace], *, exported_at: str, version: str) -> str:
    """Return the whole file."""
    room = _Room()
    title = _name(traces[0]) if len(traces) == 1 else f"{len(traces)} traces"
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)} · LLMFlow</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{_text(title)}</h1>\n<p class="muted">Exported {_text(exported_at)} by LLMFlow {_text(version)}.</p>\n'
    )
    body = "".join(piece for trace in traces for piece in _trace(trace, room, is_alone=len(traces) == 1))
    return f"{head}{body}</main>\n</body>\n</html>\n"


def _text(value: object) -> str:
    """Escape a value for HTML; what no file may hold becomes a mark."""
    text = str(value).encode("utf-8", "replace").decode("utf-8")
    return escape("".join(char if char >= " " or char in "\n\t" else "\ufffd" for char in text))


def _name(trace: ToldTrace) -> str:
    return str(trace.spans[0].span["span_name"] or trace.summary["trace_id"]) if trace.spans else "trace"


# ── a trace ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _trace(trace: ToldTrace, room: _Room, *, is_alone: bool) -> Iterator[str]:
    summary = trace.summary
    yield "<section>\n" + ("" if is_alone else f"<h2>{_text(_name(trace))}</h2>\n")
    yield _list(
        [
            ("Trace", summary["trace_id"]), ("Started", _moment(summary["start_time"])),
            ("Duration", _duration(summary["duration_ms"])), ("Spans", summary["span_count"]),
            ("Errors", summary["error_count"]), ("Tokens", _number(summary["total_tokens"])),
            ("Cost", _money(summary["total_cost"]) + _unpriced(summary["unpriced_count"])),
            ("Session", summary.get("session_id")),
        ]
    )  # fmt: skip
    yield from _waterfall(trace)
    for told in trace.spans[:MAX_SPANS]:
        yield from _span(told, room, is_open=len(trace.spans) == 1)
    if len(trace.spans) > MAX_SPANS:
        yield f'<p class="muted">{len(trace.spans) - MAX_SPANS:,} more spans are not in this file.</p>\n'
    yield "</section>\n"


def _list(pairs: Sequence[tuple[str, object]]) -> str:
    rows = "".join(
        f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in pairs if value not in (None, "", [])
    )
    return f"<dl>{rows}</dl>\n"


def _waterfall(trace: ToldTrace) -> Iterator[str]:
    begin = int(trace.summary["start_ns"])
    whole = max(trace.summary["duration_ms"] or 0.0, 0.001)
    yield (
        '<div class="wide"><table>\n<tr><th>Span</th><th>Model</th><th>Status</th><th class="n">Duration</th>'
        '<th class="n">Tokens</th><th class="n">Cost</th><th>Time</th></tr>\n'
    )
    for told in trace.spans[:MAX_SPANS]:
        span = told.span
        start_ms = (int(span["start_ns"]) - begin) / 1e6
        left = _share(start_ms, whole)
        width = min(_share(span["duration_ms"] or 0.0, whole), 100 - left)
        indent = min(told.depth, _MAX_INDENT)
        yield (
            f'<tr><td style="padding-left:{0.5 + indent}rem">{_text(span["span_name"] or span["id"])} '
            f'<span class="muted">{_text(span["span_type"])}</span></td><td>{_text(span["model"] or "")}</td>'
            f'<td>{_status(span)}</td><td class="n">{_text(_duration(span["duration_ms"]))}</td>'
            f'<td class="n">{_text(_number(span["total_tokens"]))}</td>'
            f'<td class="n">{_text(_money(span["estimated_cost"]))}</td><td class="t">'
            f'<div class="bar" style="margin-left:{left:.2f}%;width:{width:.2f}%"></div></td></tr>\n'
        )
    yield "</table></div>\n"


def _share(part: float, whole: float) -> float:
    return max(0.0, min(100.0, 100 * part / whole))


def _status(span: JSON) -> str:
    status = span["status"]
    if status is None:
        return ""
    return f'<span class="bad">error {_text(status)}</span>' if status >= 400 else f"ok {_text(status)}"


# ── a span ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _span(told: ToldSpan, room: _Room, *, is_open: bool) -> Iterator[str]:
    span = told.span
    yield (
        f"<details{' open' if is_open else ''}><summary><b>{_text(span['span_name'] or span['id'])}</b> "
        f"{_text(span['model'] or '')} {_status(span)} {_text(_duration(span['duration_ms']))}</summary>\n"
    )
    yield _list(
        [
            ("Span", span["id"]), ("Started", _moment(span["timestamp"])), ("Provider", span["provider"]),
            ("First token", _duration(span["ttft_ms"])), ("Tokens", _tokens(span)), ("Cost", _bill(span)),
            ("Finish reason", span["finish_reason"]), ("Error", span["error"]), ("User", span["user_id"]),
            ("Tags", ", ".join(span["tags"])), ("Path", span["request_path"]),
            ("Notes", "; ".join([*span.get("notes", ()), *span.get("dropped", ())])),
        ]
    )  # fmt: skip
    if room.left > 0:
        yield from _contents(*told.read(), room)
    else:
        yield '<p class="muted">Its messages are not in this file, which is full.</p>\n'
    yield "</details>\n"


def _contents(messages: Mapping[str, Sequence[JSON]], bodies: Mapping[int, Body], room: _Room) -> Iterator[str]:
    for part, title in (("input", "Input"), ("output", "Output")):
        if messages.get(part):
            yield f"<h3>{title}</h3>\n"
        for message in messages.get(part, ()):
            yield from _message(message, room)
    for number, title in _PARTS:
        body = bodies.get(number)
        if body is not None and body.data:
            yield _raw(title, body, room)


def _message(message: JSON, room: _Room) -> Iterator[str]:
    name = _text(message.get("name") or message.get("tool_call_id") or "")
    yield f'<div class="said"><h4>{_text(message.get("role") or "")} <span class="muted">{name}</span></h4>\n'
    for part in message.get("parts") or ():
        yield _part(part, room)
    yield "</div>\n"


def _part(part: JSON, room: _Room) -> str:
    kind = str(part.get("type") or "")
    if kind == "image":
        return _image(str(part.get("url") or ""), room)
    if kind == "text":
        return _pre("", part.get("text"), room)
    if kind in ("reasoning", "refusal"):
        return _pre(kind, part.get("text") or part.get("refusal"), room)
    if kind == "tool_call":
        return _pre(f"calls {part.get('name')} · {part.get('id') or ''}", part.get("arguments"), room)
    if kind == "tool_result":
        return _pre(f"result of {part.get('id') or 'a tool'}", part.get("content"), room)
    return _pre(kind, json.dumps(part.get("value", part), ensure_ascii=False, indent=1, default=str), room)


def _image(url: str, room: _Room) -> str:
    if len(url) <= min(MAX_IMAGE_CHARS, room.left) and _IMAGE.fullmatch(url):
        room.left -= len(url)
        return f'<p><img alt="an image of the message" src="{_text(url)}"></p>\n'
    return _pre("image", url, room) if not url.startswith("data:") else _pre("image", url[:60] + "…", room)


def _pre(title: str, value: Any, room: _Room) -> str:
    kept, note = room.cut("" if value is None else str(value))
    label = f'<p class="muted">{_text(title)}</p>' if title else ""
    more = f'<p class="muted">{note}</p>' if note else ""
    return f"{label}<pre>{_text(kept)}</pre>{more}\n"


def _raw(title: str, body: Body, room: _Room) -> str:
    if body.is_raw:
        inner = f'<p class="muted">{body.size:,} bytes in an encoding that could not be undone.</p>'
    else:
        inner = _pre("", _pretty(body.data), room)
    cut = ", cut" if body.is_cut else ""
    size = f'<span class="muted">{body.size:,} bytes{cut}</span>'
    return f"<details><summary>{_text(title)} {size}</summary>{inner}</details>\n"


def _pretty(data: bytes) -> str:
    if len(data) <= MAX_PART_CHARS and data.lstrip()[:1] in (b"{", b"["):
        try:
            return json.dumps(json.loads(data), ensure_ascii=False, indent=1)
        except (ValueError, RecursionError):
            pass
    return data[: 4 * MAX_PART_CHARS].decode("utf-8", "replace")


# ── figures ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _moment(ms: int) -> str:
    from datetime import UTC, datetime

    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return str(ms)


def _duration(ms: float | None) -> str:
    if ms is None:
        return ""
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.2f} s"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,}"


def _money(value: float | None) -> str:
    return "" if value is None else f"${value:,.6f}".rstrip("0").ljust(len(f"${value:,.0f}") + 3, "0")


def _unpriced(count: int) -> str:
    return f" and {count} calls of unknown price" if count else ""


def _tokens(span: JSON) -> str:
    if span["prompt_tokens"] is None and span["completion_tokens"] is None:
        return ""
    told = f"{_number(span['prompt_tokens'])} in, {_number(span['completion_tokens'])} out"
    more = [
        f"{span[name]:,} {word}"
        for name, word in (
            ("cached_tokens", "cached"), ("cache_write_tokens", "written to the cache"),
            ("reasoning_tokens", "reasoning"),
        )
        if span[name]
    ]  # fmt: skip
    return told + (f" ({', '.join(more)})" if more else "") + (", estimated" if span["is_estimated"] else "")


def _bill(span: JSON) -> str:
    detail = span.get("cost_detail") or {}
    lines = [f"{one['quantity']:,g} {one['name']} × ${one['price']:g}" for one in detail.get("lines", ())]
    key = f"; {span['price_key']}, {detail.get('price_date') or ''}" if span.get("price_key") else ""
    return _money(span["estimated_cost"]) + (f" = {' + '.join(lines)}{key}" if lines else "")
