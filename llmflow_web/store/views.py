"""Saved views: names for queries of the list, kept in the data dir so that every browser has them."""

from __future__ import annotations

import sqlite3

from llmflow_web.errors import BadRequest
from llmflow_web.model import JSON

MAX_VIEWS = 200


def list_views(connection: sqlite3.Connection) -> list[JSON]:
    """Return all views by name."""
    rows = connection.execute("SELECT name, query, created_ms FROM views ORDER BY lower(name), name")
    return [{"name": name, "query": query, "created_ms": created_ms} for name, query, created_ms in rows]


def save_view(connection: sqlite3.Connection, name: str, query: str, now_ms: int) -> JSON:
    """Write one view, replacing the one of this name. Inside the caller's transaction.

    Raises:
        BadRequest: There are MAX_VIEWS others already.
    """
    others: int = connection.execute("SELECT COUNT(*) FROM views WHERE name <> ?", (name,)).fetchone()[0]
    if others >= MAX_VIEWS:
        raise BadRequest(f"there are {MAX_VIEWS} saved views already; delete one first")
    connection.execute("INSERT OR REPLACE INTO views (name, query, created_ms) VALUES (?, ?, ?)", (name, query, now_ms))
    return {"name": name, "query": query, "created_ms": now_ms}


def delete_view(connection: sqlite3.Connection, name: str) -> bool:
    """Delete a view and say whether there was one. Inside the caller's transaction."""
    return connection.execute("DELETE FROM views WHERE name = ?", (name,)).rowcount > 0
