"""A dead letter as it is stored and exported, and which of them a person means."""

import json
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import msgspec

from contracts.backend import UpdateKind
from contracts.effects import EffectKind
from contracts.jobs import Lane
from sidecar.clock import utc_text
from sidecar.effects.outbox import Queued
from sidecar.php.reasons import scrub
from sidecar.redis.letter_bounds import LetterKind

#: What an update is called that could not be read.
UNREADABLE = "unreadable"
#: What a person may ask for: letters of a kind, or what an update or an effect says of itself.
KINDS = [*(one.value for one in (*LetterKind, *UpdateKind, *EffectKind)), UNREADABLE]


class LetterRef(NamedTuple):
    """Where a dead letter is. They sort by when they were given up (unix ms)."""

    given_up_at: int
    vendor_uid: str
    id: str
    kind: LetterKind


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """``update`` is the undelivered update, with its raw payload; or the effect, which has no
    ``lane``. Its reason is without personal data, also where an earlier version has kept more.
    Times are unix ms."""

    id: str
    vendor_uid: str
    lane: Lane | None
    update: dict[str, Any]
    given_up_at: int

    @property
    def kind(self) -> LetterKind:
        return LetterKind.UPDATES if self.lane else LetterKind.EFFECTS

    @property
    def ref(self) -> LetterRef:
        return LetterRef(self.given_up_at, self.vendor_uid, self.id, self.kind)

    @classmethod
    def read(cls, line: bytes) -> Self:
        """Parse a line of :meth:`export`. Raises ValueError, KeyError or TypeError."""
        found = msgspec.json.decode(line)
        lane = None if found["lane"] is None else Lane(found["lane"])
        letter = cls(
            str(found["id"]),
            str(found["vendor_uid"]),
            lane,
            _scrubbed(found["update"]),
            found["given_up_at"],
        )
        if lane is None:
            Queued.load(letter.update["id"], letter.vendor_uid, letter.update)
        elif not isinstance(letter.update["order_key"], str):
            raise TypeError("order_key is no text")
        return letter

    @classmethod
    def load(cls, ref: LetterRef, data: bytes) -> Self:
        """Read what is stored; the lane says what kind it is, whatever ``ref`` says."""
        try:
            found = msgspec.json.decode(data)
        except msgspec.DecodeError:
            found = json.loads(data)  # a number of Meta's that is too large for a float
        lane = Lane(found["lane"]) if "lane" in found else None
        return cls(ref.id, ref.vendor_uid, lane, _scrubbed(found["update"]), ref.given_up_at)

    @property
    def kept(self) -> bytes:
        """Return it as it is stored."""
        where = {"lane": self.lane.value} if self.lane else {"outbox": self.update["kind"]}
        return msgspec.json.encode({**where, "update": self.update})

    @property
    def summary(self) -> dict[str, Any]:
        """Return what may be shown in a list or a log: no payload."""
        names = ("vendor_uid", "wamid", "received_at", "attempts", "reason")
        shown = {name: self.update.get(name) for name in names}
        shown["kind"] = kind_of(self.update.get("kind"))
        where = self.lane.value if self.lane else "outbox"
        return {"id": self.id, "lane": where, "given_up_at": self.given_up_at, **shown}

    def export(self) -> bytes:
        """Return all of it as one line of JSON."""
        where = {"lane": self.lane.value if self.lane else None, "vendor_uid": self.vendor_uid}
        return msgspec.json.encode(
            {"id": self.id, **where, "given_up_at": self.given_up_at, "update": self.update}
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """A filter: of this vendor, with this text in the reason, given up before and not before
    (unix ms), of this kind: one of :class:`LetterKind`, or what an update or an effect says of
    itself (``status``, ``forward``). None matches all."""

    vendor_uid: str | None = None
    reason: str | None = None
    before: int | None = None
    since: int | None = None
    kind: str | None = None

    @property
    def kinds(self) -> tuple[LetterKind, ...]:
        """Return the kinds of letters that may be meant."""
        return (LetterKind(self.kind),) if self.kind in set(LetterKind) else tuple(LetterKind)

    @property
    def reads(self) -> bool:
        """Return whether a letter must be read to tell whether it is meant."""
        return bool(self.reason) or (self.kind is not None and self.kind not in set(LetterKind))

    @property
    def scores(self) -> tuple[str | int, str | int]:
        """Return from when to when they were given up, as Redis takes it."""
        return (
            "-inf" if self.since is None else self.since,
            "+inf" if self.before is None else f"({self.before}",
        )

    @property
    def text(self) -> str:
        """Return it in words."""
        parts = [
            f"of vendor {self.vendor_uid}" if self.vendor_uid else "",
            f"of kind {self.kind}" if self.kind else "",
            f"with {self.reason!r} in the reason" if self.reason else "",
            f"given up since {utc_text(self.since)}" if self.since is not None else "",
            f"given up before {utc_text(self.before)}" if self.before is not None else "",
        ]
        return ", ".join(part for part in parts if part) or "all"

    def fits(self, kind: Any, reason: Any) -> bool:
        """Return whether a letter with this kind and reason is meant, as far as these tell."""
        of_letter = self.kind is None or self.kind in set(LetterKind)
        if not of_letter and kind_of(kind) != self.kind:
            return False
        return (self.reason or "").casefold() in str(reason or "").casefold()


ALL = Choice()


def kind_of(said: Any) -> str:
    """Return what a letter is called everywhere, by what its update or effect says of itself."""
    return said if isinstance(said, str) and said else UNREADABLE


def _scrubbed(update: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(update, dict):
        raise TypeError("a dead letter's update is no object")
    reason = update.get("reason")
    return {**update, "reason": scrub(reason)} if isinstance(reason, str) else update
