"""The accounting: for every vendor, everything that came in is accounted for.

- webhooks: received = done + waiting in the inbox
- updates:  split = done + ignored + duplicate + coalesced + waiting to be tried again + dead
- sends:    claimed = accepted + failed + requeued + unknown + released + in flight (the ledger);
  replies count too, once for each attempt
- effects:  requested = done + dropped + dead + waiting in the outbox
- dead_updates, dead_effects: given up = stored as dead letters + deleted since, by reason
- inboxes, outbox, letters: listed in an index = stored; deferred: counted = stored

What arrives and what ends is counted in ``count:{vendor}``, each counter in the same MULTI or
script as what it counts, so they agree at every moment, whatever crashes. What waits or is in
flight is not counted but measured where it is. One script reads both. So a difference means that
something was lost or counted twice: a bug, or somebody has changed Redis by hand. ``expired``
and ``skipped`` are PHP's counts of rows that it has ended at a claim; no check includes them.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from contracts.effects import EffectKind
from contracts.jobs import Lane
from sidecar.effects.effect_states import EffectState
from sidecar.inbox.store import MAX_ENTRY_WEBHOOKS
from sidecar.inbox.update_states import UpdateState
from sidecar.redis import keys
from sidecar.redis.client import Members, Redis, script
from sidecar.redis.letter_bounds import DAY_MS, Bounds
from sidecar.sending.row_states import RowEnd

#: Why dead letters are deleted without a retry.
LEFT = ("too_old", "too_many", "too_large", "discarded")

#: The name of each check's total.
FIRST = {
    "webhooks": "received",
    "updates": "split",
    "sends": "claimed",
    "effects": "asked_for",
    "dead_updates": "given_up",
    "dead_effects": "given_up",
    "inboxes": "listed",
    "deferred": "counted",
    "outbox": "listed",
    "letters": "listed",
}

#: Each order key that waits is a list of its own, which takes half a microsecond to look at. With
#: more of them, measuring would hold up webhooks for longer than it is worth.
MAX_ORDER_KEYS = 5000
#: Vendors that are read in one script.
CHUNK = 100


@dataclass(frozen=True, slots=True)
class BalanceCheck:
    """``total = sum(parts)``, of one vendor or of all. A part is None if there was too much of it
    to measure; then the difference is unknown."""

    name: str
    total: int
    parts: dict[str, int | None]

    @property
    def difference(self) -> int | None:
        """Return total minus parts: above 0 is missing, below 0 came from nowhere."""
        measured = [part for part in self.parts.values() if part is not None]
        return self.total - sum(measured) if len(measured) == len(self.parts) else None


@dataclass(frozen=True, slots=True)
class Letters:
    """One vendor's stored dead letters. The oldest was given up at ``given_up_at``; the last one
    that was deleted for lack of room or by age was at ``dropped_at`` (unix ms; 0: never)."""

    number: int = 0
    size_bytes: int = 0
    given_up_at: int = 0
    dropped_at: int = 0

    def fullness(self, bounds: Bounds, now: int) -> float:
        """Return how near they are to their bounds: at 1.0 the oldest are deleted."""
        age_ms = now - self.given_up_at if self.given_up_at else 0
        return max(
            self.number / bounds.number,
            self.size_bytes / bounds.size_bytes,
            age_ms / (bounds.days * DAY_MS),
        )


@dataclass(frozen=True, slots=True)
class Accounting:
    """One vendor's balance checks. ``waiting`` is how many webhooks are in each lane's inbox."""

    vendor_uid: str
    webhooks: BalanceCheck
    updates: BalanceCheck
    sends: BalanceCheck
    effects: BalanceCheck
    #: Counters and indexes, compared with what is stored.
    stored: tuple[BalanceCheck, ...] = ()
    expired: int = 0
    skipped: int = 0
    waiting: dict[Lane, int] = field(default_factory=dict)
    letters: Letters = Letters()

    @property
    def checks(self) -> tuple[BalanceCheck, ...]:
        return self.webhooks, self.updates, self.sends, self.effects, *self.stored

    def check(self, name: str) -> BalanceCheck:
        """Return one of them by its name."""
        return next(check for check in self.checks if check.name == name)

    @property
    def balanced(self) -> bool:
        """Return whether no check shows a difference."""
        return not any(check.difference for check in self.checks)


@dataclass(frozen=True, slots=True)
class Flow:
    """What comes in is counted as ``total``. It ends as one of ``parts``, which have counters too;
    the part without one is what is left, and is measured."""

    name: str
    total: str
    parts: Mapping[str, str | None]

    @property
    def counters(self) -> list[str]:
        """The total's counter, and then those of the parts."""
        return [self.total, *(counter for counter in self.parts.values() if counter is not None)]

    def check(self, count: Mapping[str, int], left: int | None) -> BalanceCheck:
        """Compare what was counted with what is left."""
        parts = {
            part: left if counter is None else count.get(counter, 0)
            for part, counter in self.parts.items()
        }
        return BalanceCheck(self.name, count.get(self.total, 0), parts)


def _dead(name: str, counter: str) -> Flow:
    return Flow(name, counter, {"stored": None, **{why: f"{counter}_{why}" for why in LEFT}})


#: Each flow balances by its counters alone where nothing is left of it.
FLOWS = (
    Flow("webhooks", "webhooks_received", {"done": "webhooks_done", "waiting": None}),
    Flow(
        "updates",
        "updates",
        {
            "done": UpdateState.DONE,
            "ignored": UpdateState.IGNORED,
            "duplicate": UpdateState.DUPLICATE,
            "coalesced": UpdateState.COALESCED,
            "waiting": None,
            "dead": UpdateState.DEAD,
        },
    ),
    Flow("sends", "claimed", {**{end.value: end.value for end in RowEnd}, "in_flight": None}),
    Flow(
        "effects",
        "effects",
        {
            "done": EffectState.DONE.counter,
            "left_out": EffectState.DROPPED.counter,
            "dead": EffectState.DEAD.counter,
            "waiting": None,
        },
    ),
    _dead("dead_updates", UpdateState.DEAD.value),
    _dead("dead_effects", EffectState.DEAD.counter),
)


class Counters:
    """Reads the accounting. Writes nothing."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._accounting = script(redis, "ops/accounting")

    async def read(self) -> list[Accounting]:
        """Return the accounting of all vendors, by their uid; each vendor's at one moment."""
        return [one async for some in self.chunks(await self.vendors()) for one in some]

    async def read_some(self, vendor_uids: Iterable[str]) -> list[Accounting]:
        """Return the accounting of these vendors, by their uid; of one that is not known all is
        0."""
        return [one async for some in self.chunks(vendor_uids) for one in some]

    async def chunks(self, vendor_uids: Iterable[str]) -> AsyncIterator[list[Accounting]]:
        """Yield the same, some at a time: of many vendors all take a second."""
        vendors = sorted(vendor_uids)
        for start in range(0, len(vendors), CHUNK):
            yield await self._read(vendors[start : start + CHUNK])

    async def vendors(self) -> list[str]:
        """Return the uids of vendors that have counters, or something that should have been
        counted."""
        return sorted(member.decode() for member in await self._vendors())

    async def _vendors(self) -> Members:
        pipeline = self._redis.pipeline(transaction=False)
        for name in (keys.VENDORS, *map(keys.ready, Lane), *map(keys.outbox, EffectKind)):
            pipeline.smembers(name)
        pipeline.zrange(keys.DEAD, 0, -1)
        pipeline.hvals(keys.LEDGERS)
        return set().union(*await pipeline.execute())

    async def _read(self, vendors: list[str]) -> list[Accounting]:
        lanes, kinds = list(Lane), list(EffectKind)
        names = [keys.LEDGERS, keys.DEAD]
        for lane in lanes:
            names += [keys.deferred(lane), keys.waiting(lane), keys.ready(lane)]
        for vendor_uid in vendors:
            names += [keys.counters(vendor_uid), keys.dead_letters(vendor_uid)]
            names += [keys.dead_updates(vendor_uid), keys.dead_effects(vendor_uid)]
            names += [keys.inbox(lane, vendor_uid) for lane in lanes]
            for kind in kinds:
                names += [keys.outbox_of(kind, vendor_uid), keys.effects(kind, vendor_uid)]
        words: list[str | int] = [MAX_ORDER_KEYS, keys.ledger(""), len(lanes), len(kinds), *vendors]
        found = await self._accounting(keys=names, args=words)
        return [
            _accounting(vendor_uid, *row) for vendor_uid, row in zip(vendors, found, strict=True)
        ]


def _accounting(
    vendor_uid: str, counters: list[bytes], found: list[Any], streams: list[int]
) -> Accounting:
    count = {name: int(value) for name, value in _pairs(counters).items()}
    measured = _pairs(found)
    entries = zip(Lane, streams[::2], streams[1::2], strict=True)
    waiting = {lane: _bounded(webhooks, length) for lane, length, webhooks in entries}
    deferred = None if measured["deferred"] < 0 else measured["deferred"]
    left: dict[str, int | None] = {
        "webhooks": sum(waiting.values()),
        "updates": deferred,
        "sends": measured["in_flight"],
        "effects": measured["effects"],
        "dead_updates": measured["dead_updates"],
        "dead_effects": measured["dead_effects"],
    }
    flows = {flow.name: flow.check(count, left[flow.name]) for flow in FLOWS}
    return Accounting(
        vendor_uid,
        flows["webhooks"],
        flows["updates"],
        flows["sends"],
        flows["effects"],
        (flows["dead_updates"], flows["dead_effects"], *_stored(count, measured, deferred)),
        expired=count.get("expired", 0),
        skipped=count.get("skipped", 0),
        waiting=waiting,
        letters=Letters(
            measured["letters"],
            measured["letters_bytes"],
            measured["given_up_at"],
            count.get("dropped_at", 0),
        ),
    )


def _stored(
    count: Mapping[str, int], measured: Mapping[str, int], deferred: int | None
) -> list[BalanceCheck]:
    """Compare what indexes list with what is stored."""
    counted = sum(count.get(keys.deferred_count(lane), 0) for lane in Lane)
    dead = measured["dead_updates"] + measured["dead_effects"]
    return [
        BalanceCheck("inboxes", measured["ready"], {"stored": measured["streams"]}),
        BalanceCheck("deferred", counted, {"stored": deferred}),
        BalanceCheck("outbox", measured["listed"], {"stored": measured["effects"]}),
        BalanceCheck("letters", dead, {"stored": measured["letters"]}),
    ]


def _pairs(flat: list[Any]) -> dict[str, Any]:
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}


def _bounded(counted: int, entries: int) -> int:
    """Return how many webhooks are in a stream. Looking into its entries would mean reading all
    bodies; but an entry holds at least one and at most MAX_ENTRY_WEBHOOKS, so the counter is
    believed within these bounds."""
    return min(max(counted, entries), entries * MAX_ENTRY_WEBHOOKS)
