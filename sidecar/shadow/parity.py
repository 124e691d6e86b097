"""Shadow's results by vendor, and whether it is ready for the sidecar.

The results are kept in Redis for some days, bounded in size. Wiping Redis loses this history, and
nothing else.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import orjson

from sidecar.clock import now_ms
from sidecar.format import duration
from sidecar.redis import keys
from sidecar.redis.client import Hash, Members, Redis
from sidecar.settings import Settings
from sidecar.shadow.recorder import KEEP_DAYS
from sidecar.shadow.rules import UNEXPLAINED, Class, Kind, Rule

#: Names of other counters in ``parity:{vendor}:{day}``.
FIRST, LAST = "first", "last"
RECORDED, DROPPED, NOT_COMPARED = "recorded", "dropped", "not_compared"


def count_name(kind: Kind, class_: Class, rule: Rule | None = None) -> str:
    """Return the name of a counter in ``parity:{vendor}:{day}``."""
    return f"{kind}:{class_}:{rule}" if rule else f"{kind}:{class_}"


@dataclass(slots=True)
class VendorParity:
    """One vendor's results of some days. ``counts`` is by kind and class, ``rules`` by kind and
    rule. ``examples`` are those of differences, the newest first. ``recorded`` webhooks came, and
    ``dropped`` ones are not among them. ``not_compared`` are updates in which nothing can be
    compared. ``waiting`` are recorded webhooks and messages not compared yet. Times are unix ms."""

    vendor_uid: str
    counts: dict[tuple[Kind, Class], int] = field(default_factory=dict)
    rules: dict[tuple[Kind, Rule], int] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)
    recorded: int = 0
    dropped: int = 0
    not_compared: int = 0
    waiting: int = 0
    first_at: int | None = None
    last_at: int | None = None

    def total(self, *, kind: Kind | None = None, class_: Class | None = None) -> int:
        """Return how many were compared, of one kind or class or in all."""
        return sum(
            count
            for (one, found), count in self.counts.items()
            if kind in (None, one) and class_ in (None, found)
        )

    @property
    def updates(self) -> int:
        """Return how many messages and statuses were compared; if only bots are, or campaigns, how
        many of these."""
        updates = self.total(kind=Kind.LOG_ROW) + self.total(kind=Kind.STATUS)
        return max(updates, self.total(kind=Kind.BOTS), self.total(kind=Kind.CAMPAIGN))

    @property
    def unexplained(self) -> int:
        return sum(self.total(class_=class_) for class_ in UNEXPLAINED)

    @property
    def hours(self) -> float:
        """Return the time from the first comparison to the last."""
        if self.first_at is None or self.last_at is None:
            return 0.0
        return (self.last_at - self.first_at) / 3_600_000

    def obstacles(self, settings: Settings) -> list[str]:
        """Return why the vendor is not ready for the sidecar; empty if it is."""
        found = []
        if self.unexplained:
            parts = [
                f"{count} of {kind} {class_}"
                for (kind, class_), count in sorted(self.counts.items())
                if class_ in UNEXPLAINED and count
            ]
            found.append(f"no rule explains {', '.join(parts)}")
        if self.updates < settings.parity_min_updates:
            found.append(
                f"{self.updates} updates were compared, and it takes {settings.parity_min_updates}"
            )
        if self.hours < settings.parity_min_hours:
            needed = duration(settings.parity_min_hours * 3600)
            found.append(f"it was compared for {duration(self.hours * 3600)}, and takes {needed}")
        return found


class ParityReader:
    """Reads the results. Writes nothing."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def vendors(self) -> list[str]:
        """Return the vendors with results."""
        members = cast(Members, await self._redis.smembers(keys.SHADOWED))
        return sorted(member.decode() for member in members)

    async def read(self, vendor_uid: str, days: int = KEEP_DAYS) -> VendorParity:
        """Return the results of the last ``days`` days (UTC), today included."""
        found = VendorParity(vendor_uid)
        pipeline = self._redis.pipeline(transaction=False)
        for day in _days(days):
            pipeline.hgetall(keys.parity_day(vendor_uid, day))
        pipeline.xlen(keys.shadow(vendor_uid))
        pipeline.zcard(keys.planned_due(vendor_uid))
        for kind in Kind:
            for class_ in UNEXPLAINED:
                pipeline.lrange(keys.parity_examples(vendor_uid, kind, class_), 0, -1)
        answers = await pipeline.execute()
        for counted in answers[:days]:
            _add(found, counted)
        found.waiting = sum(answers[days : days + 2])
        examples = [orjson.loads(dumped) for dumps in answers[days + 2 :] for dumped in dumps]
        since = _since(days)
        found.examples = [one for one in examples if one["at"] >= since]
        return found

    async def forget(self, vendor_uid: str) -> None:
        """Delete the vendor's results, so that the comparison starts over."""
        names = [keys.parity(vendor_uid)]
        names += [keys.parity_day(vendor_uid, day) for day in _days(KEEP_DAYS + 1)]
        names += [keys.parity_examples(vendor_uid, k, c) for k in Kind for c in Class]
        await self._redis.delete(*names)


def _days(count: int) -> list[str]:
    today = datetime.now(UTC).date()
    return [(today - timedelta(days=ago)).isoformat() for ago in range(count)]


def _since(days: int) -> int:
    """Return when the first of the last ``days`` days began, unix ms."""
    return now_ms() // 86_400_000 * 86_400_000 - (days - 1) * 86_400_000


def _add(found: VendorParity, counted: Hash) -> None:
    counts = Counter({name.decode(): int(value) for name, value in counted.items()})
    found.recorded += counts[RECORDED]
    found.dropped += counts[DROPPED]
    found.not_compared += counts[NOT_COMPARED]
    if counts[FIRST]:
        found.first_at = min(found.first_at or counts[FIRST], counts[FIRST])
        found.last_at = max(found.last_at or 0, counts[LAST])
    for kind in Kind:
        for class_ in Class:
            if count := counts[count_name(kind, class_)]:
                found.counts[kind, class_] = found.counts.get((kind, class_), 0) + count
        for rule in Rule:
            if count := counts[count_name(kind, Class.EXPLAINED, rule)]:
                found.rules[kind, rule] = found.rules.get((kind, rule), 0) + count
