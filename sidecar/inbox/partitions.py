"""Partitions of a lane, by vendor, so that several workers drain it while it is behind.

A lane has one partition, or so many as ``partitions:{lane}`` says, which also says how vendors are
spread over them. Each is drained under a lease of
its own. Only the drain of the first one changes their number, and only while nobody else drains
(``workers/inbox/partitions.py``); so no vendor is ever in two hands.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from contracts.jobs import Lane

#: Maximum partitions of a lane.
MAX_PARTITIONS = 8

#: How many ways to spread vendors are tried, and the vendors with most work that are weighed.
SALTS = 32
MAX_WEIGHED = 100


def drain_lease(lane: Lane, index: int = 0) -> str:
    """Return the name of the lease under which a lane's partition is drained."""
    return f"drain:{lane}:{index}" if index else f"drain:{lane}"


def drain_leases(lane: Lane) -> list[str]:
    """Return those names of all partitions that a lane may have."""
    return [drain_lease(lane, index) for index in range(MAX_PARTITIONS)]


@dataclass(slots=True)
class Partition:
    """The part of a lane's vendors that a drain works on: all, or one of ``count`` parts. Each
    ``salt`` spreads them in another way."""

    index: int = 0
    count: int = 1
    salt: int = 0

    @property
    def words(self) -> tuple[int, int, int]:
        """Return what ``lua/inbox/partition.lua`` takes."""
        return self.index, self.count, self.salt

    def become(self, index: int, count: int, salt: int) -> None:
        """Be this one for all who share it."""
        self.index, self.count, self.salt = index, count, salt

    def holds(self, vendor_uid: str) -> bool:
        """Return whether a vendor belongs to it. ``lua/inbox/partition.lua`` says the same."""
        if self.count == 1:
            return True
        return place_of(vendor_uid, self.count, self.salt) == self.index


def division(kept: bytes | None) -> tuple[int, int]:
    """Return how many partitions there are, and how vendors are spread over them, as
    ``partitions:{lane}`` says it."""
    count, salt = (kept or b"1 0").split(b" ")[:2]
    return int(count), int(salt)


def place_of(vendor_uid: str, count: int, salt: int) -> int:
    """Return in which of so many parts a vendor is."""
    digest = hashlib.sha1(f"{salt} {vendor_uid}".encode(), usedforsecurity=False).hexdigest()
    return int(digest[:8], 16) % count


def best_salt(waiting: Mapping[str, int], count: int) -> int:
    """Return what spreads so much work, by vendor, most evenly."""
    heaviest = sorted(waiting, key=lambda vendor_uid: -waiting[vendor_uid])[:MAX_WEIGHED]

    def most(salt: int) -> int:
        loads = [0] * count
        for vendor_uid in heaviest:
            loads[place_of(vendor_uid, count, salt)] += waiting[vendor_uid]
        return max(loads)

    return min(range(SALTS), key=most)
