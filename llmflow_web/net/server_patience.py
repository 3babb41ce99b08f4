"""How long one client has kept its connection waiting; the server's sweep looks, so that no request costs a timer.

All times are those of the loop's clock, as seen by the sweep: exact to its interval, and never early.
"""

from __future__ import annotations


class Patience:
    """The times of one connection."""

    __slots__ = ("_pending", "_since", "_stalled_since", "head_since", "is_touched")

    def __init__(self) -> None:
        self.is_touched = True  # since the last look something came, or an answer was finished
        self.head_since: float | None = None  # when a head began that is not complete
        self._since = 0.0
        self._pending = 0
        self._stalled_since = 0.0

    def restart(self, now: float) -> None:
        """Count from now."""
        self.is_touched = False
        self._since = now

    def look(self, now: float, pending: int, *, is_final: bool) -> None:
        """Take note of what has happened since the last look.

        pending: bytes that wait for the client to take them. is_final: what the client sends no longer counts.
        """
        if self.is_touched and not is_final:
            self.restart(now)
        if not pending or pending != self._pending:
            self._pending = pending
            self._stalled_since = now

    def waited(self, now: float) -> float:
        """Return for how long nothing has come."""
        return now - self._since

    def waited_for_head(self, now: float) -> float:
        """Return for how long a head has been coming."""
        return 0.0 if self.head_since is None else now - self.head_since

    def stalled(self, now: float) -> float:
        """Return for how long the client has taken none of what waits for it."""
        return now - self._stalled_since if self._pending else 0.0
