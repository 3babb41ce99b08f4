"""What tests of `llmflow run` share: the real program, without a terminal, in an environment of the test's."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 60.0
POLL_S = 0.02

KEYS = {
    "OPENAI_API_KEY": "sk-test-key",
    "ANTHROPIC_API_KEY": "sk-ant-test-key",
    "GEMINI_API_KEY": "AIza-test-key",
    "CO_API_KEY": "co-test-key",
}


@dataclass
class Done:
    """A run that is over."""

    code: int
    out: str
    err: str


def environment(home: Path, **more: str) -> dict[str, str]:
    """An environment with nothing in it but what programs need, keys, and `more`."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LANG") if name in os.environ}
    return kept | KEYS | {"HOME": str(home), "USERPROFILE": str(home), "TMPDIR": str(home)} | more


def words(options: Sequence[str], command: Sequence[str]) -> list[str]:
    return [sys.executable, str(ROOT / "llmflow.py"), "run", *options, "--", *command]


def run(options: Sequence[str], command: Sequence[str], env: Mapping[str, str], stdin: str = "") -> Done:
    """Run to the end."""
    with started(options, command, env) as process:
        out, err = process.communicate(stdin, PATIENCE_S)
    return Done(process.returncode, out, err)


@contextlib.contextmanager
def started(options: Sequence[str], command: Sequence[str], env: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start, in a session of its own: without a terminal, as in CI. Whatever is left of it is killed."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        words(options, command), env=dict(env), text=True, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_S)
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


def python(script: str) -> list[str]:
    """A command that runs a script."""
    return [sys.executable, "-c", script]


def wait_until(is_true, what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < end, f"did not happen: {what}"
        time.sleep(POLL_S)


def is_running(pid: int) -> bool:
    """Say whether a process runs; one that has ended and is not yet taken leave of does not."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    return True


def is_gone(pid: int) -> bool:
    return not is_running(pid)
