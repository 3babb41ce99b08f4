"""The looks of `doctor`, one method each. Each adds findings: what was looked at, how it is, and how to mend it."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from llmflow_web.app.cli.prune import size_text
from llmflow_web.app.cli.server import ServerSource
from llmflow_web.app.cli.sources import server_url
from llmflow_web.app.config import is_loopback
from llmflow_web.app.settings import Config
from llmflow_web.errors import LLMFlowError, StoreRefused
from llmflow_web.model import JSON
from llmflow_web.version import VERSION

Level = Literal["ok", "warn", "fail"]

LOW_DISK_BYTES = 1024**3
NO_DISK_BYTES = 100 * 1024**2
OLD_PRICES_DAYS = 45
CLOCK_OFF_MS = 120_000
ONLINE_TIMEOUT_S = 6.0
_READ_BY_US = frozenset({"OLLAMA_HOST", "AZURE_OPENAI_ENDPOINT"})  # they tell LLMFlow itself where to go on to
_SET_ASIDE = "start llmflow: it sets the file aside and begins a new one; llmflow export saves what can be read"
_PROXY_NAMES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    level: Level
    text: str
    fix: str = ""


class Doctor:
    """Looks at everything and keeps what it found."""

    def __init__(self, config: Config, options: argparse.Namespace, env: Mapping[str, str]) -> None:
        self.findings: list[Finding] = []
        self.storage: JSON | None = None
        self._config = config
        self._env = env
        self._is_online = bool(options.online)
        self._is_elsewhere = bool(options.url)
        self._url = server_url(config, options)
        self._health: JSON | None = None

    @property
    def told(self) -> dict[str, object]:
        """Everything, as JSON."""
        is_ok = all(finding.level != "fail" for finding in self.findings)
        return {"ok": is_ok, "findings": [asdict(finding) for finding in self.findings], "storage": self.storage}

    def look(self) -> None:
        """Look at everything, one after the other."""
        self._versions()
        self._settings()
        self._server()
        if not self._is_elsewhere:
            self._ports()
            self._data_dir()
            self._database()
        self._prices()
        self._clock()
        self._keys()
        self._proxies()
        self._base_urls()
        if self._is_online:
            self._upstreams()

    def _note(self, check: str, level: Level, text: str, fix: str = "") -> None:
        self.findings.append(Finding(check, level, text, fix))

    # ── the program ──────────────────────────────────────────────────────────────────────────────────────────────

    def _versions(self) -> None:
        from importlib.metadata import PackageNotFoundError, version

        from llmflow_web.net.tls import openssl_version
        from llmflow_web.store.stock import sqlite_version

        h11 = "inside"  # llmflow.pyz carries it along
        with suppress(PackageNotFoundError):
            h11 = version("h11")
        python = ".".join(map(str, sys.version_info[:3]))
        ssl_words = " ".join(openssl_version().split()[:2])
        text = f"LLMFlow {VERSION}, Python {python}, SQLite {sqlite_version()}, h11 {h11}, {ssl_words}"
        self._note("versions", "ok", text)

    def _settings(self) -> None:
        for warning in self._config.warnings:
            self._note("settings", "warn", f"{warning}.", "rename or unset it: nothing reads it")
        where = self._config.file
        self._note("settings", "ok", f"read from {where}" if where else "no llmflow.toml: flags and environment alone")

    # ── the server ───────────────────────────────────────────────────────────────────────────────────────────────

    def _server(self) -> None:
        if self._url is None:
            self._note("server", "ok", f"none runs on {self._config.data_dir}", "llmflow starts one")
            return
        source = ServerSource(self._url, self._config.token)
        try:
            self._health = source.get("/api/health").value
            if self._is_elsewhere:
                self.storage = source.get("/api/storage").value
        except LLMFlowError as error:
            fix = "set LLMFLOW_TOKEN" if "TOKEN" in error.message else "see its console; stop it and start it again"
            self._note("server", "fail", error.message, fix)
            return
        finally:
            source.close()
        self._judge_health(self._health)

    def _judge_health(self, health: JSON | None) -> None:
        if not isinstance(health, dict) or "version" not in health:
            self._note("server", "fail", f"what answers at {self._url} is not LLMFlow", "give the dashboard's address")
            return
        text = f"LLMFlow {health['version']} at {self._url}, proxy on port {health['proxy_port']}"
        self._note("server", "ok", f"{text}, {health['traces']:,} spans")
        if health["version"] != VERSION:
            self._note("server", "warn", f"this is LLMFlow {VERSION}, another version", "use one version of both")
        if health["store"]["error"]:
            self._note("server", "fail", health["store"]["error"], "free the disk, or end what locks the file")
        lost = int(health.get("lost_rows") or 0)
        if lost:
            self._note(
                "server", "warn", f"{lost:,} calls could not be stored since it started", "see its console for why"
            )

    def _ports(self) -> None:
        if self._health is not None:
            return
        config = self._config
        for name, port in (("proxy", config.proxy_port), ("dashboard", config.dashboard_port)):
            if not port:
                continue
            if _is_free(port):
                self._note("ports", "ok", f"{name} port {port} is free")
            else:
                fix = f"end what listens there (lsof -i :{port}), or use --{name}-port"
                self._note("ports", "warn", f"{name} port {port} is taken by another program", fix)

    # ── the data ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _data_dir(self) -> None:
        folder = self._config.data_dir
        if not folder.is_dir():
            self._note("data", "ok", f"{folder} is not there yet: nothing has been recorded")
            return
        if not os.access(folder, os.W_OK | os.X_OK):
            self._note("data", "fail", f"{folder} cannot be written", f"chown it, or chmod u+rwx {folder}")
        elif os.name == "posix" and folder.stat().st_mode & 0o077:
            self._note("data", "warn", f"others on this machine may look into {folder}", f"chmod 700 {folder}")
        else:
            self._note("data", "ok", f"{folder} is yours alone")
        self._disk()

    def _disk(self) -> None:
        if not hasattr(os, "statvfs"):
            return
        stat = os.statvfs(self._config.database.parent)
        free = stat.f_bavail * stat.f_frsize
        level: Level = "fail" if free < NO_DISK_BYTES else "warn" if free < LOW_DISK_BYTES else "ok"
        fix = "" if level == "ok" else "free some, or llmflow prune --max-size 500MiB --now"
        self._note("disk", level, f"{size_text(free)} free where the database lies", fix)

    def _database(self) -> None:
        from llmflow_web.store.files import is_database_error
        from llmflow_web.store.stock import quick_check, stock
        from llmflow_web.store.transfer import open_reader
        from llmflow_web.wire.filter import Filter

        path = self._config.database
        aside = sorted(path.parent.glob(f"{path.name}.corrupt-*"))
        if aside:
            self._note(
                "database", "warn", f"a damaged one was set aside: {aside[-1].name}", "delete it when it is not missed"
            )
        if not path.exists():
            return
        try:
            connection = open_reader(path, lambda *_: "")
        except StoreRefused as error:
            self._note("database", "fail", error.message, _SET_ASIDE if "cannot be read" in error.message else "")
            return
        try:
            verdict = quick_check(connection)
            self.storage = stock(connection, Filter())
        except Exception as error:
            if not is_database_error(error):
                raise
            verdict = str(error)
        finally:
            connection.close()
        if verdict == "ok":
            self._note("database", "ok", f"{path.name} is sound")
        else:
            self._note("database", "fail", f"{path} is damaged: {verdict}", _SET_ASIDE)

    # ── prices and the clock ─────────────────────────────────────────────────────────────────────────────────────

    def _prices(self) -> None:
        from llmflow_web.app.rows import price_cache_of

        table = price_cache_of(self._config).load()
        origin = "built in" if table.source == "bundled" else "fetched"
        try:
            days = (datetime.now(UTC).date() - date.fromisoformat(table.date)).days
        except ValueError:
            days = -1
        text = f"{len(table.rows):,} models, {origin}, of {table.date}"
        if days <= OLD_PRICES_DAYS:
            self._note("prices", "ok", text)
            return
        is_off = not self._config.price_refresh
        fix = (
            "--price-refresh fetches newer ones"
            if is_off
            else "a running llmflow fetches newer ones; is there a network?"
        )
        self._note("prices", "warn", f"{text}: {days} days old", fix)

    def _clock(self) -> None:
        from llmflow_web.record.price_refresh import bundled_date

        now_ms = int(time.time() * 1000)
        if f"{datetime.now(UTC):%Y-%m-%d}" < bundled_date():
            text = f"it shows {datetime.now(UTC):%Y-%m-%d}, a day before this version was made"
            self._note("clock", "warn", text, "set the clock: times and prices go by it")
            return
        newest = (self.storage or {}).get("newest")
        if newest is not None and newest - now_ms > CLOCK_OFF_MS:
            ahead = (newest - now_ms) // 60_000
            self._note(
                "clock", "warn", f"the newest call was recorded {ahead:,} minutes from now", "compare the clocks"
            )
            return
        if self._health is not None and abs(int(self._health["timestamp"]) - now_ms) > CLOCK_OFF_MS:
            self._note("clock", "warn", "the server's clock shows another time", "compare the clocks")
            return
        self._note("clock", "ok", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")

    # ── the environment ──────────────────────────────────────────────────────────────────────────────────────────

    def _keys(self) -> None:
        from llmflow_web.registry import PROVIDERS

        names = dict.fromkeys(name for row in PROVIDERS for name in row.key_env)
        found = [name for name in names if self._env.get(name)]
        if found:
            self._note("keys", "ok", f"set in this environment: {', '.join(found)}")
        else:
            self._note(
                "keys",
                "ok",
                "none in this environment: calls must bring their own",
                "export OPENAI_API_KEY=… or others",
            )

    def _proxies(self) -> None:
        found = {name: self._env[name] for name in _PROXY_NAMES if self._env.get(name)}
        if not found:
            return
        shown = ", ".join(f"{name}={_without_secrets(url)}" for name, url in found.items())
        exempt = self._env.get("no_proxy", self._env.get("NO_PROXY", ""))
        if any(host in exempt for host in ("localhost", "127.0.0.1", "*")):
            self._note("proxies", "ok", f"{shown}; this machine is exempt")
            return
        fix = "export NO_PROXY=localhost,127.0.0.1"
        self._note("proxies", "warn", f"{shown}: programs may send calls meant for LLMFlow there", fix)

    def _base_urls(self) -> None:
        from llmflow_web.app.run_variables import VARIABLES

        port = int(self._health["proxy_port"]) if self._health is not None else self._config.proxy_port
        names = {one.name: one.path for one in VARIABLES if one.name not in _READ_BY_US}
        found = {name: self._env[name] for name in names if self._env.get(name)}
        for name, url in found.items():
            text, is_good = _judge_base_url(url, port)
            fix = "" if is_good else f"export {name}=http://localhost:{port}{names[name]}"
            self._note("base URLs", "ok" if is_good else "warn", f"{name} {text}", fix)
        if not found:
            fix = f"export OPENAI_BASE_URL=http://localhost:{port}/v1, or llmflow run -- COMMAND"
            self._note("base URLs", "ok", "no variable points programs anywhere: they call their providers", fix)

    # ── the network ──────────────────────────────────────────────────────────────────────────────────────────────

    def _upstreams(self) -> None:
        if self._health is not None and self._url is not None:
            source = ServerSource(self._url, self._config.token)
            try:
                found = source.get("/api/health/providers").value["providers"]
            finally:
                source.close()
        else:
            found = ask_providers(self._config, self._env)
        for name, told in found.items():
            if told["status"] == "ok":
                self._note("upstreams", "ok", f"{name} answers in {told['latency_ms']} ms")
            elif told["status"] != "unconfigured":
                fix = "look at its key" if "HTTP 4" in told["message"] else "look at the network"
                level: Level = "warn" if name == "ollama" else "fail"
                self._note("upstreams", level, f"{name}: {told['message']}", fix)


def _is_free(port: int) -> bool:
    """Say whether nobody listens on a port of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _without_secrets(url: str) -> str:
    """Return an address without what may be a password."""
    with suppress(ValueError):
        parts = urlsplit(url if "://" in url else f"//{url}")
        if parts.hostname:
            return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    return "(set)"


def _judge_base_url(url: str, port: int) -> tuple[str, bool]:
    """Say where an address points, and whether that is where calls are seen."""
    try:
        parts = urlsplit(url)
        host, its = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return "is no URL", False
    if not is_loopback(host):
        return f"points at {host}: such calls are not seen", False
    if its != port:
        return f"points at port {its} of this machine, the proxy's is {port}", False
    return "points at LLMFlow", True


def ask_providers(config: Config, env: Mapping[str, str]) -> dict[str, JSON]:
    """Ask every provider that has a key whether it answers, without a server."""
    from llmflow_web.app.checks import checks_from
    from llmflow_web.app.upstreams import upstreams_from
    from llmflow_web.registry import PROVIDERS

    upstreams = upstreams_from(config, PROVIDERS, env)
    ollama = upstreams.get("ollama")
    found: dict[str, JSON] = {}
    for name, check in checks_from(upstreams).items():
        key = next((value for one in check.key_env if (value := env.get(one))), "")
        if check.missing or (check.key_env and not key) or check.is_optional:
            continue
        url = f"{ollama.origin}/api/tags" if name == "ollama" and ollama else check.url
        found[name] = _asked(check, url, key)
    return found


def _asked(check: Any, url: str, key: str) -> JSON:
    import urllib.error
    import urllib.request

    headers = {name: value.replace("{key}", key) for name, value in check.headers.items()}
    request = urllib.request.Request(url, check.body or None, headers, method=check.method)  # noqa: S310 - our own table
    begun = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=ONLINE_TIMEOUT_S) as answer:  # noqa: S310
            status = answer.status
    except urllib.error.HTTPError as error:
        with error:
            status = error.code
    except OSError as error:
        return {"status": "error", "message": f"not reachable at {urlsplit(url).netloc}: {error}"}
    latency_ms = round((time.perf_counter() - begun) * 1000)
    if status in check.is_ok:
        return {"status": "ok", "latency_ms": latency_ms}
    return {"status": "error", "latency_ms": latency_ms, "message": f"HTTP {status}"}
