"""`llmflow run -- COMMAND…`: a whole LLMFlow around one command, for CI jobs and scripts.

It starts on free ports with a folder of its own, leads the command's SDKs to itself by their environment variables,
and ends with the command: its exit code is ours. Where LLMFlow lies and listens is said by flags alone, so that what
a user set for the server they always run changes nothing here.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from llmflow_web.app import config as configuration
from llmflow_web.app.config import Given
from llmflow_web.app.run_child import EXIT_SIGNAL, CannotRun, Child, Signals
from llmflow_web.app.run_report import Limit, Outcome, markdown, text, write
from llmflow_web.app.run_variables import Plan, environment, plan
from llmflow_web.app.serve import SWITCH_INTERVAL_S, Server
from llmflow_web.app.settings import BY_NAME, Config
from llmflow_web.console import Console
from llmflow_web.errors import LLMFlowError, StartRefused, StoreRefused
from llmflow_web.net.upstreams import without_loops
from llmflow_web.record.redact import redact_text
from llmflow_web.registry import PROVIDERS
from llmflow_web.store.lately import calls_since, last_seq

if TYPE_CHECKING:
    from llmflow_web.app.build import House

EXIT_NO_REPORT = 1
EXIT_LIMIT = 3
"""The command ended with 0, but a cap was passed."""

SETTLE_S = 10.0
"""Time calls have to end once the command is gone."""

SUMMARY_ENV = "GITHUB_STEP_SUMMARY"
BY_FLAG_ONLY = ("data_dir", "db_path", "proxy_port", "dashboard_port")
NOT_TAKEN = ("otlp_port", "host", "token", "allow_host", "allow_origin", "log_format")
_POLL_S = 0.01
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    command: Sequence[str]
    flags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    config_file: str | None = None
    reports: Sequence[tuple[str, Path]] = ()
    leave: Sequence[str] = ()
    kill_after_s: float = 10.0


def run_command(options: Options, env: Mapping[str, str]) -> int:
    """Run the command and return what to end with. Raises LLMFlowError for what keeps it from starting."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with ExitStack() as stack:
        signals = stack.enter_context(Signals())
        chosen = plan(env, PROVIDERS, leave=options.leave)
        config = _configure(stack, options, env, chosen)
        run = _Run(options, env, chosen, config)
        outcome = run.go(signals)
        return _tell(options, env, outcome, is_silent=config.quiet)


def _configure(stack: ExitStack, options: Options, env: Mapping[str, str], chosen: Plan) -> Config:
    flags = dict(options.flags)
    if "data_dir" not in flags:
        try:
            folder = tempfile.TemporaryDirectory(prefix="llmflow-run-", ignore_cleanup_errors=True)
        except OSError as error:
            raise StartRefused(
                f"there is no place for a temporary folder: {error}; name one with --data-dir"
            ) from error
        flags["data_dir"] = [stack.enter_context(folder)]
    for name in ("proxy_port", "dashboard_port"):
        flags.setdefault(name, ["0"])
    inherited = {"price_refresh": Given(["off"], "llmflow run"), "stop_grace": Given(["1s"], "llmflow run")}
    kept = {name: value for name, value in env.items() if name not in _ignored_env()}
    if not any(name.startswith(("forward", "LLMFLOW_FORWARD", "OTLP_EXPORT_")) for name in (*flags, *kept)):
        origin = "an environment variable of OpenTelemetry's"
        inherited |= {name: Given(texts, origin) for name, texts in chosen.relay.settings.items()}
    places = {
        one.provider: Given([one.url], f"the environment variable {one.variable}")
        for one in chosen.upstreams
        if not one.is_known
    }
    config = configuration.load(flags, kept, config_file=options.config_file, inherited=inherited, places=places)
    usual = {name: BY_NAME[name].default for name in NOT_TAKEN}
    if "db_path" not in flags:
        usual["db_path"] = None
    return replace(config, **usual)


def _ignored_env() -> set[str]:
    rows = [BY_NAME[name] for name in (*BY_FLAG_ONLY, *NOT_TAKEN)]
    return {name for row in rows for name in (row.env, *row.contract)} | {configuration.CONFIG_ENV}


class _Run:
    """One run, from the first port to the last row."""

    def __init__(self, options: Options, env: Mapping[str, str], chosen: Plan, config: Config) -> None:
        self._options = options
        self._env = env
        self._chosen = chosen
        self._config = config
        self._console = _console(config)
        # A line for each call would stand between those of the command; --verbose wants them.
        self._server = Server(replace(config, quiet=not config.verbose), self._console, env)
        self._notes: list[str] = []

    def go(self, signals: Signals) -> Outcome:
        """Start, run the command, and sum up."""
        self._start()
        try:
            self._refuse_loops()
            since = self._read(last_seq)
            self._greet()
            started, clock = time.time(), time.monotonic()
            code = self._run_child(signals)
            duration_s = time.monotonic() - clock
            self._settle()
            lately = self._read(calls_since, since)
            limits = self._server.ask(lambda: _limits(self._house))
        finally:
            self._server.stop()
        self._note_losses()
        return Outcome(
            command=[redact_text(word) for word in self._options.command],
            exit_code=code or (EXIT_LIMIT if any(limit.is_exceeded for limit in limits) else 0),
            command_exit_code=code,
            started=started,
            duration_s=duration_s,
            lately=lately,
            limits=limits,
            notes=tuple(self._notes),
        )

    @property
    def _house(self) -> House:
        return self._server.house

    @property
    def _urls(self) -> tuple[str, str]:
        """The addresses of proxy and dashboard. By number: no resolver, and every list of exceptions understands it."""
        return f"http://127.0.0.1:{self._house.proxy.port}", f"http://127.0.0.1:{self._house.dashboard.port}"

    def _start(self) -> None:
        try:
            self._server.start()
        except StoreRefused as error:
            self._console.close()
            if "data_dir" not in self._options.flags:
                raise
            raise StoreRefused(
                f"{error.message} Without --data-dir, llmflow run keeps what it records in a folder of its own."
            ) from error

    def _refuse_loops(self) -> None:
        ports = [*self._house.proxy.ports, *self._house.dashboard.ports]
        placed = without_loops(self._house.upstreams, ports)
        for one in self._chosen.upstreams:
            if placed[one.provider].is_loop:
                raise StartRefused(
                    f"{one.variable} is {one.url}, which is this LLMFlow itself: a call would come back for ever. "
                    "Unset it, or set it to where the calls shall go"
                )

    def _greet(self) -> None:
        if self._config.quiet:
            return
        console = _console(self._config)
        for warning in (*self._config.warnings, *([self._chosen.relay.warning] if self._chosen.relay.warning else ())):
            console.warning(warning)
        proxy, dashboard = self._urls
        console.started(dashboard, proxy)
        for upstream in self._config.upstreams.values():
            console.note(f"{upstream.name} is {upstream.url} (set by {upstream.origin})")
        for one in self._chosen.upstreams:
            if one.provider not in self._config.upstreams:
                console.note(f"{one.provider} is {one.url} (set by {one.variable})")
        for name, texts in self._chosen.relay.settings.items():
            if name != "forward_headers" and self._config.origins.get(name, "").startswith("an environment"):
                console.note(f"telemetry goes on to {texts[0].partition('?')[0]}")
        console.close()  # all of it stands there before the command says its first word

    def _run_child(self, signals: Signals) -> int:
        env = environment(self._env, self._chosen, *self._urls)
        child = Child(self._options.command, env, kill_after_s=self._options.kill_after_s)
        signals.hand_to(child.forward)
        if signals.first is not None:
            return EXIT_SIGNAL + signals.first
        try:
            child.start()
        except CannotRun as error:
            self._notes.append(error.message)
            return error.exit_code
        try:
            code = child.wait()
        finally:
            signals.hand_to(None)
            rest = child.end_rest()
        if child.was_killed:
            self._notes.append(f"the command was killed: it went on {self._options.kill_after_s:g} s after a signal")
        if rest:
            self._notes.append(f"the command left running, and LLMFlow ended: {', '.join(rest)}")
        return code

    def _settle(self) -> None:
        """Wait until the calls have ended, then until all that has ended is stored."""
        house = self._house
        self._server.ask(lambda: _quiet(house))
        with suppress(LLMFlowError):
            house.database.call(lambda _connection: None).result(SETTLE_S)

    def _note_losses(self) -> None:
        counts = self._house.recorder.counts()
        if counts["lost_rows"]:
            self._notes.append(f"{counts['lost_rows']} calls were not recorded and are missing above")

    def _read(self, fn: Any, *args: Any) -> Any:
        return self._house.database.read(fn, *args, budget_s=None).result()


async def _quiet(house: House) -> None:
    running = house.dispatcher.running
    end = time.monotonic() + SETTLE_S
    while running and time.monotonic() < end:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(_POLL_S)


async def _limits(house: House) -> list[Limit]:
    """Tell how the caps stand, on the loop they belong to."""
    config = house.config
    if not config.budgets and not any((config.max_cost, config.max_calls, config.max_tokens)):
        return []
    caps = house.budgets.caps()
    return [Limit(cap.name, cap.limit, cap.used, cap.is_exceeded, cap.refused) for cap in caps]


def _console(config: Config) -> Console:
    import os

    stream = sys.stderr
    has_color = stream.isatty() and os.environ.get("TERM") != "dumb" and not config.no_color
    return Console(stream, is_quiet=not config.verbose, is_verbose=config.verbose, has_color=has_color)


# ── telling ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _tell(options: Options, env: Mapping[str, str], outcome: Outcome, *, is_silent: bool) -> int:
    """Print the table, write the reports, and return the exit code."""
    failed = [told for form, path in options.reports if (told := _write(path, write(form, outcome)))]
    summary = env.get(SUMMARY_ENV)
    if summary:
        failed += [told for told in [_write(Path(summary), "\n" + markdown(outcome), mode="a")] if told]
    if not is_silent:
        _say(text(outcome))
    elif outcome.exit_code:
        _say("\n".join([*(f"exceeded {limit.told}" for limit in outcome.limits if limit.is_exceeded), *outcome.notes]))
    for told in failed:
        _say(f"llmflow: {told}")
    return outcome.exit_code or (EXIT_NO_REPORT if failed else 0)


def _write(path: Path, content: str, mode: str = "w") -> str | None:
    try:
        with path.open(mode, encoding="utf-8") as stream:
            stream.write(content)
    except OSError as error:
        return f"{path} cannot be written: {error.strerror or error}"
    return None


def _say(words: str) -> None:
    if not words:
        return
    with suppress(OSError, ValueError):
        encoding = sys.stderr.encoding or "utf-8"
        print(words.encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr, flush=True)
