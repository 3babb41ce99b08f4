"""The file may go while we run: somebody cleans up, puts a backup back, or takes the rights away."""

from __future__ import annotations

import shutil
import sqlite3

import pytest
from store_help import Live, make_row, wait_until

from llmflow_web.errors import StoreRefused
from llmflow_web.store import files, spans
from llmflow_web.store import writer as writing
from llmflow_web.store.files import lock_holder
from llmflow_web.wire.filter import Filter, Page


def shown(live: Live) -> list[str]:
    return [row["id"] for row in live.read(spans.list_spans, Filter(), Page()).rows]


@pytest.mark.parametrize("names", [["llmflow.db"], ["llmflow.db", "llmflow.db-wal", "llmflow.db-shm"], None])
def test_a_removed_file_is_begun_anew(live, names):
    """Rows that come after the file, its log or the whole folder was removed are in a new file, and are shown."""
    live.put(make_row(id="old"))
    change = live.database.change
    assert shown(live) == ["old"]
    folder = live.database.path.parent
    if names is None:
        shutil.rmtree(folder)
    for name in names or ():
        (folder / name).unlink()
    live.put(make_row(id="new"))
    assert shown(live) == ["new"]
    assert (live.database.renewals, live.database.lost_rows, live.database.error) == (1, 0, None)
    assert live.database.change > change  # who asks for what came after a number goes on getting it
    live.put(make_row(id="newer"))
    live.database.close()
    with sqlite3.connect(live.database.path) as connection:
        assert connection.execute("SELECT COUNT(*) FROM spans").fetchone() == (2,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_removed_lock_is_taken_again(live):
    """With the folder made anew a second server is still refused."""
    live.put(make_row())
    live.database.note_ports(8080)
    shutil.rmtree(live.database.path.parent)
    live.put(make_row())
    assert lock_holder(live.database.path.parent)["ports"] == [8080]


def test_a_backup_put_back_is_gone_over_to(live, tmp_path):
    """Another file of ours moved into the place is the one that is read and written from then on."""
    live.put(make_row(id="kept"))
    with sqlite3.connect(live.database.path) as connection:
        connection.execute("VACUUM INTO ?", [str(tmp_path / "backup")])
    connection.close()
    live.put(make_row(id="later"))
    (tmp_path / "backup").rename(live.database.path)
    live.put(make_row(id="after"))
    assert shown(live) == ["after", "kept"]


def test_a_foreign_file_in_the_place_is_not_touched(live):
    """Rows wait while something else lies where the database was, and are written when it is gone."""
    live.put(make_row())
    path = live.database.path
    path.unlink()
    path.write_bytes(b"shopping list")
    live.database.put([make_row(id="waits")], 10)
    wait_until(lambda: live.database.error)
    assert "not a database of LLMFlow" in live.database.error
    assert path.read_bytes() == b"shopping list"
    path.unlink()
    wait_until(lambda: live.database.error is None)
    assert shown(live) == ["waits"]


def test_a_batch_that_hangs_is_told(live, monkeypatch):
    """A lock of another process shows in `error` while it is waited for, not only when the wait is over."""
    monkeypatch.setattr(writing, "_STUCK_S", 0.05)
    live.put(make_row())
    live.settle()
    live.database._writer._connection.execute("PRAGMA busy_timeout = 600000")
    other = sqlite3.connect(live.database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    live.database.put([make_row()], 10)
    wait_until(lambda: live.database.error)
    assert "another process" in live.database.error
    other.execute("ROLLBACK")
    other.close()
    wait_until(lambda: live.database.committed_rows == 2)
    assert live.database.error is None


def test_a_folder_nothing_can_be_written_to_is_a_sentence(tmp_path, monkeypatch):
    """A read-only data dir refuses the start with one sentence."""

    def refuse(*_args: object) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(files.os, "open", refuse)
    with pytest.raises(StoreRefused, match=r"cannot be written: Read-only file system\.$"):
        Live(tmp_path / "llmflow.db").database.open()
