"""Budgets that were made on the screen, and the alerts that were sent: what of them lies in the file."""

from __future__ import annotations

import json
import sqlite3

from llmflow_web.errors import BadRequest
from llmflow_web.model import JSON

MAX_RULES = 100
MAX_ALERTS = 500


def list_rules(connection: sqlite3.Connection) -> dict[str, JSON]:
    """Return all rules by name."""
    rows = connection.execute("SELECT name, rule FROM budgets ORDER BY created_ms, name")
    return {name: json.loads(rule) for name, rule in rows}


def save_rule(connection: sqlite3.Connection, name: str, rule: JSON, now_ms: int) -> None:
    """Write one rule, replacing the one of this name. Inside the caller's transaction.

    Raises:
        BadRequest: There are MAX_RULES others already.
    """
    found = connection.execute("SELECT created_ms FROM budgets WHERE name = ?", (name,)).fetchone()
    if found is None and connection.execute("SELECT COUNT(*) FROM budgets").fetchone()[0] >= MAX_RULES:
        raise BadRequest(f"there are {MAX_RULES} budgets already; delete one first")
    values = (name, json.dumps(rule), now_ms if found is None else found[0])
    connection.execute("INSERT OR REPLACE INTO budgets (name, rule, created_ms) VALUES (?, ?, ?)", values)


def delete_rule(connection: sqlite3.Connection, name: str) -> bool:
    """Delete a rule and say whether there was one. Inside the caller's transaction."""
    return connection.execute("DELETE FROM budgets WHERE name = ?", (name,)).rowcount > 0


def add_alert(connection: sqlite3.Connection, key: str, window_start: int, at_ms: int, facts: JSON) -> int:
    """Keep an alert, and of all the newest MAX_ALERTS. Inside the caller's transaction. Returns its number."""
    cursor = connection.execute(
        "INSERT INTO budget_alerts (budget, event, window_start, at_ms, facts) VALUES (?, ?, ?, ?, ?)",
        (key, facts["event"], window_start, at_ms, json.dumps(facts)),
    )
    seq = cursor.lastrowid or 0
    connection.execute("DELETE FROM budget_alerts WHERE seq <= ?", (seq - MAX_ALERTS,))
    return seq


def list_alerts(connection: sqlite3.Connection, limit: int) -> list[JSON]:
    """Return the newest alerts, newest first."""
    rows = connection.execute("SELECT facts FROM budget_alerts ORDER BY seq DESC LIMIT ?", (limit,))
    return [json.loads(facts) for (facts,) in rows]


def recent_answers(connection: sqlite3.Connection, limit: int) -> list[tuple[str, int]]:
    """Return (model, completion tokens) of the newest calls, oldest first: how long answers are."""
    rows = connection.execute(_ANSWERS, (limit,)).fetchall()
    return rows[::-1]


_ANSWERS = (
    "SELECT IFNULL(request_model, model), completion_tokens FROM (SELECT * FROM spans ORDER BY seq DESC LIMIT ?) "
    "WHERE completion_tokens IS NOT NULL AND IFNULL(request_model, model) IS NOT NULL AND IFNULL(status, 0) < 400"
)


def sent_alerts(connection: sqlite3.Connection) -> list[tuple[str, str, int]]:
    """Return (budget, event, window) of the alerts that are kept."""
    return connection.execute("SELECT budget, event, window_start FROM budget_alerts").fetchall()
