"""Newer prices, fetched in the background into a cache file in the data directory.

Nothing here is ever waited for: without network or with a broken answer the table at hand stays.
The cache's modification time says when prices were last known to be current; its first member where they are from.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from llmflow_web.record.price_table import (
    EMPTY_TABLE,
    MIN_PRICED_ROWS,
    PriceTable,
    compact_models,
    parse_table,
    priced_count,
    read_table,
    table_from,
    write_table,
)
from llmflow_web.record.pricing import PriceBook, bundled_table

if TYPE_CHECKING:
    from urllib.request import Request

MAX_PRICES_BYTES = 16 * 1024 * 1024
FETCH_TIMEOUT_S = 10.0
FIRST_CHECK_S = 2.0  # start-up comes first
RETRY_S = 3600.0

_DATE = re.compile(rb'"date":"(\d{4}-\d{2}-\d{2})"')
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Response(Protocol):
    """What of an answer of `urllib.request.urlopen` is used."""

    headers: Any

    def read(self, amount: int) -> bytes:
        """Return at most `amount` bytes."""

    def geturl(self) -> str:
        """Return the URL that answered, after redirects."""

    def close(self) -> None:
        """Close the connection."""


Opener = Callable[["Request", float], Response]


def url_opener(context: Any = None) -> Opener:
    """Return an opener by urllib; `context` is the ssl.SSLContext to trust."""

    def open_url(request: Request, timeout_s: float) -> Response:
        import urllib.request

        # The scheme was checked; proxies of the environment are honoured.
        answer: Response = urllib.request.urlopen(request, timeout=timeout_s, context=context)  # noqa: S310
        return answer

    return open_url


def is_trusted_url(url: str) -> bool:
    """Say whether prices may come from `url`: by https, or from this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


def bundled_date() -> str:
    """Return the bundled snapshot's date without reading all of it."""
    import gzip
    from importlib import resources

    path = resources.files("llmflow_web").joinpath("data", "prices.json.gz")
    with path.open("rb") as packed, gzip.open(packed) as file:
        found = _DATE.search(file.read(200))
    return found[1].decode() if found else ""


class PriceCache:
    """The file fetched prices are kept in."""

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        self.url = url

    def __repr__(self) -> str:
        return f"<PriceCache {self.path}>"

    def load(self) -> PriceTable:
        """Return the newest prices at hand: the cache, else the bundled snapshot."""
        table, about = self._read()
        is_ours = about.get("source") == self.url and table.date >= bundled_date()
        return table if is_ours else bundled_table()

    def _read(self) -> tuple[PriceTable, dict[str, Any]]:
        try:
            return read_table(self.path.read_bytes(), source=self.url)
        except (OSError, ValueError):
            return EMPTY_TABLE, {}

    def etag(self) -> str | None:
        """Return the entity tag of what is kept, if it is of our URL."""
        _, about = self._read()
        tag = about.get("etag")
        return tag if isinstance(tag, str) and about.get("source") == self.url else None

    def age_s(self, now: float) -> float:
        """Return the seconds since prices were last known to be current."""
        try:
            return now - self.path.stat().st_mtime
        except OSError:
            return float("inf")

    def touch(self, now: float) -> None:
        """Note that what is kept is current."""
        os.utime(self.path, (now, now))

    def save(self, models: Mapping[str, Any], *, date: str, etag: str | None, now: float) -> None:
        """Replace the file in one step, readable by its owner alone."""
        about = {"date": date, "source": self.url, "etag": etag}
        data = write_table(about, models)
        fresh = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        try:
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123
                file.write(data)
            os.utime(fresh, (now, now))
            fresh.replace(self.path)
        finally:
            fresh.unlink(missing_ok=True)


class PriceRefresher:
    """Keeps a price book current from a daemon thread."""

    def __init__(
        self,
        book: PriceBook,
        cache: PriceCache,
        *,
        ttl_s: float,
        opener: Opener | None = None,
        clock: Callable[[], float] = time.time,
        report: Callable[[str], None] = lambda _sentence: None,
    ) -> None:
        """Make a refresher.

        Args:
            book: gets the new table.
            cache: where it is kept, and where it comes from.
            ttl_s: the age at which prices are looked for again.
            opener: opens a request with a timeout; raises OSError when it cannot.
            clock: epoch seconds.
            report: is told in a sentence what happened; called on the thread.
        """
        self._book = book
        self._cache = cache
        self._ttl_s = ttl_s
        self._opener = opener or url_opener()
        self._clock = clock
        self._report = report
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<PriceRefresher {self._cache.url} {'running' if self._thread else 'stopped'}>"

    def start(self) -> None:
        """Start looking, soon and then whenever the prices are older than the time to live."""
        self._thread = threading.Thread(target=self._run, name="llmflow-prices", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop looking; a fetch under way ends with the process."""
        self._stopping.set()

    def _run(self) -> None:
        pause = FIRST_CHECK_S
        if not self._stopping.wait(pause):
            _ = self._book.table  # loaded here, the first call need not wait for it
            pause = 0.0
        while not self._stopping.wait(pause):
            left = self._ttl_s - self._cache.age_s(self._clock())
            if left <= 0:
                left = self._ttl_s if self.refresh() else min(RETRY_S, self._ttl_s)
            pause = max(left, FIRST_CHECK_S)

    def refresh(self) -> bool:
        """Fetch once, now; return whether the prices are current after it."""
        try:
            self._refresh()
        except (OSError, ValueError) as error:
            # The exception's first line: an HTTP error, a timeout, no such host, bad JSON.
            self._report(f"prices of {self._book.table.date} stay in use: {self._cache.url}: {error}")
            return False
        return True

    def _refresh(self) -> None:
        now = self._clock()
        fetched = self._fetch()
        if fetched is None:
            self._cache.touch(now)
            return
        data, etag = fetched
        models = compact_models(parse_table(data))
        priced = priced_count(models)
        if priced < MIN_PRICED_ROWS:
            raise ValueError(f"only {priced} models have a price there")
        date = datetime.fromtimestamp(now, UTC).date().isoformat()
        self._book.replace(table_from(models, date=date, source=self._cache.url))
        self._report(f"{priced} prices of {date} are in use")
        self._cache.save(models, date=date, etag=etag, now=now)

    def _fetch(self) -> tuple[bytes, str | None] | None:
        """Return the file and its entity tag, or None when it has not changed."""
        from urllib.error import HTTPError
        from urllib.request import Request

        if not is_trusted_url(self._cache.url):
            raise ValueError("prices are fetched by https only")
        request = Request(self._cache.url, headers={"Accept": "application/json"})  # noqa: S310 - checked above
        etag = self._cache.etag()
        if etag:
            request.add_header("If-None-Match", etag)
        try:
            answer = self._opener(request, FETCH_TIMEOUT_S)
        except HTTPError as error:
            with error:
                if error.code == 304:
                    return None
                raise OSError(f"HTTP {error.code}") from error
        try:
            if not is_trusted_url(answer.geturl()):
                raise ValueError("redirected away from https")
            data = answer.read(MAX_PRICES_BYTES + 1)
            tag = answer.headers.get("ETag")
        finally:
            answer.close()
        if len(data) > MAX_PRICES_BYTES:
            raise ValueError(f"more than {MAX_PRICES_BYTES} bytes")
        return data, tag
