"""Reads which updates were ignored, and why."""

from dataclasses import dataclass
from typing import Any, cast

from sidecar.inbox.ignored import KEEP_LAST_S, parse, slices_until
from sidecar.redis import keys
from sidecar.redis.client import Redis


@dataclass(frozen=True, slots=True)
class IgnoredCount:
    """How many updates of a vendor were ignored for a reason, the last one at ``last_at`` (unix
    ms)."""

    vendor_uid: str
    reason: str
    count: int
    last_at: int


@dataclass(frozen=True, slots=True)
class IgnoredMessages:
    """Customers' messages of the last hour that were ignored for a reason that somebody should look
    at."""

    vendor_uid: str
    reason: str
    count: int


async def read_ignored(redis: Redis, vendor_uid: str | None = None) -> list[IgnoredCount]:
    """Return what was ignored of one vendor or of all, the most frequent first."""
    vendors = [vendor_uid] if vendor_uid is not None else await _vendors(redis)
    pipeline = redis.pipeline(transaction=False)
    for one in vendors:
        pipeline.hgetall(keys.ignored(one))
    found = []
    for one, fields in zip(vendors, await pipeline.execute(), strict=True):
        values = {name.decode(): int(value) for name, value in fields.items()}
        found += [
            IgnoredCount(one, name, count, values.get(f"@{name}", 0))
            for name, count in values.items()
            if not name.startswith("@")
        ]
    return sorted(found, key=lambda one: (-one.count, one.vendor_uid, one.reason))


async def last_ignored(redis: Redis, count: IgnoredCount, now: int) -> dict[str, Any] | None:
    """Return the last update that was ignored for a reason, while it is kept."""
    if count.last_at < now - 1000 * KEEP_LAST_S:
        return None
    data = await redis.hget(keys.ignored_last(count.vendor_uid), count.reason)
    return None if data is None else parse(cast(bytes, data))


async def read_ignored_messages(redis: Redis, now: int) -> list[IgnoredMessages]:
    """Return the customers' messages that were ignored within an hour, the most frequent first."""
    pipeline = redis.pipeline(transaction=False)
    for name in slices_until(now):
        pipeline.hgetall(name)
    counts: dict[str, int] = {}
    for fields in await pipeline.execute():
        for field, count in fields.items():
            counts[field.decode()] = counts.get(field.decode(), 0) + int(count)
    found = [IgnoredMessages(*field.rpartition(" ")[::2], count) for field, count in counts.items()]
    return sorted(found, key=lambda one: (-one.count, one.vendor_uid, one.reason))


async def _vendors(redis: Redis) -> list[str]:
    found = cast("list[bytes]", await redis.zrange(keys.IGNORED, 0, -1))
    return [vendor.decode() for vendor in found]
