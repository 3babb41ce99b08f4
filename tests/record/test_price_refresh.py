"""Refreshing prices: what replaces the table, what never does, and what is kept on disk."""

import gzip
import json
import stat
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

import pytest

from llmflow_web.model import Usage
from llmflow_web.record.price_refresh import MAX_PRICES_BYTES, PriceCache, PriceRefresher, bundled_date
from llmflow_web.record.pricing import PriceBook, bundled_table

NOW = 1_800_000_000.0  # 2027-01-15
MANY = {f"m{n}": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-6} for n in range(1200)}
URL = "https://prices.example/file.json"


class Server:
    """A price server on loopback: what it answers is set, what it is asked is remembered."""

    def __init__(self) -> None:
        self.body = json.dumps(MANY).encode()
        self.status = 200
        self.etag = '"one"'
        self.asked: list[dict[str, str]] = []
        outer = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(dict(self.headers))
                unchanged = outer.status == 200 and self.headers.get("If-None-Match") == outer.etag
                self.send_response(304 if unchanged else outer.status)
                self.send_header("ETag", outer.etag)
                if outer.status == 302:
                    self.send_header("Location", "ftp://prices.example/file.json")
                self.end_headers()
                if not unchanged:
                    self.wfile.write(outer.body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}/prices.json"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


class Desk:
    """A book, a cache and a refresher over them."""

    def __init__(self, path: Path, url: str, **more) -> None:
        self.said: list[str] = []
        self.cache = PriceCache(path / "prices.json", url)
        self.book = PriceBook(load=self.cache.load)
        self.refresher = PriceRefresher(
            self.book, self.cache, ttl_s=86400, clock=lambda: NOW, report=self.said.append, **more
        )

    def cost(self, model: str) -> float | None:
        return self.book.price("openai", [model], Usage(prompt_tokens=1000, completion_tokens=0)).total


def test_fetched_prices_replace_the_table_and_are_kept(server: Server, tmp_path: Path) -> None:
    """A good file becomes the table at once, dated by its day, and is kept for the next start, for its owner alone."""
    desk = Desk(tmp_path, server.url)
    assert desk.refresher.refresh()
    assert desk.cost("m7") == pytest.approx(0.001)
    assert (desk.book.table.date, desk.book.table.source) == ("2027-01-15", server.url)
    assert stat.S_IMODE(desk.cache.path.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["prices.json"]
    later = Desk(tmp_path, server.url)
    assert later.cost("m7") == pytest.approx(0.001)
    assert later.book.table.date == "2027-01-15"


def test_unchanged_prices_are_not_sent_again(server: Server, tmp_path: Path) -> None:
    """The entity tag is sent; a 304 keeps the file and makes it fresh."""
    desk = Desk(tmp_path, server.url)
    desk.refresher.refresh()
    before = desk.cache.path.read_bytes()
    desk.cache.touch(0)
    assert desk.refresher.refresh()
    assert server.asked[1]["If-None-Match"] == '"one"'
    assert desk.cache.path.read_bytes() == before
    assert desk.cache.age_s(NOW) == 0


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[1, 2]", b"{}", json.dumps(dict(list(MANY.items())[:900])).encode(), b"\x1f\x8bnot gzip"],
    ids=["empty", "html", "list", "no models", "too few", "bad gzip"],
)
def test_a_broken_file_changes_nothing(body: bytes, server: Server, tmp_path: Path) -> None:
    """What is no price file leaves table and cache as they are, and says so."""
    server.body = body
    desk = Desk(tmp_path, server.url)
    assert not desk.refresher.refresh()
    assert desk.cost("gpt-4o") == pytest.approx(0.0025)
    assert list(tmp_path.iterdir()) == []
    assert "stay in use" in desk.said[0]


@pytest.mark.parametrize("status", [404, 500, 302])
def test_an_error_answer_changes_nothing(status: int, server: Server, tmp_path: Path) -> None:
    """An error, or a redirect to somewhere that is not https, keeps the table."""
    server.status = status
    desk = Desk(tmp_path, server.url)
    assert not desk.refresher.refresh()
    assert desk.cost("gpt-4o") == pytest.approx(0.0025)


def test_too_large_a_file_is_refused(tmp_path: Path) -> None:
    """More than MAX_PRICES_BYTES are not read."""

    class Endless:
        headers = MappingProxyType({})

        def read(self, amount: int) -> bytes:
            assert amount == MAX_PRICES_BYTES + 1
            return b" " * amount

        def geturl(self) -> str:
            return URL

        def close(self) -> None:
            pass

    desk = Desk(tmp_path, URL, opener=lambda _request, _timeout: Endless())
    assert not desk.refresher.refresh()
    assert str(MAX_PRICES_BYTES) in desk.said[0]


@pytest.mark.parametrize("url", ["http://prices.example/x", "file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_only_https_or_this_machine(url: str, tmp_path: Path) -> None:
    """Prices are not taken over an open network or from a file."""
    desk = Desk(tmp_path, url, opener=lambda _request, _timeout: pytest.fail("was opened"))
    assert not desk.refresher.refresh()
    assert "https" in desk.said[0]


def test_a_refused_connection_is_only_reported(tmp_path: Path) -> None:
    """Without network nothing happens but a sentence."""

    def fail(_request: object, _timeout: float) -> None:
        raise ConnectionRefusedError("refused")

    desk = Desk(tmp_path, URL, opener=fail)
    assert not desk.refresher.refresh()
    assert desk.said == [f"prices of {bundled_date()} stay in use: {URL}: refused"]


def test_prices_of_another_url_are_not_used(server: Server, tmp_path: Path) -> None:
    """A cache filled from another URL is left alone until the new one answers."""
    Desk(tmp_path, server.url).refresher.refresh()
    other = Desk(tmp_path, URL)
    assert other.book.table.source == "bundled"
    assert other.cache.etag() is None


def test_a_newer_package_wins_over_an_old_cache(tmp_path: Path) -> None:
    """A cache older than the bundled snapshot is not used."""
    cache = PriceCache(tmp_path / "prices.json", URL)
    cache.save(MANY, date="2020-01-01", etag=None, now=NOW)
    assert cache.load().source == "bundled"


def test_a_torn_cache_falls_back_to_the_bundle(tmp_path: Path) -> None:
    """An unreadable cache file is as good as none."""
    (tmp_path / "prices.json").write_bytes(b'{"_snap')
    assert PriceCache(tmp_path / "prices.json", URL).load().source == "bundled"


def test_an_unwritable_directory_keeps_the_new_prices_in_memory(server: Server, tmp_path: Path) -> None:
    """Prices that cannot be kept are used all the same."""
    desk = Desk(tmp_path / "missing", server.url)
    assert not desk.refresher.refresh()
    assert desk.cost("m7") == pytest.approx(0.001)


def test_the_thread_fetches_when_prices_are_old(server: Server, tmp_path: Path, monkeypatch) -> None:
    """Started, the refresher fetches on its own thread, once, and stops when told."""
    monkeypatch.setattr("llmflow_web.record.price_refresh.FIRST_CHECK_S", 0.0)
    desk = Desk(tmp_path, server.url)
    desk.refresher.start()
    for _ in range(3000):
        if desk.said:
            break
        threading.Event().wait(0.01)
    desk.refresher.stop()
    desk.refresher._thread.join(30)
    assert not desk.refresher._thread.is_alive()
    assert len(server.asked) == 1


def test_bundled_date_is_the_tables() -> None:
    """The date read from the head of the snapshot is the table's."""
    assert bundled_date() == bundled_table().date


def test_snapshot_script_makes_the_same_bytes_twice() -> None:
    """The packaging script is reproducible and refuses what is no price file."""
    import importlib.util

    path = Path(__file__).parents[2] / "packaging" / "trim_prices.py"
    spec = importlib.util.spec_from_file_location("trim_prices", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    data = json.dumps(MANY).encode()
    packed = script.snapshot(data, date="2026-01-02", source="test")
    assert packed == script.snapshot(data, date="2026-01-02", source="test")
    assert gzip.decompress(packed).startswith(b'{"_snapshot":{"date":"2026-01-02"')
    with pytest.raises(SystemExit):
        script.snapshot(b"{}", date="2026-01-02", source="test")
