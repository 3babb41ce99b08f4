"""The data dir: its lock, whose file llmflow.db is, and how a connection to it is opened."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from llmflow_web.errors import StoreError, StoreRefused
from llmflow_web.store.limits import BUSY_MS
from llmflow_web.store.schema import APPLICATION_ID, MIGRATIONS, migrate, unknown_steps
from llmflow_web.store.search import Connection

LOCK_NAME = "llmflow.lock"
_MAGIC = b"SQLite format 3\x00"
_HEADER_BYTES = 100
_CHECKED_BYTES = 16 * 1024 * 1024  # up to this size a file is read through at start
_LOCKED_BYTE = 1 << 30  # Windows locks bytes: one far behind the text, so that others may read who holds it


class DirLock:
    """`llmflow.lock`, held while the server runs; its text says which process and ports hold it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK_NAME
        self._file: BinaryIO | None = None
        self._ports: Sequence[int] = ()

    def __repr__(self) -> str:
        return f"<DirLock {self.path} {'held' if self._file else 'free'}>"

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            StoreRefused: Another server holds it, or nothing can be written there.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreRefused(f"{self.path.parent} cannot be written: {error.strerror or error}.") from error
        file = os.fdopen(descriptor, "r+b", buffering=0)
        try:
            _lock(file)
        except OSError:
            file.close()
            raise StoreRefused(_held_sentence(self.path)) from None
        self._file = file
        self.describe()

    def describe(self, ports: Sequence[int] = ()) -> None:
        """Write who holds the lock, for the one who finds it held. A full disk is no reason not to hold it."""
        self._ports = ports
        if self._file is not None:
            with suppress(OSError):
                self._file.seek(0)
                self._file.truncate()
                self._file.write(json.dumps({"pid": os.getpid(), "ports": list(ports)}).encode())

    def renew(self) -> None:
        """Take the lock again if its file has been removed.

        Raises:
            StoreRefused: Another server was faster.
        """
        held = self._file
        if held is not None and identity(self.path) != _identity(os.fstat(held.fileno())):
            ports = self._ports
            self.acquire()
            self.describe(ports)
            held.close()

    def release(self) -> None:
        """Let go. The file stays: removing it would race with the next holder."""
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate()
            self._file.close()
            self._file = None


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells the file at `path` from any other that had its name; None when there is none."""
    try:
        return _identity(path.stat())
    except OSError:
        return None


def _identity(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_dev, stat.st_ino


def with_companions(path: Path) -> list[Path]:
    """Return the database's path and those of its log and its index of the log."""
    return [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm")]


def lock_holder(folder: Path) -> dict[str, object] | None:
    """Return {"pid", "ports"} of the server that holds the data dir, or None."""
    path = folder / LOCK_NAME
    try:
        with path.open("r+b", buffering=0) as file:
            try:
                _lock(file)
            except OSError:
                return _read_holder(path)
            return None
    except OSError:
        return None


def _read_holder(path: Path) -> dict[str, object]:
    try:
        holder = json.loads(path.read_bytes())
    except (OSError, ValueError):
        holder = None
    return holder if isinstance(holder, dict) else {"pid": None, "ports": []}


def _held_sentence(path: Path) -> str:
    holder = _read_holder(path)
    ports = holder.get("ports")
    where = f", ports {', '.join(map(str, ports))}" if isinstance(ports, list) and ports else ""
    return (
        f"Another LLMFlow (process {holder.get('pid') or 'unknown'}{where}) uses {path.parent}: "
        "stop it, or give this one another --data-dir."
    )


if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        file.seek(_LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def prepare_folder(folder: Path) -> None:
    """Make the data dir for its owner only.

    Raises:
        StoreRefused: It cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreRefused(f"The data dir {folder} cannot be made: {error.strerror or error}.") from error


def refuse_foreign(path: Path) -> None:
    """Refuse a non-empty file that does not carry our application id; it is only read, by plain means.

    Raises:
        StoreRefused: The file is not ours, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreRefused(f"{path} cannot be read: {error.strerror or error}.") from error
    is_ours = header[:16] == _MAGIC and int.from_bytes(header[68:72], "big") == APPLICATION_ID
    if header and not is_ours:
        raise StoreRefused(f"{path} is not a database of LLMFlow; it was left alone. Give another --data-dir.")
    if header and int.from_bytes(header[60:64], "big") > len(MIGRATIONS):
        raise StoreRefused(_newer_sentence(path))


def _newer_sentence(path: Path) -> str:
    return f"{path} was written by a newer LLMFlow; it was left alone. Update, or give another --data-dir."


def open_writer(path: Path, now_ms: int) -> Connection:
    """Open, make or bring up to date the database for its one writer.

    Raises:
        StoreRefused: It is newer than we are, or cannot be opened.
        sqlite3.DatabaseError: It is damaged.
    """
    _touch(path)
    try:
        connection = connect(path)
    except sqlite3.OperationalError as error:
        raise StoreRefused(f"{path} cannot be opened: {error}.") from error
    try:
        _set_up(connection, path, now_ms)
    except BaseException:
        connection.close()
        raise
    return connection


def _touch(path: Path) -> None:
    """Make the file ours alone before SQLite does; -wal and -shm take their mode from it."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        if os.name == "posix":
            path.chmod(0o600)
    except OSError as error:
        raise StoreRefused(f"{path} cannot be written: {error.strerror or error}.") from error


def _set_up(connection: Connection, path: Path, now_ms: int) -> None:
    is_new = path.stat().st_size == 0
    if is_new:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA journal_mode = WAL")
    for name, value in _WRITER_PRAGMAS.items():
        connection.execute(f"PRAGMA {name} = {value}")
    if not is_new:
        _check(connection, path)
    if unknown_steps(connection):
        raise StoreRefused(_newer_sentence(path))
    migrate(connection, now_ms)


_WRITER_PRAGMAS = {
    "synchronous": "NORMAL",
    "secure_delete": "ON",
    "cache_size": -16_000,
    "temp_store": "MEMORY",
    "journal_size_limit": 64 * 1024 * 1024,
    "wal_autocheckpoint": 4000,  # pages: 16 MiB. Hot index pages are copied to the file a quarter as often
}


def _check(connection: Connection, path: Path) -> None:
    """Find damage early: a small or suspect file is read through, of a large one the ends of the tables."""
    mark = _damage_mark(path)
    if mark.exists() or path.stat().st_size <= _CHECKED_BYTES:
        mark.unlink(missing_ok=True)
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table in ("spans", "traces", "bodies", "counters", "rollup"):
        if table in tables:
            connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchall()
            connection.execute(f"SELECT * FROM {table} ORDER BY 1 DESC LIMIT 1").fetchall()


def _damage_mark(path: Path) -> Path:
    return path.with_name(path.name + ".suspect")


def mark_damaged(path: Path) -> None:
    """Note that SQLite found damage while we ran: the next start reads the whole file through."""
    with suppress(OSError):
        _damage_mark(path).touch(mode=0o600)


def set_aside(path: Path, now_s: float) -> Path:
    """Rename a damaged database with its -wal and -shm, and return its new name.

    Raises:
        StoreError: It cannot be renamed.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now_s))
    kept = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    try:
        for suffix in ("-wal", "-shm", ""):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(kept.with_name(kept.name + suffix))
    except OSError as error:
        raise StoreError(f"{path} is damaged and cannot be set aside: {error.strerror or error}.") from error
    return kept


def connect(path: Path, *, is_reader: bool = False) -> Connection:
    """Open a connection; a reader's cannot write.

    Nothing is mapped into memory: a failing disk shall give an error, not SIGBUS.
    """
    uri = path.absolute().as_uri() + ("?mode=ro" if is_reader else "?mode=rw")
    connection = sqlite3.connect(
        uri,
        uri=True,
        timeout=BUSY_MS / 1000,
        isolation_level=None,  # transactions are begun and ended by name
        check_same_thread=False,  # made by one thread, then used by its owner only
        factory=Connection,
    )
    if is_reader:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA cache_size = -8000")
        connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def is_database_error(error: BaseException) -> bool:
    """Say whether SQLite complains."""
    return isinstance(error, sqlite3.Error)
