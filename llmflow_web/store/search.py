"""Free text: the full-text index, what feeds it, and what is looked at where it does not reach.

The index is fed when the writer has time (`feed`), up to a watermark in the writer's counter; rows past it are few and
are looked at one by one. Words FTS5 cannot find (under three characters, CJK, punctuation) are found by LIKE.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from llmflow_web.model import PART_ARRIVALS, PART_HEADERS
from llmflow_web.store.counters import Counters
from llmflow_web.wire.filter import Term

Texts = Callable[[str | None, str | None, dict[int, bytes]], str]

MAX_TEXT = 64 * 1024
MAX_KNOWN_CHARS = 4 * 1024 * 1024  # of texts kept until the index is fed
MAX_MATCHES = 200_000  # newest matches of the index that one query considers
MAX_LIKE_ROWS = 20_000  # newest indexed texts that LIKE looks at
MAX_FRESH_ROWS = 2_000  # rows past the watermark whose columns are looked at
MAX_FRESH_BODIES = 300  # … and whose bodies are
MAX_FRESH_S = 0.3  # … as long as that takes
_UNREADABLE = (PART_HEADERS, PART_ARRIVALS)
_CJK = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff]")


class Connection(sqlite3.Connection):
    """A connection of ours: it knows how search works in this file and how to get a span's text."""

    texts: Texts | None = None
    mode: str | None = None  # "fts5", "like" or "none"; None: not yet asked


def mode_of(connection: sqlite3.Connection) -> str:
    """Say how `search` can be used on this connection."""
    from llmflow_web.store.schema import search_mode

    if not isinstance(connection, Connection):
        return search_mode(connection)
    if connection.mode is None:
        connection.mode = search_mode(connection)
    return connection.mode


def matching(connection: sqlite3.Connection, terms: Sequence[Term]) -> Iterator[tuple[str, list[Any]]]:
    """Yield the conditions on s.seq that free-text terms come to.

    The second parameter of each is the least seq that is looked for: 0, unless the asker knows a greater one.
    """
    wanted = [term for term in terms if not term.is_negated]
    unwanted = [term for term in terms if term.is_negated]
    if wanted:
        yield _membership(connection, wanted, "IN")
    for term in unwanted:
        yield _membership(connection, [term], "NOT IN")


def _membership(connection: sqlite3.Connection, terms: list[Term], verb: str) -> tuple[str, list[Any]]:
    fresh = json.dumps(_fresh_matches(connection, terms))
    indexed, params = _indexed(mode_of(connection), terms)
    return f"s.seq {verb} (SELECT value FROM json_each(?) UNION ALL {indexed})", [fresh, 0, *params]


def _indexed(mode: str, terms: list[Term]) -> tuple[str, list[Any]]:
    """Return the SELECT of indexed rows in which all the terms occur."""
    if mode == "none":
        return "SELECT 0 WHERE 0 > ?", []
    by_index = [term for term in terms if mode == "fts5" and _is_for_fts(_word(term))]
    by_like = [term for term in terms if term not in by_index]
    likes = "".join(" AND text LIKE ? ESCAPE '\\'" for _ in by_like)
    params: list[Any] = [_contains(_word(term)) for term in by_like]
    if by_index:
        query = " AND ".join(map(_fts, by_index))
        sql = f"SELECT rowid FROM search WHERE rowid >= ? AND search MATCH ?{likes}"
        return f"SELECT * FROM ({sql} ORDER BY rowid DESC LIMIT {MAX_MATCHES})", [query, *params]
    floor = f"(SELECT IFNULL(MAX(seq), 0) - {MAX_LIKE_ROWS} FROM spans)"
    return f"SELECT rowid FROM search WHERE rowid >= ? AND rowid > {floor}{likes}", params


def _word(term: Term) -> str:
    return str(term.values[0])


def _is_for_fts(text: str) -> bool:
    tokens = re.findall(r"\w+", text)
    return bool(tokens) and len(text) >= 3 and not _CJK.search(text)


def _fts(term: Term) -> str:
    """Quote a term for FTS5: a word finds what begins with it, a phrase is found as it stands."""
    quoted = '"' + _word(term).replace('"', '""') + '"'
    return quoted + " *" if term.field == "word" else quoted


def _contains(text: str) -> str:
    for char in "\\%_":
        text = text.replace(char, "\\" + char)
    return f"%{text}%"


_FRESH_SQL = f"""
SELECT seq, provider, operation, model, span_name, error, preview_in, preview_out FROM spans WHERE seq IN (
  SELECT seq FROM (SELECT seq FROM spans WHERE seq > :mark AND change IS NULL ORDER BY seq DESC LIMIT {MAX_FRESH_ROWS})
  UNION ALL
  SELECT seq FROM (SELECT seq FROM spans WHERE change > :mark ORDER BY change DESC LIMIT {MAX_FRESH_ROWS})
) ORDER BY seq DESC
"""


def _fresh_matches(connection: sqlite3.Connection, terms: list[Term]) -> list[int]:
    """Return the rows past the watermark in which all the terms occur."""
    mark = connection.execute("SELECT value FROM counters WHERE name = 'indexed'").fetchone()[0]
    words = [_word(term).lower() for term in terms]
    found = []
    until = time.monotonic() + MAX_FRESH_S
    for number, (seq, provider, operation, *shown) in enumerate(connection.execute(_FRESH_SQL, {"mark": mark})):
        text = "\n".join(part for part in shown if part).lower()
        if not all(word in text for word in words) and number < MAX_FRESH_BODIES and time.monotonic() < until:
            text += "\n" + _text_of(connection, seq, provider, operation).lower()
        if all(word in text for word in words):
            found.append(seq)
    return found


def _text_of(connection: sqlite3.Connection, seq: int, provider: str | None, operation: str | None) -> str:
    texts = connection.texts if isinstance(connection, Connection) else None
    try:
        bodies = dict(readable_bodies(connection, seq))
        if texts is not None:
            return texts(provider, operation, bodies)
        return "\n".join(data.decode("utf-8", "replace") for data in bodies.values())
    except sqlite3.Error:
        raise
    except Exception:  # noqa: BLE001 - bodies are strangers' bytes: one that cannot be read has no text
        return ""


def readable_bodies(connection: sqlite3.Connection, seq: int) -> Iterator[tuple[int, bytes]]:
    """Yield the parts of a span that hold text."""
    rows = connection.execute(
        "SELECT key & 15, encoding, is_raw, data FROM bodies WHERE key >= ? AND key < ?", (seq * 16, seq * 16 + 16)
    )
    for part, encoding, is_raw, data in rows:
        if not is_raw and part not in _UNREADABLE:
            yield part, zlib.decompress(data) if encoding else data


_TO_FEED = """
SELECT number, seq, provider, operation, span_name, model, error FROM (
  SELECT * FROM (SELECT seq AS number, * FROM spans WHERE seq > :mark AND change IS NULL ORDER BY seq LIMIT :rows)
  UNION ALL
  SELECT * FROM (SELECT change AS number, * FROM spans WHERE change > :mark ORDER BY change LIMIT :rows)
) ORDER BY number LIMIT :rows
"""


class KnownTexts:
    """Texts of new spans that need not be read again when the index is fed.

    The oldest are kept, since they are fed first; those of a burst beyond the bound are read from the file.
    """

    def __init__(self, max_chars: int = MAX_KNOWN_CHARS) -> None:
        self._max_chars = max_chars
        self._chars = 0
        self._by_seq: dict[int, str] = {}

    def __repr__(self) -> str:
        return f"<KnownTexts of {len(self._by_seq)} spans, {self._chars} characters>"

    def keep(self, texts: Mapping[int, str]) -> None:
        """Take in texts by the seqs of their spans."""
        for seq, text in texts.items():
            if self._chars + len(text) > self._max_chars:
                return
            self._by_seq[seq] = text
            self._chars += len(text)

    def take(self, number: int) -> str | None:
        """Give away the text of a new span; a number given to a change has none."""
        text = self._by_seq.pop(number, None)
        self._chars -= len(text or "")
        return text

    def clear(self) -> None:
        """Let go of what nobody has asked for: spans deleted or changed before their turn came."""
        self._by_seq.clear()
        self._chars = 0


def feed(
    connection: sqlite3.Connection,
    counters: Counters,
    rows: int,
    is_due: Callable[[], bool],
    known: KnownTexts | None = None,
) -> int:
    """Index up to `rows` spans past the watermark, inside the caller's transaction, and return how many.

    `is_due` is asked between rows and ends the work early when it says no. `known`: texts that need not be read.
    """
    known = known or KnownTexts()
    mode, count = mode_of(connection), 0
    waiting = connection.execute(_TO_FEED, {"mark": counters.indexed, "rows": rows}).fetchall()
    for number, seq, provider, operation, *shown in waiting:
        text = known.take(number)
        if mode != "none":
            if text is None:
                text = _text_of(connection, seq, provider, operation)
            _feed_one(connection, seq, "\n".join([text[:MAX_TEXT], *filter(None, shown)]))
        counters.indexed = number
        count += 1
        if not is_due():
            break
    if len(waiting) < rows and count == len(waiting):
        counters.indexed = counters.counter  # numbers given to deletions need no index
        known.clear()
    return count


def _feed_one(connection: sqlite3.Connection, seq: int, text: str) -> None:
    connection.execute("DELETE FROM search WHERE rowid = ?", (seq,))
    if text:
        clean = text.encode("utf-8", "replace").decode() if not text.isascii() else text
        connection.execute("INSERT INTO search (rowid, text) VALUES (?, ?)", (seq, clean))


def forget(connection: sqlite3.Connection, seqs: Sequence[int]) -> None:
    """Take rows out of the index."""
    if mode_of(connection) != "none":
        connection.executemany("DELETE FROM search WHERE rowid = ?", [(seq,) for seq in seqs])


_MERGE_PAGES = 500


def scrub(connection: sqlite3.Connection, *, is_first: bool) -> bool:
    """Merge a piece of the index and say whether all is merged: until then FTS5 keeps deleted text."""
    if mode_of(connection) != "fts5":
        return True
    before = connection.total_changes
    # A negative number begins a merge of everything, positive ones go on with it (FTS5, "The merge command").
    pages = -_MERGE_PAGES if is_first else _MERGE_PAGES
    connection.execute("INSERT INTO search (search, rank) VALUES ('merge', ?)", (pages,))
    return connection.total_changes - before < 2
