"""What a search finds: things that a query names, where they are now, and what happened to them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self


class Source(StrEnum):
    """Who says so: our Redis, PHP's tables, or Meta, as PHP has kept it."""

    SIDECAR = "sidecar"
    PHP = "php"
    META = "meta"


class Step(StrEnum):
    """What an event is, in the order of a message's life. PHP and Meta tell whole seconds, so the
    events of one second stand in this order."""

    WRITTEN = "message.written"
    RECEIVED = "webhook.received"
    QUEUED = "row.queued"
    REQUESTED = "reply.requested"
    STORED = "message.stored"
    CLAIMED = "row.claimed"
    SUPPRESSED = "recipient.suppressed"
    REQUEUED = "send.requeued"
    UNKNOWN = "send.unknown"
    FAILED = "send.failed"
    ENDED = "row.ended"
    ACCEPTED = "send.accepted"
    RECORDED = "send.recorded"
    STATUS = "status.set"
    REFUSED = "update.refused"
    IGNORED = "update.ignored"
    DEAD = "update.dead"
    EFFECT = "effect.waiting"
    EFFECT_DEAD = "effect.dead"


_RANK = {step: rank for rank, step in enumerate(Step)}


@dataclass(frozen=True, slots=True)
class Event:
    """``at_ms`` is unix ms. ``details`` say of which message, row or effect it is, and hold neither
    phone numbers nor texts; nor does ``text``."""

    at_ms: int
    kind: Step
    text: str
    source: Source
    vendor_uid: str | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def of(self) -> str:
        """Return which message, row or effect it is about, or nothing."""
        names = (self.details.get(name) for name in ("wamid", "row", "effect"))
        return next((name for name in names if name), "")


class Thing(StrEnum):
    """What a query may name."""

    MESSAGE = "message"
    CONTACT = "contact"
    CAMPAIGN = "campaign"
    VENDOR = "vendor"


@dataclass(frozen=True, slots=True)
class Named:
    """``title`` is a title, or a person's name; ``phone`` a person's number. Both are personal
    data of a contact, and a person who may only look sees neither."""

    kind: Thing
    uid: str
    vendor_uid: str | None = None
    title: str | None = None
    phone: str | None = None


@dataclass(slots=True)
class Part:
    """What one side knows. ``where``: where things are now, in words. ``notes`` say what was not
    looked at; ``lost``: why a side could not be asked."""

    things: list[Named] = field(default_factory=list)
    where: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Found:
    """All that is known of a query, the oldest event first."""

    query: str
    things: list[Named]
    where: list[str]
    events: list[Event]
    notes: list[str]
    lost: list[str]

    @classmethod
    def of(cls, query: str, parts: Iterable[Part]) -> Self:
        """Put together what the sides know."""
        parts = list(parts)
        events: dict[tuple[Any, ...], Event] = {}
        for event in (event for part in parts for event in part.events):
            # PHP may have an outcome that stands in the ledger as well.
            events.setdefault(_identity(event), event)
        return cls(
            query=query,
            things=[thing for part in parts for thing in part.things],
            where=list(dict.fromkeys(where for part in parts for where in part.where)),
            events=sorted(events.values(), key=_place),
            notes=[note for part in parts for note in part.notes],
            lost=[lost for part in parts for lost in part.lost],
        )

    @property
    def nothing(self) -> bool:
        return not (self.things or self.events or self.where)

    @property
    def json(self) -> dict[str, Any]:
        return asdict(self)


def _identity(event: Event) -> tuple[Any, ...]:
    """Return what two events have in common that are one."""
    row = event.details.get("row") or event.details.get("message")
    return (
        (event.kind, event.at_ms, row) if row and event.source is Source.SIDECAR else (id(event),)
    )


def _place(event: Event) -> tuple[int, int, int]:
    return event.at_ms // 1000, _RANK[event.kind], event.at_ms
