"""The map of the house: what is made of what, and in which order it opens and closes.

    HttpServer(proxy)     → ProxyRoutes → Dispatcher (→ CassetteClient) → HttpClient → upstreams
                                              └──▶ Recorder ──▶ Database (writer thread: RowMaker, PriceBook)
    HttpServer(dashboard) → Router → api, ingest, live, assets ◀── Hub ◀── after each commit
    Dispatcher asks Budgets before a call leaves, where there are any; the Ledger counts for them in the writer's thread
    HttpServer(otlp)      → OtlpPort → the dashboard's OtlpRoutes, where a port of its own is wanted
    rows on their way into the store → Forwarder → HttpClient → an OTLP backend, where one is named

Everything gets its collaborators by constructor; this is the one place that knows them all.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llmflow_web.app.cassettes import at_no_cost, client_with, open_cassette, told_of
from llmflow_web.app.config import host_to_ask, is_loopback
from llmflow_web.app.rows import make_row_maker, price_cache_of, search_text, secrets_of, store_limits
from llmflow_web.app.settings import SETTINGS, Config, endpoints_of, shown_endpoints
from llmflow_web.app.upstreams import upstreams_from
from llmflow_web.console import Console
from llmflow_web.errors import LLMFlowError, StartRefused
from llmflow_web.model import Taken, Unrecorded
from llmflow_web.net.client import ClientLimits, HttpClient
from llmflow_web.net.dispatch import Dispatcher
from llmflow_web.net.guard import Door, Guard
from llmflow_web.net.http import Handler, ServerCall
from llmflow_web.net.server import LOOPBACK_HOSTS, HttpServer, ServerLimits
from llmflow_web.net.upstreams import Upstream, without_loops
from llmflow_web.record.recorder import QueueLimits, Recorder
from llmflow_web.routes.passthrough import PassthroughRoutes
from llmflow_web.routes.proxy import ProxyRoutes
from llmflow_web.store.budgets import list_rules
from llmflow_web.store.counters import Counters
from llmflow_web.store.counters import load as load_counters
from llmflow_web.store.database import Batch, Database
from llmflow_web.store.ledger import Ledger

if TYPE_CHECKING:
    from llmflow_web.app.budgeting import Budgeting
    from llmflow_web.app.dashboard import Dashboard
    from llmflow_web.record.budgets import Budgets
    from llmflow_web.record.cassette import Cassette
    from llmflow_web.record.exchange import RowMaker
    from llmflow_web.record.forward import Forwarder
    from llmflow_web.record.price_refresh import PriceCache, PriceRefresher
    from llmflow_web.record.pricing import PriceBook
    from llmflow_web.routes.api_health import About
    from llmflow_web.wire.otlp_values import Signal

LOSS_CHECK_S = 5.0
COUNT_EVERY_S = 0.25
DASHBOARD_GRACE_S = 1.0
FORWARD_GRACE_S = 5.0
"""Time the last items have to reach the OTLP backend when LLMFlow stops."""


class House:
    """A whole LLMFlow. `start` opens it, `stop` closes it; both belong to one loop."""

    def __init__(
        self,
        config: Config,
        console: Console,
        env: Mapping[str, str] | None = None,
        *,
        cassette: Cassette | None = None,
    ) -> None:
        """Build everything; nothing is opened yet.

        env: where providers' keys and proxies are named. cassette: in place of the one that is set.
        """
        from llmflow_web.registry import PROVIDERS

        env = os.environ if env is None else env
        self._env = env
        self.config = config
        self.console = console
        self.upstreams: dict[str, Upstream] = upstreams_from(config, PROVIDERS, env)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._row_maker: RowMaker | None = None
        self._forwarder: Forwarder | None = None
        self._refresher: PriceRefresher | None = None
        self._ledger = Ledger()
        self.database = Database(
            config.database,
            to_rows=self._to_rows,
            on_commit=self._on_commit,
            texts=search_text,
            limits=store_limits(config),
            ledger=self._ledger,
        )
        self.recorder = Recorder(self.database, _queue_limits(config))
        self.client = HttpClient(_client_limits(config), environ=env)
        self.cassette = open_cassette(config, self.upstreams, console.error) if cassette is None else cassette
        self.upstreams = at_no_cost(self.cassette, self.upstreams)
        self.dispatcher = Dispatcher(
            client_with(self.cassette, self.client, self.upstreams),
            self.recorder,
            use_env_keys=config.env_keys,
            max_record="on" if config.bodies else "meta",
            max_splice_bytes=config.max_splice_body,
            max_translated_bytes=config.max_translated_body,
        )
        self.guard = Guard(
            allow_hosts=config.allow_host, allow_origins=config.allow_origin, bind_host=config.host, token=config.token
        )
        self.proxy = self._server("proxy", self._answer_proxy)
        self.dashboard = self._server("dashboard", self._answer_dashboard)
        self.otlp = self._server("otlp", self._answer_otlp)
        self._screens: Dashboard | None = None
        self._change = 0
        self._proxy_routes = self._make_proxy_routes()
        self._loss_timer: asyncio.TimerHandle | None = None
        self._known_losses = (0, 0)
        self._known_renewals = 0
        self._said_at: dict[str, float] = {}  # of what asyncio complained, and when that was last told
        self._is_in_trouble = False
        self._span_count = 0
        self._is_counting = False

    def __repr__(self) -> str:
        return f"<House {self.proxy!r} {self.dashboard!r} {self.database!r}>"

    # ── construction ─────────────────────────────────────────────────────────────────────────────────────────────

    def _server(self, name: str, answer: Handler) -> HttpServer:
        return HttpServer(answer, limits=_server_limits(self.config), name=name, on_error=self._on_route_error)

    @cached_property
    def prices(self) -> PriceBook:
        """The prices: the cached ones, else those built in; read when they are first needed."""
        from llmflow_web.record.pricing import PriceBook

        return PriceBook(load=self._price_cache.load)

    @cached_property
    def _price_cache(self) -> PriceCache:
        return price_cache_of(self.config)

    @cached_property
    def budgeting(self) -> Budgeting:
        """The rules of budgets; made where there are any, or when the API asks."""
        from llmflow_web.app.budgeting import Budgeting

        return Budgeting(
            self.config,
            database=self.database,
            ledger=self._ledger,
            dispatcher=self.dispatcher,
            client=self.client,
            console=self.console,
            providers={name: upstream.provider for name, upstream in self.upstreams.items()},
            prices=self.prices,
            environment=self._env,
        )

    @property
    def budgets(self) -> Budgets:
        """How budgets and caps stand: `caps()` and `caps_exceeded()` are for who ends a run."""
        return self.budgeting.engine

    def _to_rows(self, item: object) -> Sequence[Taken]:
        """Make rows of what comes down the queue. On the writer thread, which makes the maker at its first item."""
        if isinstance(item, Unrecorded):
            return [item]
        if self._row_maker is None:
            self._row_maker = make_row_maker(self.config, self.upstreams, self.prices)
        stored = self._row_maker(item)
        if self._forwarder is not None:
            self._forwarder.put([row for row in stored if not isinstance(row, Unrecorded)])
        return stored

    def _make_proxy_routes(self) -> ProxyRoutes:
        upstreams = without_loops(self.upstreams, self._own_ports())
        return ProxyRoutes(
            upstreams,
            self.dispatcher,
            admit=self._admit,
            passthrough=PassthroughRoutes(upstreams, self.dispatcher).handle,
            dashboard_port=lambda: self.dashboard.port,
            proxy_port=lambda: self.proxy.port,
            count_spans=lambda: self._span_count,
        )

    def _own_ports(self) -> list[int]:
        running = [*self.proxy.ports, *self.dashboard.ports, *self.otlp.ports]
        config = self.config
        return running or [port for port in (config.proxy_port, config.dashboard_port, config.otlp_port) if port]

    # ── opening and closing ──────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Open the store and listen on all ports. Raises StoreRefused or StartRefused; then nothing stays open."""
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._on_loop_error)
        self.database.open()
        self.database.start()
        try:
            await self._open_budgets()
            await self._listen(self.dashboard, self.config.dashboard_port, "dashboard")
            await self._listen(self.proxy, self.config.proxy_port, "proxy")
            if self.config.otlp_port is not None:
                await self._listen(self.otlp, self.config.otlp_port, "otlp")
            self._start_forwarding()
        except BaseException:
            await self.stop(0)
            raise
        self._proxy_routes = self._make_proxy_routes()  # once more: port 0 has become a number
        self.database.note_ports(self.proxy.port, self.dashboard.port)
        if self.database.kept_aside is not None:
            self.console.warning(f"the database was damaged; it is kept as {self.database.kept_aside}")
        if self.cassette is not None and not self.config.quiet:
            self.console.note(told_of(self.cassette))
        self._count_soon()
        self._watch_losses()
        self._loop.call_soon(self._open_screens)
        self._start_refreshing()

    async def _open_budgets(self) -> None:
        """Have the first call asked about, where there are rules: of the settings, or made on the screen before."""
        made = await asyncio.wrap_future(self.database.call(list_rules))
        config = self.config
        if made or config.budgets or config.alerts or config.max_cost or config.max_calls or config.max_tokens:
            await self.budgeting.open(made)

    async def _listen(self, server: HttpServer, port: int, name: str) -> None:
        host = self.config.host
        hosts = LOOPBACK_HOSTS if host is None or host == "localhost" else (host,)
        try:
            await server.start(hosts, port)
        except OSError as error:
            raise StartRefused(_why_not(error, port, name, hosts)) from error

    def _start_forwarding(self) -> None:
        config = self.config
        if not endpoints_of(config):
            return
        from llmflow_web.app.forwarding import make_forwarder, refuse_loop

        refuse_loop(endpoints_of(config), [*self._own_ports(), *self.otlp.ports])
        self._forwarder = make_forwarder(config, self.client, asyncio.get_running_loop())
        if self._forwarder is not None:
            self._forwarder.start()

    def _relay(self, signal: Signal, body: bytes, count: int, *, is_json: bool) -> None:
        if self._forwarder is not None:
            self._forwarder.put_received(signal, body, count, is_json=is_json)

    async def _stop_forwarding(self) -> None:
        if self._forwarder is None:
            return
        with suppress(LLMFlowError):  # what is still to be stored has to be made into rows first
            await asyncio.wrap_future(self.database.call(lambda _: None))
        lost = await asyncio.to_thread(self._forwarder.stop, FORWARD_GRACE_S)
        if lost:
            self.console.error(f"{lost} items did not reach the OTLP backend")

    async def _stop_budgets(self) -> None:
        with suppress(LLMFlowError):  # the last calls are counted, and what is to be told of them is told
            await asyncio.wrap_future(self.database.call(lambda _: None))
        await self.budgeting.close()

    def _start_refreshing(self) -> None:
        if self.config.price_refresh and (self.cassette is None or self.cassette.may_send):
            from llmflow_web.record.price_refresh import PriceRefresher

            self._refresher = PriceRefresher(
                self.prices, self._price_cache, ttl_s=self.config.price_ttl, report=self.console.detail
            )
            self._refresher.start()

    async def stop(self, grace_s: float) -> None:
        """Take no new calls, give running ones `grace_s`, write what is recorded, close everything."""
        if self._loss_timer is not None:
            self._loss_timer.cancel()
        if self._refresher is not None:
            self._refresher.stop()
        self.recorder.close()
        await self.proxy.stop(grace_s)
        if self._screens is not None:
            await self._screens.stop()
        await self.dashboard.stop(min(grace_s, DASHBOARD_GRACE_S))
        await self.otlp.stop(min(grace_s, DASHBOARD_GRACE_S))
        if self._screens is not None:
            self._screens.close()
        await self._stop_forwarding()
        if "budgeting" in self.__dict__:
            await self._stop_budgets()
        await self.client.close()
        if self.cassette is not None:
            await asyncio.to_thread(self.cassette.close)
        self._loop = None
        self.database.close()
        self._tell_losses(self.database.pending_rows)  # what could not be written in time

    # ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def proxy_url(self) -> str:
        """The proxy's address, for people and base URLs."""
        return f"http://{_shown_host(self.config.host)}:{self.proxy.port}"

    @property
    def dashboard_url(self) -> str:
        """The dashboard's address."""
        return f"http://{_shown_host(self.config.host)}:{self.dashboard.port}"

    @property
    def otlp_url(self) -> str | None:
        """The address of the port for OTLP alone, where there is one."""
        return f"http://{_shown_host(self.config.host)}:{self.otlp.port}" if self.otlp.ports else None

    # ── after a commit ───────────────────────────────────────────────────────────────────────────────────────────

    def _on_commit(self, batch: Batch) -> None:
        """Tell the loop and the console. Called on the writer thread."""
        if not self.config.quiet:
            self._print_calls(batch)
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has just been closed
                loop.call_soon_threadsafe(self._after_commit, batch)

    def _print_calls(self, batch: Batch) -> None:
        for row in batch.rows:
            is_call = row["source"] in ("proxy", "passthrough")
            if row["seq"] not in batch.updated and (is_call or self.console.is_verbose):
                self.console.call(row)

    def _after_commit(self, batch: Batch) -> None:
        self._change = max(self._change, batch.change)
        self.recorder.on_commit()
        if self._ledger.is_open:
            self.budgeting.on_commit(batch)
        self._count_soon()
        if self._screens is not None:
            self._screens.publish(batch)

    def _count_soon(self) -> None:
        if self._loop is not None and not self._is_counting:
            self._is_counting = True
            self._loop.call_later(COUNT_EVERY_S, self._count)

    def _count(self) -> None:
        loop = self._loop
        if loop is None:
            return

        def counted(future: Future[Counters]) -> None:
            with suppress(RuntimeError, LLMFlowError, CancelledError):
                loop.call_soon_threadsafe(self._counted, future.result())

        self.database.read(load_counters).add_done_callback(counted)

    def _counted(self, counters: Counters) -> None:
        self._is_counting = False
        self._span_count = counters.spans
        self._change = max(self._change, counters.counter)
        if self._screens is not None:
            self._screens.skip_to(self._change)

    def _watch_losses(self) -> None:
        """Say on the console, at most every LOSS_CHECK_S, what goes wrong with the store."""
        self._tell_losses()
        trouble = self.database.error
        if trouble and not self._is_in_trouble:
            self.console.error(f"{trouble} Calls go on; what is recorded of them waits in memory.")
        elif self._is_in_trouble and not trouble:
            self.console.note("The database takes what is recorded again.")
        self._is_in_trouble = trouble is not None
        if self.database.renewals != self._known_renewals:
            self._known_renewals = self.database.renewals
            self.console.warning(f"{self.config.database} was removed or replaced; recording goes on there anew")
        if self._loop is not None:
            self._loss_timer = self._loop.call_later(LOSS_CHECK_S, self._watch_losses)

    def _tell_losses(self, unwritten: int = 0) -> None:
        counts = self.recorder.counts()
        losses = (counts["lost_rows"] + unwritten, counts["lost_bodies"])
        if losses != self._known_losses:
            reason = f": {self.database.error}" if self.database.error else ""
            self.console.error(f"{losses[0]} calls and {losses[1]} bodies were not stored so far{reason}")
            self._known_losses = losses

    def _answer_proxy(self, call: ServerCall) -> None:
        self._proxy_routes.handle(call)

    def _admit(self, call: ServerCall) -> bytes | None:
        lines = self.guard.admit(call, Door.PROXY)
        if lines:
            call.extra_lines = lines  # for the answers of our own; a relayed one gets them from the relay
        return lines

    # ── the dashboard's door ─────────────────────────────────────────────────────────────────────────────────────

    def _answer_dashboard(self, call: ServerCall) -> None:
        lines = self.guard.admit(call, Door.DASHBOARD)
        if lines is not None:
            call.extra_lines = lines
            self._open_screens().answer(call)

    def _answer_otlp(self, call: ServerCall) -> None:
        lines = self.guard.admit(call, Door.OTLP)
        if lines is not None:
            call.extra_lines = lines
            self._open_screens().answer_otlp(call)

    def _open_screens(self) -> Dashboard:
        """Return the dashboard's routes; they are loaded once the ports listen, or by the first request."""
        if self._screens is None:
            from llmflow_web.app.dashboard import Dashboard
            from llmflow_web.record.inflight import Inflight
            from llmflow_web.routes.api_forward import ForwardRoutes
            from llmflow_web.routes.otlp import IngestLimits
            from llmflow_web.routes.replay import ReplayRoutes

            config = self.config
            rows = {name: upstream.provider for name, upstream in self.upstreams.items()}
            upstreams = without_loops(self.upstreams, self._own_ports())
            self._screens = Dashboard(
                self.database,
                about=self._about(),
                client=self.client,
                env=self._env,
                upstreams=upstreams,
                replay=ReplayRoutes(
                    self.database,
                    self.client,
                    upstreams=upstreams,
                    proxy_origin=lambda: f"http://{host_to_ask(config.host)}:{self.proxy.port}",
                    token=config.token,
                ),
                otlp=IngestLimits(
                    max_body_bytes=config.max_otlp_body,
                    max_memory_bytes=config.max_ingest_memory,
                    max_queued_rows=config.queue_rows // 2,
                    max_queued_bytes=config.queue_bytes // 2,
                ),
                relay=self._relay if config.forward_raw else None,
                prices=lambda: self.prices,
                inflight=Inflight(
                    self.dispatcher.running,
                    rows,
                    secrets=secrets_of(self.config, self.upstreams),
                    patterns=self.config.redact,
                ),
                forward=ForwardRoutes(
                    self._forwarder,
                    endpoints=shown_endpoints(self.config),
                    batch_items=self.config.forward_batch,
                    interval_s=self.config.forward_interval,
                ),
                budgets=self.budgeting,
                on_error=self._on_route_error,
            )
        return self._screens

    def _about(self) -> About:
        from llmflow_web.routes.api_health import About

        return About(
            dashboard_port=lambda: self.dashboard.port,
            proxy_port=lambda: self.proxy.port,
            otlp_port=lambda: self.otlp.port if self.otlp.ports else None,
            count_spans=lambda: self._span_count,
            recorder=self.recorder.counts,
            store_error=lambda: self.database.error,
            prices=self._price_state,
            settings={
                setting.name: setting.kind.show(getattr(self.config, setting.name))
                for setting in SETTINGS
                if not setting.secret
            },
            upstreams={name: one.origin + one.prefix + one.version for name, one in self.upstreams.items()},
            needs_token=bool(self.config.token),
        )

    def _price_state(self) -> dict[str, object]:
        if not self.prices.is_loaded:  # the first priced call loads them; nobody has to wait for that here
            return {}
        table = self.prices.table
        return {"date": table.date, "source": table.source, "models": len(table.rows)}

    def _on_route_error(self, call: ServerCall, error: BaseException) -> None:
        self.console.error(f"{call.route or call.path} failed: {type(error).__name__}: {error}")
        self._show_traceback(error)

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        """Tell what asyncio complains of in one line. Out of files it does so a thousand times a second."""
        message, error = str(context.get("message")), context.get("exception")
        if loop.time() - self._said_at.get(message, -LOSS_CHECK_S) < LOSS_CHECK_S:
            return
        self._said_at[message] = loop.time()
        self.console.error(f"{message}: {error}" if error else message)
        self._show_traceback(error)

    def _show_traceback(self, error: BaseException | None) -> None:
        if error is not None and self.console.is_verbose:
            from traceback import format_exception

            for line in "".join(format_exception(error)).splitlines():
                self.console.detail(line)


def _queue_limits(config: Config) -> QueueLimits:
    return QueueLimits(
        max_rows=config.queue_rows,
        max_bytes=config.queue_bytes,
        max_capture_bytes=config.max_capture_memory,
        max_body_bytes=config.max_stored_body,
    )


def _client_limits(config: Config) -> ClientLimits:
    return ClientLimits(
        connect_timeout_s=config.connect_timeout,
        upstream_idle_timeout_s=config.upstream_idle_timeout,
    )


def _server_limits(config: Config) -> ServerLimits:
    return ServerLimits(
        max_head_bytes=config.max_head,
        max_connections=config.max_connections,
        head_timeout_s=config.head_timeout,
        body_idle_timeout_s=config.body_timeout,
        keep_alive_timeout_s=config.idle_timeout,
    )


def _shown_host(host: str | None) -> str:
    if host is None or is_loopback(host) or host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return "localhost" if host != "::1" else "[::1]"
    return f"[{host}]" if ":" in host else host


def _why_not(error: OSError, port: int, name: str, hosts: Sequence[str]) -> str:
    where = " and ".join(hosts)
    flag = f"--{name}-port"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} ({name}) is taken on {where}: stop what listens there, or choose another with {flag}"
    if error.errno == errno.EACCES:
        return f"port {port} ({name}) may not be used on {where}: choose one above 1023 with {flag}"
    return f"cannot listen on port {port} ({name}) of {where}: {error.strerror or error}"
