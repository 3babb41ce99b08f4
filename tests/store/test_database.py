"""The database with its threads: what is committed stays, what goes wrong hurts nobody."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from store_help import PATIENCE_S, Live, make_row, texts, wait_until

from llmflow_web.errors import StoreError, StoreRefused
from llmflow_web.model import PART_REQUEST, Capture, Exchange
from llmflow_web.store import schema, spans
from llmflow_web.store.database import Database, Limits
from llmflow_web.store.files import lock_holder
from llmflow_web.wire.filter import Filter, Page

# The way of a row


def test_what_is_put_is_committed_and_told_once(live):
    """Rows put together make one commit and one call, with their list elements."""
    live.database.put([make_row(id="a"), make_row(id="b")], 100)
    live.sync()
    assert [[row["id"] for row in batch.rows] for batch in live.batches] == [["a", "b"]]
    assert live.batches[0].stats_changed
    assert live.batches[0].change == live.read(spans.list_spans, Filter(), Page()).change
    assert (live.database.committed_rows, live.database.pending_rows, live.database.pending_bytes) == (2, 0, 0)


def test_batches_are_told_after_their_commit(make_live):
    """Whoever hears of a row can read it."""
    heard = []
    live = make_live()
    live.database._writer._committed = lambda written, gone, change: heard.append(
        live.one("SELECT COUNT(*) FROM spans")
    )
    live.put(make_row())
    assert heard == [1]


def test_a_batch_has_at_most_200_rows(live):
    """A thousand rows put at once are several commits."""
    live.put(*(make_row() for _ in range(450)))
    assert [len(batch.rows) for batch in live.batches] == [200, 200, 50]


def test_updates_are_marked_in_the_batch(live):
    """`updated` names the rows that were there before."""
    live.put(make_row(trace_id="t", id="a"))
    live.put(make_row(trace_id="t", id="a"), make_row())
    first, second = live.batches
    assert first.updated == frozenset()
    assert second.updated == {first.rows[0]["seq"]}


def test_put_takes_from_many_threads(live):
    """Nothing is lost or doubled when threads put at once."""

    def work():
        for _ in range(100):
            live.database.put([make_row()], 10)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    live.sync()
    assert live.one("SELECT COUNT(*) FROM spans") == 400
    assert (live.database.pending_rows, live.database.pending_bytes) == (0, 0)


def test_an_item_that_cannot_be_read_is_lost_alone(make_live):
    """An exception of to_rows costs its item and is counted."""

    def to_rows(item):
        if item == "bad":
            raise ValueError(item)
        return item

    live = make_live(to_rows=to_rows)
    for item in ([make_row()], "bad", [make_row()]):
        live.database.put(item, 10)
    live.sync()
    assert (live.database.committed_rows, live.database.lost_rows, live.database.pending_rows) == (2, 1, 0)


def test_a_row_sqlite_cannot_hold_does_not_take_others_with_it(live):
    """A lone surrogate is replaced, a value of no SQL type costs its own row only."""
    live.put(make_row(id="good"), make_row(id="odd", model="\ud800"), make_row(id="bad", model={"not": "text"}))
    assert live.read(lambda c: c.execute("SELECT id, model FROM spans ORDER BY id").fetchall()) == [
        ("good", "gpt-4o"),
        ("odd", "?"),
    ]
    assert live.database.lost_rows == 1
    assert live.database.error is None


def test_a_listener_that_fails_is_not_the_writers_affair(live):
    """An exception in on_commit changes nothing."""
    live.database._writer._committed = lambda *_: 1 / 0
    live.put(make_row())
    live.put(make_row())
    assert live.database.committed_rows == 2


def test_nothing_ends_the_writer(live):
    """A defect in its upkeep or its turn is survived: rows go on being written."""
    writer = live.database._writer
    real, writer._upkeep.due = writer._upkeep.due, lambda *_, **__: 1 / 0
    live.put(make_row())
    wait_until(lambda: writer._upkeep.last_error)
    writer._upkeep.due = real
    settle, writer._settle = writer._settle, lambda items: 1 / 0
    live.database.put([make_row()], 10)
    wait_until(lambda: live.database.error)
    writer._settle = settle
    live.put(make_row())
    assert live.database.span_count == live.one("SELECT COUNT(*) FROM spans") == 3
    assert live.database.change == live.read(spans.list_spans, Filter(), Page()).change


# Jobs and questions


def test_a_job_runs_after_what_was_put_before_it(live):
    """call() is a barrier, in its own transaction; its error is the asker's and rolls back."""
    live.database.put([make_row()], 10)
    assert live.database.call(lambda c: c.execute("SELECT COUNT(*) FROM spans").fetchone()[0]).result(PATIENCE_S) == 1

    def fail(connection):
        connection.execute("INSERT INTO views VALUES ('x', 'y', 1)")
        raise KeyError("x")

    with pytest.raises(KeyError):
        live.database.call(fail).result(PATIENCE_S)
    assert live.one("SELECT COUNT(*) FROM views") == 0


def test_a_reader_cannot_write(live):
    """Connections for questions are read-only."""
    with pytest.raises(StoreError, match="attempt to write"):
        live.read(lambda connection: connection.execute("DELETE FROM spans"))


SLOW = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT COUNT(*) FROM n"


def test_a_question_past_its_budget_is_a_503_sentence(live):
    """The time budget ends a query; the next question is answered."""
    with pytest.raises(StoreError, match=r"took longer than 0\.05 s") as caught:
        live.read(lambda connection: connection.execute(SLOW).fetchone(), budget_s=0.05)
    assert caught.value.status == 503
    assert live.one("SELECT 1") == 1


def test_a_running_question_can_be_cancelled(live):
    """cancel() stops a query that is being worked on, also a long one without a budget."""
    begun = threading.Event()

    def slow(connection):
        begun.set()
        return connection.execute(SLOW).fetchone()

    future = live.database.read(slow, long=True)
    assert begun.wait(PATIENCE_S)
    future.cancel()
    with pytest.raises(StoreError, match="stopped"):
        future.result(PATIENCE_S)
    assert live.read(lambda c: 7, long=True) == 7


def test_long_work_does_not_hold_up_the_screen(live):
    """The screen's readers answer while the long one works."""
    future = live.database.read(lambda c: c.execute(SLOW).fetchone(), long=True)
    assert live.one("SELECT 1") == 1
    future.cancel()


def test_one_question_sees_one_snapshot(live):
    """Rows committed between two statements of a question are not seen by it."""

    def count_twice(connection):
        first = connection.execute("SELECT COUNT(*) FROM spans").fetchone()[0]
        live.put(make_row())
        return first, connection.execute("SELECT COUNT(*) FROM spans").fetchone()[0]

    assert live.read(count_twice) == (0, 0)
    assert live.one("SELECT COUNT(*) FROM spans") == 1


# Files and lock


def test_files_are_for_their_owner_only(live):
    """The data dir is 0700, every file in it 0600."""
    live.put(make_row())
    folder = live.database.path.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    names = {path.name for path in folder.iterdir()}
    assert {"llmflow.db", "llmflow.db-wal", "llmflow.db-shm", "llmflow.lock"} <= names
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_second_server_is_refused_with_the_holders_ports(live, tmp_path):
    """One line names the process and its ports; the first goes on."""
    live.database.note_ports(8080, 3000)
    other = Database(live.database.path, to_rows=lambda i: i, on_commit=lambda b: None, texts=texts)
    with pytest.raises(StoreRefused, match=rf"process {os.getpid()}, ports 8080, 3000") as caught:
        other.open()
    assert "\n" not in str(caught.value)
    assert lock_holder(live.database.path.parent) == {"pid": os.getpid(), "ports": [8080, 3000]}
    live.put(make_row())


def test_the_lock_is_free_after_close(live):
    """Closing lets another server in."""
    live.put(make_row())
    live.database.close()
    assert lock_holder(live.database.path.parent) is None
    again = Live(live.database.path).start()
    assert again.one("SELECT COUNT(*) FROM spans") == 1
    again.database.close()


def test_the_file_is_what_the_decisions_say(live):
    """WAL, incremental vacuum, application id, secure delete, and every table from the start."""
    live.put(make_row())
    connection = live.database._writer._connection
    pragmas = {name: live.database.call(lambda c, n=name: c.execute(f"PRAGMA {n}").fetchone()[0]).result(PATIENCE_S)
               for name in ("journal_mode", "auto_vacuum", "application_id", "secure_delete", "synchronous")}  # fmt: skip
    assert pragmas == {"journal_mode": "wal", "auto_vacuum": 2, "application_id": 0x4C4C4D46, "secure_delete": 1,
                       "synchronous": 1}  # fmt: skip
    tables = {row[0] for row in live.read(lambda c: c.execute("SELECT name FROM sqlite_master").fetchall())}
    assert {"spans", "traces", "sessions", "span_tags", "bodies", "search", "rollup", "logs", "metrics",
            "budget_ledger", "views", "migrations"} <= tables  # fmt: skip
    assert connection is not None


@pytest.mark.parametrize("content", [b"hello", b"SQLite format 3\x00" + bytes(2000)])
def test_a_foreign_file_is_refused_and_untouched(tmp_path, content):
    """A non-empty file without our application id is not written, moved or deleted, and gets no companions."""
    path = tmp_path / "llmflow.db"
    path.write_bytes(content)
    with pytest.raises(StoreRefused, match="not a database of LLMFlow"):
        Live(path).database.open()
    assert path.read_bytes() == content
    assert {p.name for p in tmp_path.iterdir()} == {"llmflow.db", "llmflow.lock"}


def test_another_programs_database_is_refused_and_untouched(tmp_path):
    """A good SQLite file that is not ours stays as it is."""
    path = tmp_path / "llmflow.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE traces (id TEXT)")
    connection.close()
    content = path.read_bytes()
    with pytest.raises(StoreRefused):
        Live(path).database.open()
    assert path.read_bytes() == content


def test_a_newer_file_is_refused_and_untouched(live):
    """A file that has seen steps we do not know is left alone."""
    live.put(make_row())
    live.database.call(lambda c: c.execute("INSERT INTO migrations VALUES ('m999_future', 1)")).result(PATIENCE_S)
    live.database.close()
    content = live.database.path.read_bytes()
    with pytest.raises(StoreRefused, match="newer LLMFlow"):
        Live(live.database.path).database.open()
    assert live.database.path.read_bytes() == content


def test_a_newer_file_is_told_by_its_header_alone(live, monkeypatch):
    """The number of steps stands in the header: SQLite need not open the file."""
    live.database.close()
    monkeypatch.setattr("llmflow_web.store.files.MIGRATIONS", ())
    with pytest.raises(StoreRefused, match="newer LLMFlow"):
        Live(live.database.path).database.open()


def test_a_damaged_file_is_set_aside_and_a_new_one_begun(live, tmp_path):
    """db, -wal and -shm are renamed together; the server starts with an empty file."""
    live.put(*(make_row("x" * 500) for _ in range(50)))
    live.database.close()
    path = live.database.path
    content = bytearray(path.read_bytes())
    content[4096 : 4096 * 8] = os.urandom(4096 * 7)
    path.write_bytes(content)
    path.with_name(path.name + "-wal").write_bytes(b"")
    again = Live(path).start()
    kept = again.database.kept_aside
    assert kept is not None
    assert kept.name.startswith("llmflow.db.corrupt-")
    assert kept.read_bytes() == content
    assert again.one("SELECT COUNT(*) FROM spans") == 0
    again.put(make_row())
    again.database.close()


def test_a_file_found_damaged_while_running_is_read_through_at_the_next_start(live, monkeypatch):
    """The mark makes the next start check even a large file; a sound one is kept and the mark goes."""
    monkeypatch.setattr("llmflow_web.store.files._CHECKED_BYTES", 0)
    live.put(make_row())
    live.database._writer._fail(sqlite3.DatabaseError("database disk image is malformed"))
    live.database.close()
    mark = live.database.path.with_name("llmflow.db.suspect")
    assert mark.exists()
    again = Live(live.database.path).start()
    assert again.database.kept_aside is None
    assert again.one("SELECT COUNT(*) FROM spans") == 1
    assert not mark.exists()
    again.database.close()


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    """A file where the data dir should be gives StoreRefused."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreRefused, match="cannot be made"):
        Live(tmp_path / "file" / "data" / "llmflow.db").database.open()


def test_steps_are_applied_once_and_in_order(live, monkeypatch):
    """A step added later runs on an old file at its next start, once."""
    live.database.close()

    def m999_more(connection):
        connection.execute("CREATE TABLE more (x)")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, m999_more))
    monkeypatch.setattr("llmflow_web.store.files.MIGRATIONS", schema.MIGRATIONS)
    for _ in range(2):
        again = Live(live.database.path).start()
        assert again.read(schema.applied) == [step.__name__ for step in schema.MIGRATIONS]
        again.database.close()


# Trouble with the disk


def _fill(live: Live) -> None:
    """Let the file grow no further."""
    live.database.call(
        lambda c: c.execute(f"PRAGMA max_page_count = {c.execute('PRAGMA page_count').fetchone()[0]}").fetchone()
    ).result(PATIENCE_S)


def test_a_full_disk_loses_nothing_and_recovers_by_itself(live):
    """While the disk is full `error` says so and rows wait; with room they are all written."""
    live.put(make_row())
    live.settle()
    _fill(live)
    for _ in range(5):
        live.database.put([make_row(os.urandom(25_000).hex()) for _ in range(10)], 10 * 50_000)
    wait_until(lambda: live.database.error)
    assert "full" in live.database.error
    assert live.database.pending_rows == 50
    with pytest.raises(StoreError, match="full"):
        live.database.call(lambda c: None).result(PATIENCE_S)
    live.database._writer._connection.execute("PRAGMA max_page_count = 1000000").fetchone()
    wait_until(lambda: live.database.pending_rows == 0)
    assert live.database.error is None
    assert live.database.lost_rows == 0
    assert live.one("SELECT COUNT(*) FROM spans") == 51


def test_who_waits_for_rows_hears_that_they_cannot_be_written(live):
    """A job put right behind rows is told of the full disk at once: a post of telemetry is sent away, not kept."""
    live.put(make_row())
    live.settle()
    _fill(live)
    live.database.put([make_row(os.urandom(25_000).hex()) for _ in range(50)], 50 * 50_000)
    told = live.database.call(lambda c: None)
    with pytest.raises(StoreError, match="full"):
        told.result(PATIENCE_S)
    live.database._writer._connection.execute("PRAGMA max_page_count = 1000000").fetchone()


def test_a_locked_file_is_tried_again(live, monkeypatch):
    """Another process's lock holds rows up and loses none."""
    live.put(make_row())
    live.settle()
    live.database._writer._connection.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(live.database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    live.database.put([make_row()], 10)
    wait_until(lambda: live.database.error)
    assert "locked" in live.database.error
    assert live.one("SELECT COUNT(*) FROM spans") == 1
    other.execute("ROLLBACK")
    other.close()
    wait_until(lambda: live.database.committed_rows == 2)
    assert live.database.error is None


def test_bodies_then_rows_can_be_shed(live):
    """What waits can be made lighter, then fewer; both are counted, and the row says that its bodies went."""
    live.put(make_row())
    live.settle()
    live.database._writer._connection.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(live.database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    live.database.put([make_row()], 10)
    wait_until(lambda: live.database.error)  # that row is in the writer's hands now
    exchange = Exchange()
    exchange.request = Capture(100)
    exchange.request.add(b"x" * 50)
    live.database.put([make_row("old", id="shed")], 5000)
    live.database.put([make_row("y" * 5000, id="kept")], 6000)
    live.database.put(exchange, 9000)
    freed = live.database.shed_bodies()
    assert freed == (5000 - 1024) + (6000 - 1024) + (9000 - 1024)
    assert exchange.request is None
    assert exchange.notes
    assert live.database.shed_rows(1) == 1
    assert live.database.lost_rows == 1
    assert live.database.lost_bodies == 3
    live.database._writer._to_rows = lambda item: item if isinstance(item, list) else []
    other.execute("ROLLBACK")
    other.close()
    live_ids = "SELECT id, dropped FROM spans WHERE id IN ('kept', 'shed')"
    wait_until(lambda: live.database.pending_rows == 0)
    assert live.read(lambda c: c.execute(live_ids).fetchall()) == [("kept", '["bodies"]')]
    assert live.one("SELECT COUNT(*) FROM bodies WHERE part = ?", PART_REQUEST) == 0


def test_closing_writes_what_waits(make_live):
    """Everything put before close is in the file, the log is empty, and later calls fail with a sentence."""
    live = make_live()
    for _ in range(500):
        live.database.put([make_row()], 10)
    live.database.close()
    path = live.database.path
    assert not path.with_name("llmflow.db-wal").exists()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT COUNT(*) FROM spans").fetchone() == (500,)
    connection.close()
    with pytest.raises(StoreError, match="closed"):
        live.database.call(lambda c: None).result(PATIENCE_S)
    with pytest.raises(StoreError, match="closed"):
        live.database.read(lambda c: None).result(PATIENCE_S)


def test_closing_with_a_full_disk_ends_and_counts_the_loss(make_live):
    """Close does not wait for a disk that stays full."""
    live = make_live()
    live.put(make_row())
    live.settle()
    _fill(live)
    live.database.put([make_row(os.urandom(50_000).hex())], 10)
    wait_until(lambda: live.database.error)
    live.database.close(PATIENCE_S)
    assert live.database.lost_rows == 1  # the writer gave up before the time was over


def test_a_database_never_started_can_be_closed(tmp_path):
    """Open then close leaves a sound file and no lock."""
    live = Live(tmp_path / "llmflow.db")
    live.database.open()
    live.database.close()
    assert lock_holder(tmp_path) is None


_KILLED = """
import itertools, sys
sys.path[:0] = {path!r}
from pathlib import Path
from store_help import Live, make_row
live = Live(Path(sys.argv[1])).start()
for number in itertools.count():
    live.put(*(make_row("x" * 300, tags=["t"], session_id="s") for _ in range(20)))
    print(live.database.committed_rows, flush=True)
"""


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path):
    """After SIGKILL under load every row told as committed is there, the file is sound and its sums agree."""
    root = Path(__file__).parents[2]
    script = _KILLED.format(path=[str(root), str(root / "tests")])
    path = tmp_path / "data" / "llmflow.db"
    process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
    told = 0
    with process:
        while told < 2000:
            told = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        told = max([told, *(int(line) for line in process.stdout.read().split(b"\n")[:-1] if line)])
    live = Live(path, limits=Limits(batch_s=0.005)).start()
    assert live.database.kept_aside is None
    count = live.one("SELECT COUNT(*) FROM spans")
    assert count >= told
    assert live.read(lambda c: c.execute("PRAGMA integrity_check").fetchall(), long=True) == [("ok",)]
    assert live.one("SELECT SUM(requests) FROM rollup WHERE hour > 0") == count
    assert live.one("SELECT span_count FROM sessions") == count
    assert live.one("SELECT value FROM counters WHERE name = 'spans'") == count
    live.put(make_row())
    live.database.close()
