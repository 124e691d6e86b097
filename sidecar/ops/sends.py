"""How the sends of the last ten minutes went, over all workers, and what of it matters."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sidecar.ops.processes import Process

#: Rows that fail matter from so many on, if they are this share of all that were tried.
_SOME_FAILED = ((10, 0.1), (100, 0.02))
#: Unknown outcomes are fewer where all is well: there is none.
_SOME_UNKNOWN = ((10, 0.01), (100, 0.0))


@dataclass(frozen=True, slots=True)
class RecentSends:
    """Of a campaign, or of a vendor's replies (without ``campaign_uid``): how many rows ended so
    within ten minutes; those that PHP's queue tries again are ``requeued``. ``per_s`` were accepted
    in a second of the last minute. ``reasons``: the most frequent ones, by outcome and text."""

    vendor_uid: str
    campaign_uid: str | None
    accepted: int = 0
    failed: int = 0
    requeued: int = 0
    unknown: int = 0
    per_s: float = 0.0
    reasons: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def tried(self) -> int:
        return self.accepted + self.failed + self.requeued + self.unknown

    @property
    def what(self) -> str:
        """Whose rows they are, in words."""
        if self.campaign_uid is None:
            return f"replies of vendor {self.vendor_uid}"
        return f"rows of campaign {self.campaign_uid} (vendor {self.vendor_uid})"

    @property
    def failing(self) -> bool:
        """Whether rows fail in numbers that matter."""
        return _matters(self.failed, self.tried, _SOME_FAILED)

    @property
    def unclear(self) -> bool:
        """Whether outcomes are unknown in numbers that matter."""
        return _matters(self.unknown, self.tried, _SOME_UNKNOWN)

    def why(self, outcome: str, most: int = 2) -> str:
        """Return the most frequent reasons of an outcome, in words."""
        found = sorted(self.reasons.get(outcome, {}).items(), key=lambda one: -one[1])
        return ", ".join(f"{count:,} x {text}" for text, count in found[:most])


def recent_sends(processes: Iterable[Process]) -> list[RecentSends]:
    """Add up what live processes say, in the order of vendors and campaigns. What a later version
    says otherwise is left out."""
    told: dict[tuple[str, str | None], list[dict[str, Any]]] = {}
    for process in processes:
        if process.alive:
            for one in process.sends:
                told.setdefault((one["vendor_uid"], one["campaign_uid"]), []).append(one)
    return [
        _added(vendor_uid, campaign_uid, parts)
        for (vendor_uid, campaign_uid), parts in sorted(
            told.items(), key=lambda item: (item[0][0], item[0][1] or "")
        )
    ]


def _added(vendor_uid: str, campaign_uid: str | None, parts: list[dict[str, Any]]) -> RecentSends:
    reasons: dict[str, Counter[str]] = {}
    for part in parts:
        for outcome, text, count in part["reasons"]:
            reasons.setdefault(outcome, Counter())[text] += count
    return RecentSends(
        vendor_uid,
        campaign_uid,
        accepted=sum(part["accepted"] for part in parts),
        failed=sum(part["failed"] for part in parts),
        requeued=sum(part["requeued"] for part in parts),
        unknown=sum(part["unknown"] for part in parts),
        per_s=round(sum(part["per_s"] for part in parts), 2),
        reasons={outcome: dict(counts.most_common()) for outcome, counts in reasons.items()},
    )


def _matters(count: int, tried: int, bounds: tuple[tuple[int, float], ...]) -> bool:
    return any(count >= some and count >= share * tried for some, share in bounds)
