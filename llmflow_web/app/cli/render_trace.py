"""One trace for a reader: its tree with times, tokens and cost, then the call that was asked for. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmflow_web.app.cli.cells import Cell, Column, Paint, clean, clean_lines, pad, table, width_of, wrap
from llmflow_web.app.cli.render_list import outcome
from llmflow_web.console import short_cost, short_count, short_duration

JSON = Mapping[str, Any]

FOLD_LINES = 12
FOLD_CHARS = 1200
MAX_TREE_ROWS = 60
_INDENT = "  "
_COLUMNS = (
    Column("SPAN", least=16),
    Column("ST", is_right=True),
    Column("START", is_right=True),
    Column("TOOK", is_right=True),
    Column("TOKENS", is_right=True),
    Column("COST", is_right=True),
    Column("ID"),
)
_ROLES = {"system": "magenta", "developer": "magenta", "user": "cyan", "assistant": "green", "tool": "yellow"}


def trace_lines(detail: JSON, tree: JSON, width: int, paint: Paint, *, is_full: bool) -> list[str]:
    """Return everything `show` shows of a call: the tree it is in, its figures, its messages."""
    span = detail["trace"]
    lines = [*_tree_lines(tree, span["id"], width, paint, is_full=is_full)] if _has_tree(tree) else []
    lines += ["", *figure_lines(span, width, paint)] if lines else figure_lines(span, width, paint)
    lines += ["", *message_lines(detail, width, paint, is_full=is_full)]
    while lines and not lines[-1]:
        lines.pop()
    return lines


# ── the tree ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _has_tree(tree: JSON) -> bool:
    return len(tree["spans"]) > 1 or any(span["children"] for span in tree["spans"])


def _tree_lines(tree: JSON, chosen: str, width: int, paint: Paint, *, is_full: bool) -> Iterator[str]:
    begin = int(tree["trace"]["start_ns"])
    rows = list(_rows(tree["spans"], "", begin, chosen, is_top=True))
    shown = rows if is_full else rows[:MAX_TREE_ROWS]
    yield from table(_COLUMNS, shown, width, paint)
    if len(rows) > len(shown):
        yield paint(f"… {len(rows) - len(shown)} more spans: --full shows them", "dim")


def _rows(spans: Sequence[JSON], lead: str, begin: int, chosen: str, *, is_top: bool) -> Iterator[list[Cell]]:
    for number, span in enumerate(spans):
        is_last = number == len(spans) - 1
        branch, below = ("", "") if is_top else ("└ ", "  ") if is_last else ("├ ", "│ ")
        yield _row(span, lead + branch, begin, is_chosen=span["id"] == chosen)
        yield from _rows(span["children"], lead + below, begin, chosen, is_top=False)


def _row(span: JSON, lead: str, begin: int, *, is_chosen: bool) -> list[Cell]:
    word, style = outcome(span)
    tokens, cost = span.get("total_tokens"), span.get("estimated_cost")
    start_ms = (int(span["start_ns"]) - begin) / 1e6
    return [
        Cell(lead + span_label(span), "bold" if is_chosen else "dim" if span.get("joined_to") else ""),
        Cell(word, style),
        Cell(f"+{short_duration(max(0.0, start_ms))}", "dim"),
        Cell(short_duration(span.get("duration_ms"))),
        Cell(short_count(tokens) if tokens else "-"),
        Cell(short_cost(cost) if cost is not None else "?" if tokens else "-"),
        Cell(str(span["id"])[:8], "dim"),
    ]


def span_label(span: JSON) -> str:
    """Return what a span of a tree is called."""
    name = span.get("span_name") or span.get("model") or span.get("request_path") or span.get("span_type") or "span"
    return f"{name}" if span.get("span_type") in (None, "llm") else f"{span['span_type']}: {name}"


# ── figures ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def figure_lines(span: JSON, width: int, paint: Paint) -> list[str]:
    """Return what is known of a call, one thing a line."""
    word, style = outcome(span)
    pairs = [
        ("call", f"{span.get('provider') or '-'} {span.get('model') or span.get('span_name') or '-'}"),
        ("asked", _asked(span)),
        ("status", f"{word}{_ending(span)}"),
        ("error", str(span.get("error") or "")),
        ("took", _took(span)),
        ("tokens", _tokens(span)),
        ("cost", _cost(span)),
        ("labels", _labels(span)),
        ("notes", "; ".join([*(span.get("notes") or ()), *(f"dropped: {one}" for one in span.get("dropped") or ())])),
        ("ids", f"span {span['id']}, trace {span['trace_id']}"),
    ]
    colors = {"status": style, "error": "red"}
    lines: list[str] = []
    for name, text in pairs:
        if text:
            first, *more = wrap(clean(text), width - 8)
            lines.append(paint(pad(name, 8), "dim") + paint(first, colors.get(name, "")))
            lines += [" " * 8 + paint(line, colors.get(name, "")) for line in more]
    return lines


def _asked(span: JSON) -> str:
    where = " ".join(filter(None, (span.get("request_method"), span.get("request_path"))))
    asked = span.get("request_model")
    return f"{where}, model {asked}" if where and asked and asked != span.get("model") else where


def _ending(span: JSON) -> str:
    told = [text for text in (span.get("finish_reason"), span.get("ending")) if text and text != "finished"]
    return f" ({', '.join(told)})" if told else ""


def _took(span: JSON) -> str:
    text = short_duration(span.get("duration_ms"))
    if span.get("ttft_ms") is not None:
        text += f", first token after {short_duration(span['ttft_ms'])}"
    return text + (", streamed" if span.get("is_stream") else "")


def _tokens(span: JSON) -> str:
    if span.get("prompt_tokens") is None and span.get("completion_tokens") is None:
        return ""
    into = [f"{span.get('prompt_tokens') or 0:,} in"]
    into += [f"{span[name]:,} {word}" for name, word in _INSIDE_IN if span.get(name)]
    out = [f"{span.get('completion_tokens') or 0:,} out"]
    out += [f"{span['reasoning_tokens']:,} reasoning"] if span.get("reasoning_tokens") else []
    guess = " (estimated)" if span.get("is_estimated") else ""
    return f"{_with_inside(into)} → {_with_inside(out)}{guess}"


_INSIDE_IN = (("cached_tokens", "cached"), ("cache_write_tokens", "cache written"))


def _with_inside(words: Sequence[str]) -> str:
    return f"{words[0]} ({', '.join(words[1:])})" if len(words) > 1 else words[0]


def _cost(span: JSON) -> str:
    cost, detail = span.get("estimated_cost"), span.get("cost_detail") or {}
    if cost is None:
        return "unknown: no price for this model" if span.get("model") and span.get("total_tokens") else ""
    said = [f"${cost:.6f}".rstrip("0").rstrip(".") if cost else "$0"]
    if detail.get("quality") not in (None, "exact", "none"):
        said.append(str(detail["quality"]))
    if span.get("price_key"):
        said.append(f"by {span['price_key']} of {detail.get('price_date') or '?'}")
    if detail.get("recorded"):
        before = detail["recorded"].get("cost")
        said.append("recorded as unknown" if before is None else f"recorded as ${before:.6f}".rstrip("0").rstrip("."))
    return ", ".join(said)


def _labels(span: JSON) -> str:
    pairs = [(word, span.get(name)) for name, word in _LABELS]
    return " ".join([*(f"{word}:{value}" for word, value in pairs if value), *(f"tag:{t}" for t in span["tags"])])


_LABELS = (
    ("source", "source"), ("service_name", "service"), ("session_id", "session"), ("conversation_id", "conversation"),
    ("user_id", "user"), ("agent_name", "agent"), ("tool", "tool"), ("prompt_name", "prompt"),
    ("replay_of", "replay_of"), ("joined_to", "joined_to"),
)  # fmt: skip


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def message_lines(detail: JSON, width: int, paint: Paint, *, is_full: bool) -> list[str]:
    """Return the conversation; where there is none, what a span got and gave."""
    messages = detail["messages"]
    lines: list[str] = []
    for side in ("input", "output"):
        said = messages.get(side) or []
        for message in said:
            lines += [*_message(message, width, paint, is_full=is_full), ""]
        if not said and detail.get(side) is not None:
            lines += [_rule(side, width, paint, ""), *_body(_text_of(detail[side]), width, paint, is_full=is_full), ""]
    return lines


def _message(message: JSON, width: int, paint: Paint, *, is_full: bool) -> Iterator[str]:
    role = str(message.get("role") or "?")
    named = f"{role} ({message['name']})" if message.get("name") else role
    yield _rule(named, width, paint, _ROLES.get(role, "bold"))
    for part in message.get("parts") or ():
        yield from _part(part, width, paint, is_full=is_full)


def _rule(title: str, width: int, paint: Paint, style: str) -> str:
    head = f"── {clean(title)} "
    return paint(head + "─" * max(0, min(width, 80) - width_of(head)), style or "dim")


def _part(part: JSON, width: int, paint: Paint, *, is_full: bool) -> Iterator[str]:
    kind = part.get("type")
    if kind == "tool_call":
        yield paint(f"→ {clean(str(part.get('name')))}", "yellow") + paint(
            f"  {clean(str(part.get('id') or ''))}", "dim"
        )
        yield from _body(_pretty(part.get("arguments")), width, paint, is_full=is_full)
    elif kind == "tool_result":
        yield paint(f"← {clean(str(part.get('id') or 'result'))}", "yellow")
        yield from _body(_pretty(part.get("content")), width, paint, is_full=is_full)
    elif kind in ("reasoning", "refusal"):
        yield paint(f"({kind})", "dim")
        yield from _body(str(part.get("text") or part.get("refusal") or ""), width, paint, is_full=is_full)
    elif kind == "text":
        yield from _body(str(part.get("text") or ""), width, paint, is_full=is_full, indent="")
    elif kind == "json":
        yield from _body(_text_of(part.get("value")), width, paint, is_full=is_full)
    else:
        told = str(part.get("name") or part.get("url") or part.get("format") or "")
        yield paint(clean(f"[{kind}: {told if len(told) <= 60 else told[:60] + '…'}]"), "dim")


def _body(text: str, width: int, paint: Paint, *, is_full: bool, indent: str = _INDENT) -> Iterator[str]:
    """Return a text, wrapped; a long one folded to its beginning and the word how much there is."""
    shown = text if is_full else text[: FOLD_CHARS * 2]
    lines = [line for raw in clean_lines(shown) for line in wrap(raw, width - len(indent))]
    kept = lines if is_full else _folded(lines)
    yield from (f"{indent}{line}".rstrip() for line in kept)
    if len(kept) < len(lines) or len(shown) < len(text):
        yield paint(f"{indent}… {len(text):,} characters in all: --full shows them", "dim")


def _folded(lines: Sequence[str]) -> Sequence[str]:
    if len(lines) <= FOLD_LINES + 2 and sum(map(len, lines)) <= FOLD_CHARS:
        return lines
    count = chars = 0
    for line in lines[:FOLD_LINES]:
        chars += len(line)
        if chars > FOLD_CHARS:
            break
        count += 1
    return lines[: max(1, count)]


def _pretty(text: Any) -> str:
    """Return text that is JSON laid out, any other as it is."""
    if not isinstance(text, str):
        return _text_of(text)
    if text[:1] in ("{", "["):
        try:
            return _text_of(json.loads(text))
        except (ValueError, RecursionError):
            pass
    return text


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2, default=str)


# ── parts as they came ───────────────────────────────────────────────────────────────────────────────────────────────


def part_lines(detail: JSON, part: str) -> list[str]:
    """Return one part of a call as it was sent: a body, the headers of both sides, the attributes."""
    if part == "headers":
        return [
            line
            for side in ("request", "response")
            for line in ["# " + _first_line(detail, side), *_header_lines(detail[side]["headers"]), ""]
        ][:-1]
    if part == "attributes":
        return clean_lines(_text_of(detail["attributes"]))
    body = detail[part]["body"]
    if body is None:
        return []
    return clean_lines(_text_of(body))


def _first_line(detail: JSON, side: str) -> str:
    told = detail[side]
    return clean(f"{told['method']} {told['path']}" if side == "request" else f"{told['status']}")


def _header_lines(headers: Mapping[str, str]) -> list[str]:
    return [clean(f"{name}: {value}") for name, value in headers.items()]
