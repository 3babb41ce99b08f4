"""What the pytest plugin's fixture does: which cassette a test has, and an LLMFlow of its own around it.

Each test gets a server of its own: it starts in a few hundredths of a second, and a call that a test leaves behind
cannot reach the next one's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from llmflow_web.app.cassettes import terms_of
from llmflow_web.app.embed import Flow, make_flow
from llmflow_web.app.pytest_plugin import MARK, MODES
from llmflow_web.app.run_variables import OTLP_ENDPOINT, PROXY_URL, environment, plan
from llmflow_web.app.settings import Config
from llmflow_web.errors import ConfigError
from llmflow_web.record.cassette import Cassette
from llmflow_web.record.redact import Secret
from llmflow_web.registry import PROVIDERS

SUFFIX = ".jsonl"
MAX_NAME_CHARS = 100
NO_KEY = "no-key-needed-for-a-cassette"
HINT = (
    "To record what is missing, run the test once with --llmflow-cassette-mode=hybrid (or =record, to record it all "
    "again); to let a field differ, name it in the marker's ignore=[…]."
)
KEYED = ("openai", "anthropic", "gemini", "cohere", "groq", "mistral", "together")
"""Providers whose SDKs demand a key before they ask anything."""

_ODD = re.compile(r"[^A-Za-z0-9._=,\[\]-]+")
_UNUSED = ("allow", "error")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a test wants of its cassette."""

    path: Path
    mode: str = "replay"
    is_own: bool = True  # no other test has the same one
    is_strict: bool = False  # recordings that answer nothing are an error
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_request(cls, request: pytest.FixtureRequest) -> Wish:
        """Read marker, option and configuration."""
        node, config = request.node, request.config
        marks = list(node.iter_markers(MARK))
        told: dict[str, Any] = {}
        for mark in reversed(marks):  # the nearest has the last word
            told |= mark.kwargs
        name = next((mark.args[0] for mark in marks if mark.args), told.pop("name", None))
        mode = config.getoption("--llmflow-cassette-mode") or told.pop("mode", None)
        unused = told.pop("unused", None) or config.getini("llmflow_cassette_unused")
        folder = request.path.parent / str(config.getini("llmflow_cassette_dir"))
        told.pop("mode", None)
        settings = {
            "cassette_match": told.pop("match", None) or config.getini("llmflow_cassette_match"),
            "cassette_ignore": [*config.getini("llmflow_cassette_ignore"), *told.pop("ignore", ())],
            "cassette_ignore_header": list(told.pop("ignore_headers", ())),
            "cassette_timing": told.pop("timing", None) or "none",
        }
        wish = cls(
            path=folder / _named(name) if name else folder / request.path.stem / _name_of(node),
            mode=mode or config.getini("llmflow_cassette_mode"),
            is_own=not name,
            is_strict=_one_of(unused, _UNUSED) == "error",
            settings=settings,
        )
        _one_of(wish.mode, MODES)
        if told:
            raise pytest.UsageError(f"the marker {MARK} takes no {', '.join(told)}")
        return wish


def _one_of(word: str, known: Sequence[str]) -> str:
    if word not in known:
        raise pytest.UsageError(f"{MARK}: {word!r} is not one of {', '.join(known)}")
    return word


def _named(name: str) -> Path:
    return Path(name if name.endswith(SUFFIX) else name + SUFFIX)


def _name_of(node: pytest.Item) -> str:
    """Return a file name for a test, parameters included, that all file systems take."""
    owner = getattr(node, "cls", None)
    full = f"{owner.__name__}.{node.name}" if owner is not None else node.name
    name = _ODD.sub("-", full)
    if name != full or len(name) > MAX_NAME_CHARS:
        name = f"{name[:MAX_NAME_CHARS]}-{sha256(full.encode()).hexdigest()[:8]}"
    return name + SUFFIX


@contextmanager
def cassette_for(wish: Wish, *, passed: Callable[[], bool]) -> Iterator[Flow]:
    """Run an LLMFlow for one test. passed: asked at the end, whether the test did."""
    opened: list[Cassette] = []
    complaints: list[str] = []
    before = dict(os.environ)
    with _flow(wish, before, opened.append, complaints.append) as flow, pytest.MonkeyPatch.context() as patch:
        for name, value in _variables(flow, before, is_replay=wish.mode == "replay").items():
            patch.setenv(name, value)
        yield flow
        opened[0].is_tidied = wish.is_own and passed()
    if complaints:
        pytest.fail(complaints[0], pytrace=False)
    if passed():
        _judge(wish, opened[0])


def _flow(
    wish: Wish, env: Mapping[str, str], note: Callable[[Cassette], None], complain: Callable[[str], None]
) -> Flow:
    def open_deck(config: Config) -> Cassette:
        secrets: list[Secret] = [value.encode() for value in _keys(env).values() if len(value) > len("sk-test")]
        terms = terms_of(config, HINT)
        cassette = Cassette(wish.path, terms, secrets=secrets, report=complain, needs_file=False)
        note(cassette)
        return cassette

    places = {
        one.provider: one.url
        for one in plan(env, PROVIDERS, leave=[OTLP_ENDPOINT]).upstreams
        if one.variable != "AZURE_OPENAI_ENDPOINT"  # which its adapter reads, with what belongs to it
    }
    settings = {"cassette": str(wish.path), "cassette_mode": wish.mode, **wish.settings}
    try:
        return make_flow(settings, upstreams=places, env=env, open_deck=open_deck)
    except ConfigError as error:
        raise pytest.UsageError(error.message) from error


def _keys(env: Mapping[str, str]) -> dict[str, str]:
    return {name: env[name] for row in PROVIDERS for name in row.key_env if env.get(name)}


def _variables(flow: Flow, env: Mapping[str, str], *, is_replay: bool) -> dict[str, str]:
    """Return what is set for the test: where providers are, and in replay a key where there is none."""
    chosen = plan(env, PROVIDERS, leave=[OTLP_ENDPOINT])
    made = environment(env, chosen, flow.proxy_url, flow.dashboard_url)
    found = {name: made[name] for name in (*chosen.paths, PROXY_URL, "NO_PROXY", "no_proxy")}
    if is_replay:
        for row in PROVIDERS:
            if row.name in KEYED and row.key_env and not any(env.get(name) for name in row.key_env):
                found[row.key_env[0]] = NO_KEY
    return found


def _judge(wish: Wish, cassette: Cassette) -> None:
    """Complain of what was not needed, where that is wanted."""
    unused = cassette.unused()
    if wish.is_strict and wish.mode == "replay" and unused:
        names = "\n".join(f"  line {one.number}: {one.name}" for one in unused)
        pytest.fail(f"the test did not use all of its cassette {wish.path}:\n{names}", pytrace=False)
