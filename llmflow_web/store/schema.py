"""The tables of llmflow.db and the append-only list of steps that made them.

A step is a function `mNNN_name(connection)`; once released it is never edited, only followed by another.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from llmflow_web.store.marks import AGENT_TOOLS, COUNTS_SQL, INFERENCE_SQL, OUR_SOURCES

APPLICATION_ID = 0x4C4C4D46  # "LLMF", at offset 68 of the file

AGENTS_SQL = f"tool IN {AGENT_TOOLS} AND {INFERENCE_SQL} AND prompt_tokens IS NOT NULL"
"""The condition of the index over the calls of coding agents."""

# spans: one row per span. seq and change come from ONE counter that never goes back, so that "what is new since N"
# is seq > N or change > N, and a fresh row pays for no index on change. trace_seq is the seq of the trace's first
# arrival: the key of `traces`; a span alone in its trace has trace_seq = seq and stays out of spans_trace.
_SPANS = f"""
CREATE TABLE spans (
  seq INTEGER PRIMARY KEY,
  trace_seq INTEGER NOT NULL,
  change INTEGER,
  is_root INTEGER NOT NULL DEFAULT 0,
  trace_id TEXT NOT NULL,
  id TEXT NOT NULL,
  parent_id TEXT,
  source TEXT NOT NULL,
  first_source TEXT,
  span_type TEXT NOT NULL,
  span_name TEXT,
  service_name TEXT,
  start_ns INTEGER NOT NULL,
  duration_ns INTEGER,
  ttft_ms REAL,
  provider TEXT,
  model TEXT,
  request_model TEXT,
  operation TEXT,
  response_id TEXT,
  request_id TEXT,
  status INTEGER,
  response_status INTEGER,
  error TEXT,
  ending TEXT,
  finish_reason TEXT,
  is_stream INTEGER NOT NULL DEFAULT 0,
  chunk_count INTEGER,
  prompt_tokens INTEGER,
  completion_tokens INTEGER,
  total_tokens INTEGER,
  cached_tokens INTEGER,
  cache_write_tokens INTEGER,
  reasoning_tokens INTEGER,
  is_estimated INTEGER NOT NULL DEFAULT 0,
  estimated_cost REAL,
  price_key TEXT,
  request_method TEXT,
  request_path TEXT,
  session_id TEXT,
  conversation_id TEXT,
  user_id TEXT,
  agent_name TEXT,
  tool TEXT,
  prompt_name TEXT,
  prompt_version TEXT,
  replay_of TEXT,
  joined_to TEXT,
  preview_in TEXT,
  preview_out TEXT,
  derived INTEGER NOT NULL DEFAULT 0,
  marks INTEGER NOT NULL DEFAULT 0,
  counts INTEGER AS {COUNTS_SQL} VIRTUAL,
  has INTEGER NOT NULL DEFAULT 0,
  tags TEXT,
  cost_detail TEXT,
  dropped TEXT,
  notes TEXT,
  UNIQUE (id, trace_id)
)
"""

_TABLES = (
    _SPANS,
    "CREATE INDEX spans_time ON spans (start_ns)",
    "CREATE INDEX spans_model ON spans (model, start_ns)",
    "CREATE INDEX spans_roots ON spans (start_ns) WHERE is_root = 1",
    "CREATE INDEX spans_errors ON spans (start_ns) WHERE status >= 400",
    "CREATE INDEX spans_trace ON spans (trace_seq, parent_id) WHERE trace_seq <> seq",
    "CREATE INDEX spans_session ON spans (session_id, start_ns) WHERE session_id IS NOT NULL",
    "CREATE INDEX spans_service ON spans (service_name, start_ns) WHERE service_name IS NOT NULL",
    "CREATE INDEX spans_conversation ON spans (conversation_id, start_ns) WHERE conversation_id IS NOT NULL",
    "CREATE INDEX spans_user ON spans (user_id, start_ns) WHERE user_id IS NOT NULL",
    "CREATE INDEX spans_joined ON spans (joined_to) WHERE joined_to IS NOT NULL",
    f"CREATE INDEX spans_agents ON spans (tool, prompt_tokens, start_ns) WHERE {AGENTS_SQL}",
    "CREATE INDEX spans_change ON spans (change) WHERE change IS NOT NULL",
    # One row per trace, in order of arrival.
    """CREATE TABLE traces (
      first_seq INTEGER PRIMARY KEY,
      trace_id TEXT NOT NULL UNIQUE,
      arrived_ms INTEGER NOT NULL,
      start_ns INTEGER NOT NULL,
      end_ns INTEGER NOT NULL,
      root_seq INTEGER NOT NULL,
      span_count INTEGER NOT NULL,
      error_count INTEGER NOT NULL,
      tokens INTEGER NOT NULL,
      cost REAL NOT NULL,
      unpriced_count INTEGER NOT NULL,
      session_id TEXT,
      call_count INTEGER NOT NULL
    )""",
    """CREATE TABLE sessions (
      session_id TEXT PRIMARY KEY,
      first_ns INTEGER NOT NULL,
      last_ns INTEGER NOT NULL,
      trace_count INTEGER NOT NULL,
      span_count INTEGER NOT NULL,
      error_count INTEGER NOT NULL,
      tokens INTEGER NOT NULL,
      cost REAL NOT NULL,
      unpriced_count INTEGER NOT NULL,
      agent_name TEXT,
      service_name TEXT,
      user_id TEXT,
      log_count INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID""",
    "CREATE INDEX sessions_last ON sessions (last_ns)",
    """CREATE TABLE span_tags (
      tag TEXT NOT NULL,
      start_ns INTEGER NOT NULL,
      seq INTEGER NOT NULL,
      PRIMARY KEY (tag, start_ns, seq)
    ) WITHOUT ROWID""",
    # key = seq * 16 + part: one append-only tree, no second index. encoding: 0 as it is, 1 zlib.
    """CREATE TABLE bodies (
      key INTEGER PRIMARY KEY,
      seq INTEGER AS (key >> 4) VIRTUAL,
      part INTEGER AS (key & 15) VIRTUAL,
      encoding INTEGER NOT NULL,
      size INTEGER NOT NULL,
      is_cut INTEGER NOT NULL,
      is_raw INTEGER NOT NULL,
      data BLOB NOT NULL
    )""",
    # '' stands for null in the key; beside each hour there are rows of all time (sums.ALL_TIME).
    # The histograms are 48 unsigned 32-bit little-endian lanes, trailing zeros cut.
    """CREATE TABLE rollup (
      hour INTEGER NOT NULL,
      provider TEXT NOT NULL,
      model TEXT NOT NULL,
      service_name TEXT NOT NULL,
      error_class TEXT NOT NULL,
      requests INTEGER NOT NULL,
      prompt_tokens INTEGER NOT NULL,
      completion_tokens INTEGER NOT NULL,
      total_tokens INTEGER NOT NULL,
      cached_tokens INTEGER NOT NULL,
      cache_write_tokens INTEGER NOT NULL,
      reasoning_tokens INTEGER NOT NULL,
      cost REAL NOT NULL,
      unpriced_count INTEGER NOT NULL,
      duration_ns INTEGER NOT NULL,
      duration_count INTEGER NOT NULL,
      ttft_us INTEGER NOT NULL,
      ttft_count INTEGER NOT NULL,
      duration_buckets BLOB NOT NULL,
      ttft_buckets BLOB NOT NULL,
      speed_buckets BLOB NOT NULL,
      PRIMARY KEY (hour, provider, model, service_name, error_class)
    ) WITHOUT ROWID""",
    """CREATE TABLE logs (
      seq INTEGER PRIMARY KEY,
      id TEXT NOT NULL UNIQUE,
      arrived_ms INTEGER NOT NULL,
      time_ns INTEGER NOT NULL,
      timestamp INTEGER AS (time_ns / 1000000) VIRTUAL,
      observed_ns INTEGER,
      observed_timestamp INTEGER AS (observed_ns / 1000000) VIRTUAL,
      severity_number INTEGER,
      severity_text TEXT,
      body TEXT,
      trace_id TEXT,
      span_id TEXT,
      event_name TEXT,
      service_name TEXT,
      scope_name TEXT,
      session_id TEXT,
      tool TEXT,
      attributes TEXT NOT NULL,
      resource_attributes TEXT NOT NULL,
      detail TEXT
    )""",
    "CREATE INDEX logs_time ON logs (time_ns)",
    "CREATE INDEX logs_service ON logs (service_name, time_ns)",
    "CREATE INDEX logs_event ON logs (event_name, time_ns) WHERE event_name IS NOT NULL",
    "CREATE INDEX logs_trace ON logs (trace_id, time_ns) WHERE trace_id IS NOT NULL",
    "CREATE INDEX logs_session ON logs (session_id, time_ns) WHERE session_id IS NOT NULL",
    "CREATE INDEX logs_errors ON logs (time_ns) WHERE severity_number >= 17",
    # What the points of one series have in common. '' stands for null in the key.
    """CREATE TABLE metric_series (
      seq INTEGER PRIMARY KEY,
      series TEXT NOT NULL,
      metric_type TEXT NOT NULL,
      temporality TEXT NOT NULL,
      name TEXT NOT NULL,
      description TEXT,
      unit TEXT,
      is_monotonic INTEGER NOT NULL,
      service_name TEXT,
      scope_name TEXT,
      session_id TEXT,
      tool TEXT,
      attributes TEXT NOT NULL,
      resource_attributes TEXT NOT NULL,
      detail TEXT,
      UNIQUE (series, metric_type, temporality)
    )""",
    "CREATE INDEX metric_series_name ON metric_series (name)",
    "CREATE INDEX metric_series_session ON metric_series (session_id) WHERE session_id IS NOT NULL",
    # detail: the members in which it differs from the one of the series.
    """CREATE TABLE metric_points (
      seq INTEGER PRIMARY KEY,
      id TEXT NOT NULL UNIQUE,
      series_seq INTEGER NOT NULL,
      arrived_ms INTEGER NOT NULL,
      time_ns INTEGER NOT NULL,
      start_ns INTEGER,
      value_int INTEGER,
      value_double REAL,
      histogram_data TEXT,
      detail TEXT
    )""",
    "CREATE INDEX metric_points_time ON metric_points (time_ns)",
    # All that sums are made of, so that they are read from the index alone.
    "CREATE INDEX metric_points_series ON metric_points (series_seq, time_ns, start_ns, value_int, value_double)",
    """CREATE VIEW metrics AS SELECT
      p.seq, p.id, p.arrived_ms, p.time_ns, p.time_ns / 1000000 AS timestamp, p.start_ns, s.series, s.name,
      s.description, s.unit, NULLIF(s.metric_type, '') AS metric_type, NULLIF(s.temporality, '') AS temporality,
      s.is_monotonic, p.value_int, p.value_double, p.histogram_data, s.service_name, s.scope_name, s.session_id,
      s.tool, s.attributes, s.resource_attributes, p.detail, s.detail AS series_detail
    FROM metric_points p CROSS JOIN metric_series s ON s.seq = p.series_seq""",
    """CREATE TABLE budget_ledger (
      budget TEXT NOT NULL,
      window_start INTEGER NOT NULL,
      requests INTEGER NOT NULL DEFAULT 0,
      tokens INTEGER NOT NULL DEFAULT 0,
      cost REAL NOT NULL DEFAULT 0,
      unpriced_count INTEGER NOT NULL DEFAULT 0,
      PRIMARY KEY (budget, window_start)
    ) WITHOUT ROWID""",
    """CREATE TABLE views (
      name TEXT PRIMARY KEY,
      query TEXT NOT NULL,
      created_ms INTEGER NOT NULL
    ) WITHOUT ROWID""",
    # The writer's counters: `counter` (last seq or change given), `spans`, `indexed` (search watermark), `deleted`.
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
)


def m001_initial(connection: sqlite3.Connection) -> None:
    """Make every table of the data model."""
    for statement in _TABLES:
        connection.execute(statement)
    names = ("counter", "spans", "indexed", "deleted", "logs", "metrics", "erase_wanted")
    connection.executemany("INSERT INTO counters VALUES (?, 0)", [(name,) for name in names])
    if has_fts5(connection):
        connection.execute("CREATE VIRTUAL TABLE search USING fts5(text, tokenize = 'unicode61 remove_diacritics 2')")
    else:
        connection.execute("CREATE TABLE search (rowid INTEGER PRIMARY KEY, text TEXT)")


def m002_budgets(connection: sqlite3.Connection) -> None:
    """Keep the rules of budgets that were made on the screen, and the alerts that were sent."""
    connection.execute(
        "CREATE TABLE budgets (name TEXT PRIMARY KEY, rule TEXT NOT NULL, created_ms INTEGER NOT NULL) WITHOUT ROWID"
    )
    connection.execute(
        """CREATE TABLE budget_alerts (
          seq INTEGER PRIMARY KEY,
          budget TEXT NOT NULL,
          event TEXT NOT NULL,
          window_start INTEGER NOT NULL,
          at_ms INTEGER NOT NULL,
          facts TEXT NOT NULL
        )"""
    )


def m003_prompts(connection: sqlite3.Connection) -> None:
    """Tell calls by the prompt they were made from: `prompt` names it, `wording` is the version of it."""
    for column in (
        "prompt_key TEXT",
        "prompt_hash TEXT",
        "prompt TEXT AS (COALESCE(prompt_name, prompt_key)) VIRTUAL",
        "wording TEXT AS (COALESCE(prompt_version, prompt_hash)) VIRTUAL",
    ):
        connection.execute(f"ALTER TABLE spans ADD COLUMN {column}")
    connection.execute("CREATE INDEX spans_prompt ON spans (prompt, start_ns, wording) WHERE prompt IS NOT NULL")


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (m001_initial, m002_budgets, m003_prompts)


_OURS = f"IFNULL(first_source, source) IN {OUR_SOURCES}"
CALL_INDEXES = {  # name → (column of an id that two records of one call share, condition)
    f"spans_{side}_{column}": (column, f"{column} IS NOT NULL AND {condition}")
    for side, condition in (("our", _OURS), ("app", f"NOT {_OURS}"))
    for column in ("response_id", "request_id")
}


def index_calls(connection: sqlite3.Connection) -> None:
    """Make the indexes by which calls are joined, inside the caller's transaction, unless they are there.

    Not before the first app says an id of a call: they would make every proxied call a tenth dearer to store.
    """
    for name, (column, condition) in CALL_INDEXES.items():
        connection.execute(f"CREATE INDEX IF NOT EXISTS {name} ON spans ({column}, start_ns) WHERE {condition}")


def has_fts5(connection: sqlite3.Connection) -> bool:
    """Probe for FTS5: the build's list of options cannot be trusted, an attempt can."""
    try:
        connection.execute("CREATE VIRTUAL TABLE temp.fts5_probe USING fts5(x)")
    except sqlite3.OperationalError:
        return False
    connection.execute("DROP TABLE temp.fts5_probe")
    return True


def search_mode(connection: sqlite3.Connection) -> str:
    """Say how `search` can be used: "fts5", "like" (a plain table), "none" (an FTS5 table this build cannot read)."""
    row = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'search'").fetchone()
    if row is None:
        return "none"
    if "VIRTUAL" not in row[0].upper():
        return "like"
    try:
        connection.execute("SELECT rowid FROM search WHERE rowid = 0").fetchone()
    except sqlite3.OperationalError:
        return "none"
    return "fts5"


def applied(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the steps this file has seen, in order."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchone() is None:
        return []
    return [row[0] for row in connection.execute("SELECT name FROM migrations ORDER BY rowid")]


def unknown_steps(connection: sqlite3.Connection) -> list[str]:
    """Return steps the file has seen and this version does not know: the file is newer than we are."""
    known = {step.__name__ for step in MIGRATIONS}
    return [name for name in applied(connection) if name not in known]


def migrate(connection: sqlite3.Connection, now_ms: int) -> None:
    """Apply the missing steps, each in its own transaction."""
    connection.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT NOT NULL UNIQUE, applied_ms INTEGER NOT NULL)")
    done = set(applied(connection))
    for number, step in enumerate(MIGRATIONS, 1):
        if step.__name__ in done:
            continue
        connection.execute("BEGIN IMMEDIATE")
        try:
            step(connection)
            connection.execute("INSERT INTO migrations VALUES (?, ?)", (step.__name__, now_ms))
            connection.execute(f"PRAGMA user_version = {number}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
