"""How a run ends: signals, commands that ignore them, crashes, and processes that outlive their parents."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from run_help import PATIENCE_S, environment, is_gone, python, run, started, wait_until, words

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")

# Waits for signals by sigwait: a handler would come too late for one that arrives just before pause().
LISTEN = """
import os, signal, sys
awaited = {signal.SIGTERM, signal.SIGUSR1}
signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
print(os.getpid(), flush=True)
while True:
    number = signal.sigwait(awaited)
    print("heard", signal.Signals(number).name, flush=True)
    if number == signal.SIGTERM:
        sys.exit(5)
"""


def test_signals_reach_the_command(tmp_path: Path) -> None:
    """What is sent to us is sent on, and the command decides what comes of it."""
    with started([], python(LISTEN), environment(tmp_path)) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == "heard SIGUSR1\n"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (5, "heard SIGTERM\n")
    assert "no calls were recorded" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_s_death_by_signal_is_told_as_shells_do(tmp_path: Path, number: signal.Signals) -> None:
    """128 and the signal's number; the summary is printed all the same."""
    script = "import os, signal; signal.signal(2, signal.SIG_DFL); print(os.getpid(), flush=True); signal.pause()"
    with started([], python(script), environment(tmp_path)) as process:
        process.stdout.readline()
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + number
    assert "no calls were recorded" in err


def test_a_command_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """After --kill-after it is killed with its whole group, and that is said."""
    script = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
below = subprocess.Popen([sys.executable, "-c", "import signal; print(1, flush=True); signal.pause()"], stdout=-1)
below.stdout.readline()
print(os.getpid(), below.pid, flush=True)
while True:
    signal.pause()
"""
    with started(["--kill-after", "200ms"], python(script), environment(tmp_path)) as process:
        pids = [int(word) for word in process.stdout.readline().split()]
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + signal.SIGKILL
    assert "the command was killed: it went on 0.2 s after a signal" in err
    assert all(is_gone(pid) for pid in pids)


def test_a_crash_leaves_nothing_behind(tmp_path: Path) -> None:
    """A command that dies of a fault is told as a shell tells it; what it had started is ended, sessions or not."""
    script = """
import os, subprocess, sys
sleep = [sys.executable, "-c", "import signal; print(1, flush=True); signal.pause()"]
stubborn = [sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); print(1, flush=True)\\n"
    "while True: signal.pause()"]
rest = [subprocess.Popen(sleep, stdout=-1), subprocess.Popen(stubborn, stdout=-1)]
if sys.platform == "linux":
    rest.append(subprocess.Popen(sleep, stdout=-1, start_new_session=True))
for one in rest:
    one.stdout.readline()
print(*[one.pid for one in rest], flush=True)
os.abort()
"""
    done = run(["--kill-after", "500ms"], python(script), environment(tmp_path))
    assert done.code == 128 + signal.SIGABRT
    assert all(is_gone(int(word)) for word in done.out.split())
    assert "the command left running, and LLMFlow ended: " in done.err


def test_our_own_violent_end_ends_the_command(tmp_path: Path) -> None:
    """After kill -9 of us there is no server, and the command is ended, too."""
    with started([], python(LISTEN), environment(tmp_path)) as process:
        pid = int(process.stdout.readline())
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == "heard SIGUSR1\n"  # so all is in place around the command
        process.kill()
        process.wait(PATIENCE_S)
        wait_until(lambda: is_gone(pid), "the command's end")


def test_a_terminal_s_ctrl_c_comes_once(tmp_path: Path) -> None:
    """On a terminal the command shares our group: the terminal tells it of Ctrl-C, and we do not do so again."""
    script = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
print("ready", flush=True)
signal.sigwait({signal.SIGINT})
print("heard", flush=True)
sys.stdin.readline()
print("times", 1 + len(signal.sigpending() & {signal.SIGINT}), flush=True)
"""
    terminal = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
    command = [sys.executable, "-c", terminal, *words([], python(script))]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, env=environment(tmp_path), start_new_session=True
    ) as process:
        try:
            _read_until(process, b"ready")
            _type(process, b"\x03")
            _read_until(process, b"heard")
            _type(process, b"\n")
            assert b"times 1" in _read_until(process, b"no calls were recorded")
            process.stdin.close()
            assert process.wait(PATIENCE_S) == 0
        finally:
            if process.poll() is None:
                process.kill()


def _type(process: subprocess.Popen[bytes], keys: bytes) -> None:
    process.stdin.write(keys)
    process.stdin.flush()


def _read_until(process: subprocess.Popen[bytes], words: bytes) -> bytes:
    seen = b""
    while words not in seen:
        line = process.stdout.readline()
        assert line, seen
        seen += line
    return seen
