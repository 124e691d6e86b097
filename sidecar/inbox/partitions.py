"""Partitions of a lane, by vendor, so that several workers drain it while it is behind.

A lane has one partition, or so many as ``partitions:{lane}`` says. Each is drained under a lease of
its own. Only the drain of the first one changes their number, and only while nobody else drains
(``workers/inbox/partitions.py``); so no vendor is ever in two hands.
"""

import hashlib
from dataclasses import dataclass

from contracts.jobs import Lane

#: Maximum partitions of a lane.
MAX_PARTITIONS = 8


def drain_lease(lane: Lane, index: int = 0) -> str:
    """Return the name of the lease under which a lane's partition is drained."""
    return f"drain:{lane}:{index}" if index else f"drain:{lane}"


def drain_leases(lane: Lane) -> list[str]:
    """Return those names of all partitions that a lane may have."""
    return [drain_lease(lane, index) for index in range(MAX_PARTITIONS)]


@dataclass(slots=True)
class Partition:
    """The part of a lane's vendors that a drain works on: all, or one of ``count`` parts."""

    index: int = 0
    count: int = 1

    def holds(self, vendor_uid: str) -> bool:
        """Return whether a vendor belongs to it. ``lua/inbox/partition.lua`` says the same."""
        if self.count == 1:
            return True
        digest = hashlib.sha1(vendor_uid.encode(), usedforsecurity=False).hexdigest()
        return int(digest[:8], 16) % self.count == self.index
