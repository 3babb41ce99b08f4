"""The command of `llmflow run` as a process: started, told of signals, waited for, and nothing left of it.

Where there is a terminal, the command shares our process group, as its shell intends: Ctrl-C and Ctrl-Z reach it from
the terminal and are not sent a second time. Where there is none (CI), it leads a group of its own and every signal that
comes to us goes on to it. On Linux, processes that lose their parent become our children, so that all can be found.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Self

from llmflow_web.errors import LLMFlowError

EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127
EXIT_SIGNAL = 128
"""What shells add to a signal's number."""

POLL_S = 0.02
_IS_POSIX = os.name == "posix"
_IS_LINUX = sys.platform.startswith("linux")
_PR_SET_CHILD_SUBREAPER = 36
_FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGBREAK")
_BY_TERMINAL = ("SIGINT", "SIGHUP", "SIGQUIT", "SIGWINCH", "SIGBREAK")  # these reach the whole group by themselves
_TO_GROUP = ("SIGINT", "SIGQUIT")  # as a terminal would
_ENDING = ("SIGTERM", "SIGHUP")
_KILL_ROUNDS = 100
_TURN_S = 0.2


class CannotRun(LLMFlowError):
    """The command could not be started. `exit_code` is the shell's for that."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Signals:
    """What is sent to us, from the start to the end of a run. Signals that are ignored stay ignored."""

    def __init__(self) -> None:
        self.first: int | None = None  # the first that asks for an end
        self._receiver: Callable[[int], None] | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        for name in _FORWARDED:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def hand_to(self, receiver: Callable[[int], None] | None) -> None:
        """Hand signals to `receiver` from now on."""
        self._receiver = receiver

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.first is None and signal.Signals(number).name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"):
            self.first = number
        if self._receiver is not None:
            self._receiver(number)


class Child:
    """One command. `start`, `wait`, `end_rest`; signals come in between."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], *, kill_after_s: float) -> None:
        """Prepare; nothing runs yet. kill_after_s: time a process has to end that was asked to."""
        self._argv = list(argv)
        self._env = dict(env)
        self._kill_after_s = kill_after_s
        self._has_own_group = _IS_POSIX and not _has_terminal()
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: _Watch | None = None
        self._timer: threading.Timer | None = None
        self._early: list[int] = []  # signals that came while it was being started
        self.was_killed = False  # since it did not end when it was asked to

    def start(self) -> None:
        """Start the command with our standard streams. Raises CannotRun."""
        if _IS_LINUX:
            _adopt_orphans()
        argv = _executable(self._argv, self._env)
        group = 0 if self._has_own_group else None
        try:
            # close_fds: what a shell hands over beside the three streams (make's job server, <(…)) is the command's;
            # ours are closed by the system, as Python opens them that way.
            self._process = subprocess.Popen(argv, env=self._env, close_fds=False, process_group=group)  # noqa: S603
        except FileNotFoundError:
            raise CannotRun(f"{self._argv[0]}: there is no such command", EXIT_NOT_FOUND) from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise CannotRun(f"{self._argv[0]} cannot be run: {reason}", EXIT_NOT_EXECUTABLE) from None
        self._watch = _Watch(-self._process.pid if self._has_own_group else self._process.pid)
        while self._early:
            self.forward(self._early.pop(0))

    def wait(self) -> int:
        """Wait for its end; return its exit code as a shell gives it."""
        process = self._running()
        code = _wait_and_hear(process) if _IS_POSIX else _wait_in_turns(process)
        if self._timer is not None:
            self._timer.cancel()
        return EXIT_SIGNAL - code if code < 0 else code

    def forward(self, number: int) -> None:
        """Send a signal on, unless the terminal has done so. From a signal handler."""
        process, name = self._process, signal.Signals(number).name
        if process is None or self._watch is None:
            self._early.append(number)
            return
        if process.returncode is not None or (not self._has_own_group and name in _BY_TERMINAL and _is_in_front()):
            return
        with suppress(OSError):
            if self._has_own_group and name in _TO_GROUP:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
        if name in _ENDING and self._timer is None:
            self._timer = threading.Timer(self._kill_after_s, self._kill)
            self._timer.daemon = True
            self._timer.start()

    def end_rest(self) -> list[str]:
        """End what the command has left running; return the names of it all."""
        process = self._running()
        found = dict(self._left())
        _send(found, signal.SIGTERM)
        end = time.monotonic() + self._kill_after_s
        while (left := self._left()) and time.monotonic() < end:
            time.sleep(POLL_S)
        for _ in range(_KILL_ROUNDS):
            if not left:
                break
            found |= left
            _send(left, signal.SIGKILL if _IS_POSIX else signal.SIGTERM)
            time.sleep(POLL_S)
            left = self._left()
        if self._watch is not None:
            self._watch.dismiss()
        found.pop(process.pid, None)
        return sorted(found.values())

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the command has not been started")
        return self._process

    def _kill(self) -> None:
        process = self._running()
        if process.returncode is None:
            self.was_killed = True
            with suppress(OSError):
                if self._has_own_group:
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()

    def _left(self) -> dict[int, str]:
        """Return what still runs, by process id; a negative one is a whole group."""
        if _IS_LINUX:
            watch = None if self._watch is None else self._watch.pid
            return {pid: name for pid, name in _descendants().items() if pid != watch}
        pid = self._running().pid
        if self._has_own_group:
            with suppress(OSError):
                os.killpg(pid, 0)
                return {-pid: f"process group {pid}"}
        return {}


def _wait_and_hear(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a process in a thread, and here for that and for signals.

    A signal that comes just before a system call does not interrupt it. So each one writes a byte, and so does the end.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def wait() -> None:
        process.wait()
        with suppress(OSError):  # full of signals: whoever reads them sees the end as well
            os.write(writer, b"\0")

    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    waiter = threading.Thread(target=wait, name="llmflow-wait", daemon=True)
    waiter.start()
    try:
        while process.returncode is None:
            os.read(reader, 512)  # the handlers run before the next line does
        waiter.join()
    finally:
        signal.set_wakeup_fd(before)
        if not waiter.is_alive():
            os.close(reader)
            os.close(writer)
    return int(process.returncode)


def _wait_in_turns(process: subprocess.Popen[bytes]) -> int:
    """Wait where no signal would interrupt the waiting: handlers run between two turns."""
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(_TURN_S)


def _executable(argv: list[str], env: Mapping[str, str]) -> list[str]:
    """Return what to start: on Windows `npm` is a file npm.cmd, which only a search finds."""
    if _IS_POSIX:
        return argv
    import shutil

    return [shutil.which(argv[0], path=env.get("PATH")) or argv[0], *argv[1:]]


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY))
    except OSError:
        return False
    return True


def _is_in_front() -> bool:
    """Say whether our group is the terminal's: what Ctrl-C reaches."""
    if not _IS_POSIX:
        return True
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _send(processes: Mapping[int, str], number: int) -> None:
    for pid in processes:
        with suppress(OSError):
            os.kill(pid, number)


# ── Linux: who descends from us ──────────────────────────────────────────────────────────────────────────────────────


def _adopt_orphans() -> None:
    """Become the parent of descendants that lose theirs (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _descendants() -> dict[int, str]:
    """Return the names of all living descendants by process id. Those that ended are taken leave of."""
    own = os.getpid()
    children: dict[int, list[tuple[int, str]]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            front, _, rest = (entry / "stat").read_bytes().decode("utf-8", "replace").rpartition(")")
        except OSError:  # it has just gone
            continue
        state, parent = rest.split()[:2]
        pid = int(entry.name)
        if state not in "ZX":
            children.setdefault(int(parent), []).append((pid, front.partition("(")[2]))
        elif int(parent) == own:
            with suppress(OSError):
                os.waitpid(pid, os.WNOHANG)
    found: dict[int, str] = {}
    waiting = [own]
    while waiting:
        for pid, name in children.get(waiting.pop(), ()):
            found[pid] = name
            waiting.append(pid)
    return found


# ── should we be killed ──────────────────────────────────────────────────────────────────────────────────────────────


_WATCH = """\
read -r word && exit 0
kill -s TERM -- "$1"
for second in 1 2 3 4 5; do kill -s 0 -- "$1" || exit 0; sleep 1; done
kill -s KILL -- "$1"
"""


class _Watch:
    """A shell that ends the command when we are gone without a word, as after kill -9: it reads from a pipe of ours."""

    def __init__(self, target: int) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        if _IS_POSIX:
            with suppress(OSError):  # no /bin/sh: nobody watches
                self._process = subprocess.Popen(  # noqa: S603 - a script of ours
                    ["/bin/sh", "-c", _WATCH, "llmflow-watch", str(target)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    env={"PATH": os.environ.get("PATH", os.defpath)},
                    start_new_session=True,
                )

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def dismiss(self) -> None:
        if self._process is not None:
            with suppress(OSError):
                self._process.communicate(b"done\n")
