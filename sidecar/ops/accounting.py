"""The accounting: everything that came in is accounted for, for every vendor.

- webhooks: received = done + waiting in the inbox
- updates:  split = done + ignored + duplicate + coalesced + waiting to be tried again + dead
- sends:    claimed = accepted + failed + requeued + unknown + released + in flight (the ledger);
  replies count as well, as often as they are about to be sent
- effects:  asked for = done + left out + dead + waiting in the outbox
- dead_updates, dead_effects: given up = stored as dead letters + left since, by the reason
- inboxes, outbox, letters: listed in an index = stored; deferred: counted = stored

What has come and what has ended is counted in ``count:{vendor}``, each counter in the same MULTI
or script as the thing that it counts, so they agree at every moment, whatever dies. What waits and
what is in flight is not counted but measured where it is. Both together are read in one script. So
a difference means that something was lost or counted twice: a bug, or somebody's hand in Redis.
``expired`` is what PHP said of its own rows; no check includes it.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from contracts.effects import EffectKind
from contracts.jobs import Lane
from sidecar.inbox.store import MAX_ENTRY_WEBHOOKS
from sidecar.redis import keys
from sidecar.redis.client import Members, Redis, script
from sidecar.redis.letter_bounds import DAY_MS, Bounds

#: Why dead letters leave without being tried again.
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

#: Each order key that waits is a list of its own, half a microsecond to look at. Above so many,
#: measuring would hold up webhooks for longer than it is worth.
MAX_ORDER_KEYS = 5000
#: Vendors that are read at one moment.
CHUNK = 100


@dataclass(frozen=True, slots=True)
class BalanceCheck:
    """One vendor's (or everybody's) ``total = sum(parts)``. A part is None if there was too much
    of it to be measured; then there is no difference to speak of."""

    name: str
    total: int
    parts: dict[str, int | None]

    @property
    def difference(self) -> int | None:
        """Return total minus parts: more than 0 is missing, less than 0 came from nowhere."""
        measured = [part for part in self.parts.values() if part is not None]
        return self.total - sum(measured) if len(measured) == len(self.parts) else None


@dataclass(frozen=True, slots=True)
class Letters:
    """One vendor's dead letters as they are stored. The oldest was ``given_up_at``, and the last
    that left for want of room or for its age did so ``dropped_at`` (unix ms; 0: never)."""

    number: int = 0
    size_bytes: int = 0
    given_up_at: int = 0
    dropped_at: int = 0

    def fullness(self, bounds: Bounds, now: int) -> float:
        """Return how near they are to their bounds: 1.0 is where the oldest leaves."""
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
    #: What is counted as dead, and what is listed, as compared with what is stored.
    stored: tuple[BalanceCheck, ...] = ()
    expired: int = 0
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


class Counters:
    """Reads the accounting. Writes nothing."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._accounting = script(redis, "ops/accounting")

    async def read(self) -> list[Accounting]:
        """Return the accounting of all vendors, by their uid; each vendor's at one moment."""
        vendors = sorted(member.decode() for member in await self._vendors())
        accounting: list[Accounting] = []
        for start in range(0, len(vendors), CHUNK):
            accounting += await self._read(vendors[start : start + CHUNK])
        return accounting

    async def _vendors(self) -> Members:
        """Return the vendors that have counters, or something that should have been counted."""
        pipeline = self._redis.pipeline(transaction=False)
        for name in (keys.VENDORS, *map(keys.ready, Lane), *map(keys.outbox, EffectKind)):
            pipeline.smembers(name)
        pipeline.zrange(keys.DEAD, 0, -1)
        pipeline.hvals(keys.LEDGERS)
        return set().union(*await pipeline.execute())

    async def _read(self, vendors: list[str]) -> list[Accounting]:
        names = [keys.LEDGERS, *map(keys.deferred, Lane), *map(keys.waiting, Lane)]
        names += [*map(keys.ready, Lane), keys.DEAD]
        for vendor_uid in vendors:
            names += [keys.counters(vendor_uid), *(keys.inbox(lane, vendor_uid) for lane in Lane)]
            names += [keys.dead_letters(vendor_uid)]
            names += [keys.dead_updates(vendor_uid), keys.dead_effects(vendor_uid)]
            for kind in EffectKind:
                names += [keys.outbox_of(kind, vendor_uid), keys.effects(kind, vendor_uid)]
        found = await self._accounting(keys=names, args=[MAX_ORDER_KEYS, keys.ledger(""), *vendors])
        return [
            _accounting(vendor_uid, _Measured(*row))
            for vendor_uid, row in zip(vendors, found, strict=True)
        ]


class _Measured(NamedTuple):
    """What ``accounting.lua`` returns of one vendor, in its order."""

    counters: list[bytes]
    message_entries: int
    messages: int
    status_entries: int
    statuses: int
    deferred: int
    in_flight: int
    effects_listed: int
    effects: int
    ready: int
    streams: int
    dead_updates: int
    dead_effects: int
    letters: int
    letters_bytes: int
    given_up_at: int


def _accounting(vendor_uid: str, found: _Measured) -> Accounting:
    names = (name.decode() for name in found.counters[::2])
    count = dict(zip(names, map(int, found.counters[1::2]), strict=True))
    deferred = None if found.deferred < 0 else found.deferred
    waiting = {
        Lane.MESSAGES: _bounded(found.messages, found.message_entries),
        Lane.STATUSES: _bounded(found.statuses, found.status_entries),
    }
    return Accounting(
        vendor_uid,
        BalanceCheck(
            "webhooks",
            count.get("webhooks_received", 0),
            {"done": count.get("webhooks_done", 0), "waiting": sum(waiting.values())},
        ),
        BalanceCheck(
            "updates",
            count.get("updates", 0),
            {
                "done": count.get("done", 0),
                "ignored": count.get("ignored", 0),
                "duplicate": count.get("duplicates", 0),
                "coalesced": count.get("coalesced", 0),
                "waiting": deferred,
                "dead": count.get("dead", 0),
            },
        ),
        BalanceCheck(
            "sends",
            count.get("claimed", 0),
            {
                **{n: count.get(n, 0) for n in ("accepted", "failed", "requeued", "unknown")},
                "released": count.get("released", 0),
                "in_flight": found.in_flight,
            },
        ),
        BalanceCheck(
            "effects",
            count.get("effects", 0),
            {
                "done": count.get("effects_done", 0),
                "left_out": count.get("effects_dropped", 0),
                "dead": count.get("effects_dead", 0),
                "waiting": found.effects,
            },
        ),
        (
            _dead("dead_updates", count, "dead", found.dead_updates),
            _dead("dead_effects", count, "effects_dead", found.dead_effects),
            BalanceCheck("inboxes", found.ready, {"stored": found.streams}),
            BalanceCheck(
                "deferred",
                sum(count.get(keys.deferred_count(lane), 0) for lane in Lane),
                {"stored": deferred},
            ),
            BalanceCheck("outbox", found.effects_listed, {"stored": found.effects}),
            BalanceCheck(
                "letters", found.dead_updates + found.dead_effects, {"stored": found.letters}
            ),
        ),
        expired=count.get("expired", 0),
        waiting=waiting,
        letters=Letters(
            found.letters, found.letters_bytes, found.given_up_at, count.get("dropped_at", 0)
        ),
    )


def _dead(name: str, count: dict[str, int], counter: str, stored: int) -> BalanceCheck:
    left = {why: count.get(f"{counter}_{why}", 0) for why in LEFT}
    return BalanceCheck(name, count.get(counter, 0), {"stored": stored, **left})


def _bounded(counted: int, entries: int) -> int:
    """Return how many webhooks are in so many entries of a stream. To look into them would be to
    read all bodies; but an entry holds at least one and at most so many, and an empty stream none,
    so what was counted into the stream is believed within these bounds."""
    return min(max(counted, entries), entries * MAX_ENTRY_WEBHOOKS)
