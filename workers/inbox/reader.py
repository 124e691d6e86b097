"""Taking webhooks out of a lane: when, how many, and whose."""

import asyncio
from collections.abc import Set
from dataclasses import dataclass

from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.inbox import Entry, InboxReader
from sidecar.settings import Settings


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


#: About so many bytes are taken at a time: a thousand webhooks may be three gigabytes.
TURN_BYTES = 16 * 1024 * 1024


class Intake:
    """Reads a lane fairly. It deletes nothing: what was read and not settled is read again.

    ``empty``: vendors that had nothing at the last look, although the index says that they have.
    ``passed_over``: vendors that have something and were not to be looked at.
    """

    def __init__(self, reader: InboxReader, policy: LanePolicy) -> None:
        self._reader = reader
        self._policy = policy
        self._lane = policy.lane
        self.empty: list[str] = []
        self.passed_over: list[str] = []

    async def waiting(self, apart: Set[str] = frozenset()) -> bool:
        """Tell whether anything is in the lane that is not of a vendor who is ``apart``."""
        return not set(await self._reader.vendors(self._lane)) <= apart

    async def take(self, apart: Set[str] = frozenset()) -> list[Entry]:
        """Return the next entries of all vendors but those ``apart``, an equal share for each,
        once the oldest has waited for long enough."""
        vendors = await self._ready(apart)
        if await self._wait_for_others(vendors):
            vendors = await self._ready(apart)
        return await self._read(vendors)

    async def take_of(self, vendor_uid: str) -> list[Entry]:
        """Return the next entries of one vendor in the same way."""
        await self._wait_for_others([vendor_uid])
        return await self._read([vendor_uid])

    async def _ready(self, apart: Set[str]) -> list[str]:
        ready = await self._reader.vendors(self._lane)
        self.passed_over = [vendor for vendor in ready if vendor in apart]
        return [vendor for vendor in ready if vendor not in apart]

    async def _wait_for_others(self, vendors: list[str]) -> bool:
        """Wait until the oldest webhook has waited for long enough. Return whether that took any
        time."""
        if not vendors or not self._policy.wait_ms:
            return False
        heads = await self._reader.read(self._lane, dict.fromkeys(vendors, "0"), 1)
        oldest = min((e[0].received_at for e in heads.values() if e), default=0)
        pause_ms = oldest + self._policy.wait_ms - now_ms()
        if not oldest or pause_ms <= 0:
            return False
        await asyncio.sleep(min(pause_ms, self._policy.wait_ms) / 1000)
        return True

    async def _read(self, vendors: list[str]) -> list[Entry]:
        self.empty = []
        if not vendors:
            return []
        limit = self._policy.batch_size * self._policy.concurrency
        share = max(1, limit // len(vendors))
        quotas = {v: _Quota(share, max(1, TURN_BYTES // len(vendors))) for v in vendors}
        after = dict.fromkeys(vendors, "0")
        taken: list[Entry] = []
        count = 1
        while after and sum(len(entry.webhooks) for entry in taken) < limit:
            found = await self._reader.read(self._lane, after, min(count, share))
            self.empty += [v for v, entries in found.items() if not entries and after[v] == "0"]
            for vendor_uid, entries in found.items():
                for entry in entries:
                    if not quotas[vendor_uid].used_up:
                        quotas[vendor_uid].use(entry)
                        taken.append(entry)
                        after[vendor_uid] = entry.id
                if not entries or quotas[vendor_uid].used_up:
                    del after[vendor_uid]
            # More than before, and not many times what may be taken.
            size = sum(map(_size, taken)) // max(1, len(taken)) + 1
            count = min(4 * count, 64, 1 + TURN_BYTES // len(vendors) // size)
        return taken


@dataclass(slots=True)
class _Quota:
    """What one vendor may still have of a turn."""

    webhooks: int
    bytes: int

    @property
    def used_up(self) -> bool:
        return self.webhooks <= 0 or self.bytes <= 0

    def use(self, entry: Entry) -> None:
        self.webhooks -= len(entry.webhooks)
        self.bytes -= _size(entry)


def _size(entry: Entry) -> int:
    return sum(len(webhook.body) for webhook in entry.webhooks)
