"""A cassette: recorded exchanges, which of them answers a request, and where a new one goes.

Pure but for the file behind it (record/cassette_file.py). The proxy asks it through net/cassette_client.py. All of it
belongs to one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from llmflow_web.errors import ConfigError, NotRecorded
from llmflow_web.model import JSON
from llmflow_web.record.cassette_file import CassetteWriter, encode, read
from llmflow_web.record.cassette_lines import NotKept, answer_from, request_from, response_from
from llmflow_web.record.cassette_match import Rules, differences, key_of, told
from llmflow_web.record.redact import Secret, credentials_in
from llmflow_web.wire.taped import Answer, Asked, Heard

Mode = Literal["record", "replay", "hybrid"]
Match = Literal["content", "sequence"]
Errors = Literal["final", "all", "none"]

MAX_COMPARED = 500
"""Recordings among which the nearest to a miss is looked for."""

RETRIED = frozenset({408, 409, 429})
"""With every 5xx: the answers after which SDKs ask again."""

HINT = (
    "To record what is missing, run once with --cassette-mode hybrid; "
    "to let a field differ, name it in --cassette-ignore."
)


class Recording:
    """One exchange on the cassette."""

    __slots__ = ("comparable", "ended", "key", "line", "number", "place", "request", "response", "uses")

    def __init__(self, request: JSON, response: JSON, rules: Rules, *, number: int = 0, place: int = -1) -> None:
        self.request = request
        self.response = response
        self.comparable = rules.comparable(request)
        self.key = key_of(self.comparable)
        self.line = encode({"request": request, "response": response})
        self.number = number  # of its line in the file it was read from; 0 = recorded now
        self.place = place  # in the order of starts; -1 = read from a file
        self.ended = 0  # the place of the next call when it ended
        self.uses = 0

    def __repr__(self) -> str:
        return f"<Recording {self.name} used {self.uses} times>"

    @property
    def name(self) -> str:
        """What it is, for people."""
        request = self.request
        return f"{request['method']} {request['provider']} {request['path']}"


@dataclass(frozen=True, slots=True)
class Terms:
    """How a cassette is used."""

    mode: Mode = "replay"
    match: Match = "content"
    errors: Errors = "final"
    is_timed: bool = False
    rules: Rules = field(default_factory=Rules)
    hint: str = HINT  # how to record what is missing


class Cassette:
    """The deck of a proxy: answers requests from recordings, and takes new ones."""

    def __init__(
        self,
        path: Path,
        terms: Terms,
        *,
        secrets: Sequence[Secret] = (),
        report: Callable[[str], None] = lambda _: None,
        needs_file: bool = True,
    ) -> None:
        """Read the cassette at `path`. Raises ConfigError for a broken one.

        secrets: what is masked beside what looks like a secret. report: told when the file cannot be written.
        needs_file: in replay, refuse to begin without a file.
        """
        self.path = path
        self.may_play = terms.mode != "record"
        self.may_send = terms.mode != "replay"
        self.is_timed = terms.is_timed
        self.is_tidied = False  # at its end a recording cassette lets go of what was not recorded again
        self._terms = terms
        self._secrets = tuple(secrets)
        self._read: list[Recording] = self._load(is_needed=needs_file and not self.may_send)
        self._new: list[Recording] = []
        self._turns: dict[bytes, int] = {}
        self._count = 0
        self._writer = CassetteWriter(path, report) if self.may_send else None

    def __repr__(self) -> str:
        return f"<Cassette {self.path} {self._terms.mode}, {len(self._read)} read, {len(self._new)} new>"

    def __len__(self) -> int:
        return len(self.recordings())

    def _load(self, *, is_needed: bool) -> list[Recording]:
        if not self.path.exists():
            if is_needed:
                raise ConfigError(f"there is no cassette {self.path}: record one first, with --cassette-mode record")
            return []
        rules = self._terms.rules
        return [Recording(one["request"], one["response"], rules, number=at) for at, one in read(self.path)]

    # ── which recording answers ──────────────────────────────────────────────────────────────────────────────────

    def begin(self) -> int:
        """Return the place of one more call in the order of their start."""
        place, self._count = self._count, self._count + 1
        return place

    def find(self, place: int, asked: Asked) -> Answer | None:
        """Return the recorded answer; None where the call may go upstream. Raises NotRecorded where it may not."""
        comparable = self._terms.rules.comparable(request_from(asked, self._all_secrets(asked)))
        found = self._nth(place, comparable) if self._terms.match == "sequence" else self._next(key_of(comparable))
        if found is not None:
            found.uses += 1
            return answer_from(found.response)
        if self.may_send:
            return None
        raise NotRecorded(self._miss(place, comparable), "cassette_miss", {"x-llmflow-cassette": "miss"})

    def _next(self, key: bytes) -> Recording | None:
        """Return the recordings of equal requests in turn; the last one answers whatever comes after it."""
        # What failed in this run is no answer to the client's next try: that one goes upstream again.
        alike = [one for one in self.recordings() if one.key == key and not (one.place >= 0 and _is_retried(one))]
        if not alike:
            return None
        turn = self._turns.get(key, 0)
        self._turns[key] = turn + 1
        return alike[min(turn, len(alike) - 1)]

    def _nth(self, place: int, comparable: JSON) -> Recording | None:
        if place >= len(self._read):
            return None
        found = self._read[place]
        return found if found.key == key_of(comparable) else None

    def _miss(self, place: int, got: JSON) -> str:
        asked = f"{got['method']} {got['provider']} {got['path']}"
        end = f" Nothing was sent to the provider. {self._terms.hint}"
        if not self._read:
            return f"The cassette {self.path} has no recordings, so {asked} has no answer.{end}"
        if self._terms.match == "sequence":
            return self._out_of_sequence(place, got, asked) + end
        nearest = self._nearest(got)
        what = told(differences(nearest.comparable, got))
        return (
            f"The cassette {self.path} has no answer to this {asked}. The nearest recording, line {nearest.number}, "
            f"differs in {what}.{end}"
        )

    def _out_of_sequence(self, place: int, got: JSON, asked: str) -> str:
        count = len(self._read)
        if place >= count:
            return f"The cassette {self.path} has {count} recordings, and this {asked} is call {place + 1}."
        nth = self._read[place]
        what = told(differences(nth.comparable, got))
        return f"Call {place + 1}, {asked}, is not what the cassette {self.path} has in line {nth.number}: {what}."

    def _nearest(self, got: JSON) -> Recording:
        def distance(one: Recording) -> tuple[bool, int, int]:
            is_other_call = any(one.comparable[name] != got[name] for name in ("method", "provider", "path"))
            return is_other_call, len(differences(one.comparable, got)), one.uses

        return min(self._read[:MAX_COMPARED], key=distance)

    def unused(self) -> list[Recording]:
        """Return the recordings that answered nothing."""
        return [one for one in self._read if not one.uses]

    # ── where a new one goes ─────────────────────────────────────────────────────────────────────────────────────

    def keep(self, place: int, asked: Asked, heard: Heard) -> str | None:
        """Record an exchange; return why not, if not."""
        secrets = self._all_secrets(asked)
        if heard.status >= 400 and self._terms.errors == "none":
            return "--cassette-errors none"
        try:
            request = request_from(asked, secrets)
            response = response_from(heard, has_injected_usage=asked.has_injected_usage, secrets=secrets)
        except NotKept as error:
            return str(error)
        new = Recording(request, response, self._terms.rules, place=place)
        new.ended = self._count
        self._new.append(new)
        self._new.sort(key=lambda one: one.place)
        self._write()
        return None

    def _all_secrets(self, asked: Asked) -> Sequence[Secret]:
        return (*self._secrets, *credentials_in(asked.headers))

    def recordings(self) -> list[Recording]:
        """Return what the cassette holds now: what was read, each renewed by an equal call, then what is new."""
        return [one for one, _ in self._layout()] if self._new else self._read

    def _layout(self) -> list[tuple[Recording, bool]]:
        """Return the recordings in the order of the file, and of each whether it was recorded in this run."""
        if self._terms.match == "sequence":
            return self._by_place()
        layout = [(one, False) for one in self._read]
        slots: dict[bytes, list[int]] = {}
        if not self.may_play:
            for at, one in enumerate(self._read):
                slots.setdefault(one.key, []).append(at)
        for new in self._lasting():
            if free := slots.get(new.key):
                at = free.pop(0)
                layout[at] = (_unless_same(self._read[at], new), True)
            else:
                layout.append((new, True))
        return layout

    def _by_place(self) -> list[tuple[Recording, bool]]:
        slots = {place: (one, False) for place, one in enumerate(self._read)}
        for new in self._new:
            before = slots.get(new.place)
            slots[new.place] = (new if before is None else _unless_same(before[0], new), True)
        return [slots[place] for place in sorted(slots)]

    def _lasting(self) -> list[Recording]:
        """Return the new recordings without the failures that a later, equal call got past."""
        if self._terms.errors != "final":
            return self._new
        last: dict[bytes, int] = {one.key: one.place for one in self._new}
        return [one for one in self._new if not (_is_retried(one) and last[one.key] >= one.ended)]

    def _prune(self) -> None:
        """Let go of what was read and not recorded again in this run."""
        if self._writer is None or self.may_play:
            return
        kept = [one for one, is_of_this_run in self._layout() if is_of_this_run]
        if len(kept) < len(self._read) + len(self._new):
            self._read, self._new = kept, []
            self._write()

    def _write(self) -> None:
        if self._writer is not None:
            self._writer.write([one.line for one in self.recordings()])

    def close(self) -> None:
        """Write the rest."""
        if self.is_tidied:
            self._prune()
        if self._writer is not None:
            self._writer.close()


def _is_retried(one: Recording) -> bool:
    status = one.response["status"]
    return status in RETRIED or status >= 500


def _unless_same(before: Recording, new: Recording) -> Recording:
    """Keep the old line where the answer is the same but for its pace, so that a diff shows what has changed."""
    one, other = ({name: part for name, part in rec.response.items() if name != "arrivals"} for rec in (before, new))
    return new if one != other else before
