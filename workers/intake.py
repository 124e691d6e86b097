"""Taking webhooks out of a lane: when, how many, and whose."""

import asyncio
from dataclasses import dataclass

from contracts.jobs import Lane
from sidecar.inbox import Entry, InboxReader
from sidecar.settings import Settings
from workers.clock import now_ms


@dataclass(frozen=True, slots=True)
class LanePolicy:
    """How a lane is drained. ``wait_ms``: how long the oldest webhook may wait for others."""

    lane: Lane
    wait_ms: int
    batch_size: int
    concurrency: int

    @classmethod
    def of(cls, lane: Lane, settings: Settings) -> "LanePolicy":
        if lane is Lane.STATUSES:
            return cls(lane, settings.status_wait_ms, settings.status_batch_size, 1)
        return cls(lane, 0, settings.message_batch_size, settings.message_concurrency)


class Intake:
    """Reads a lane fairly. It deletes nothing: what was read and not settled is read again."""

    def __init__(self, reader: InboxReader, policy: LanePolicy) -> None:
        self._reader = reader
        self._policy = policy
        self._lane = policy.lane

    async def waiting(self) -> bool:
        """Tell whether anything is in the lane."""
        return bool(await self._reader.vendors(self._lane))

    async def take(self) -> list[Entry]:
        """Return the next entries, an equal share for every vendor, once the oldest has waited
        for long enough."""
        vendors = await self._reader.vendors(self._lane)
        if not vendors:
            return []
        if self._policy.wait_ms:
            heads = await self._reader.read(self._lane, dict.fromkeys(vendors, "0"), 1)
            oldest = min((e[0].received_at for e in heads.values() if e), default=0)
            pause_ms = oldest + self._policy.wait_ms - now_ms()
            if oldest and pause_ms > 0:
                await asyncio.sleep(min(pause_ms, self._policy.wait_ms) / 1000)
                vendors = await self._reader.vendors(self._lane)
        return await self._read(vendors)

    async def _read(self, vendors: list[str]) -> list[Entry]:
        limit = self._policy.batch_size * self._policy.concurrency
        share = max(1, limit // len(vendors))
        after = dict.fromkeys(vendors, "0")
        taken: list[Entry] = []
        total, count = 0, 4
        webhooks = dict.fromkeys(vendors, 0)
        while after and total < limit:
            found = await self._reader.read(self._lane, after, min(count, share))
            count = min(4 * count, 64)
            for vendor_uid, entries in found.items():
                for entry in entries:
                    if webhooks[vendor_uid] >= share:
                        break
                    taken.append(entry)
                    webhooks[vendor_uid] += len(entry.webhooks)
                    total += len(entry.webhooks)
                    after[vendor_uid] = entry.id
                if not entries or webhooks[vendor_uid] >= share:
                    del after[vendor_uid]
        return taken
