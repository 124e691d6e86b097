"""Which vendors belong to a percentage, and which of them a person has changed."""

import hashlib
from dataclasses import dataclass

import orjson

from contracts.modes import Capability, PastChange, VendorModes
from contracts.sidecar_api import ModesChange
from sidecar.migration.cutover import VendorUnknown
from sidecar.php.modes import differs

_BUCKETS = 10_000

#: Prefixes of the reason of changes that were not made for one vendor in particular.
ROLLOUT = "rollout to "
ROLLBACK_ALL = "rollback of all"

#: A rollback of everything takes no longer where PHP and the workers answer.
ROLLBACK_S = 9.0


def percentile(vendor_uid: str) -> float:
    """Return a vendor's fixed position from 0 to 100: vendors below 10 are the first ten percent,
    and belong to every larger percentage."""
    digest = hashlib.blake2b(vendor_uid.encode(), digest_size=8).digest()
    return int.from_bytes(digest) % _BUCKETS * 100 / _BUCKETS


def changed_by_hand(vendor: VendorModes, asked: ModesChange) -> PastChange | None:
    """Return the last change of what a rollout changes, if it was made for this vendor alone."""
    for change in reversed(vendor.history):
        if any(
            getattr(asked, name.value) is not None
            and getattr(change.before, name.value) is not getattr(change.after, name.value)
            for name in Capability
        ):
            of_many = (change.reason or "").startswith((ROLLOUT, ROLLBACK_ALL))
            return None if of_many else change
    return None


def rollout_reason(percent: float, reason: str | None) -> str:
    """Return what is kept with the change: that it was not made for one vendor, and why."""
    return _with(f"{ROLLOUT}{percent:g} percent", reason)


def rollback_all_reason(reason: str | None) -> str:
    """The same, of a rollback of all vendors."""
    return _with(ROLLBACK_ALL, reason)


def _with(what: str, reason: str | None) -> str:
    return f"{what}: {reason}" if reason else what


@dataclass(frozen=True, slots=True)
class Plan:
    """Of ``total`` vendors ``chosen`` are in the percentage; ``moving`` are those without the
    requested modes. ``ahead`` have these modes although they are outside it, and keep them."""

    total: int
    chosen: list[VendorModes]
    moving: list[VendorModes]
    ahead: list[VendorModes]


def seen(vendors: list[VendorModes], asked: ModesChange) -> str:
    """Return a digest of what a person has been shown: these vendors are to be moved, have these
    modes now, and get those that are asked for. Another one: it is not what was shown."""
    shown = [[one.vendor_uid, one.modes.model_dump()] for one in vendors]
    wanted = asked.model_dump(include={"webhooks", "campaigns", "bots"})
    return hashlib.blake2b(orjson.dumps([shown, wanted]), digest_size=16).hexdigest()


def make_plan(
    vendors: list[VendorModes], asked: ModesChange, percent: float, excepted: tuple[str, ...]
) -> Plan:
    """Return what a rollout to ``percent`` does. ``excepted`` vendors are in no list. Raises
    ``VendorUnknown`` for one of these that is not among the vendors."""
    known = {vendor.vendor_uid for vendor in vendors}
    if missing := [uid for uid in excepted if uid not in known]:
        raise VendorUnknown(missing[0])
    others = [vendor for vendor in vendors if vendor.vendor_uid not in excepted]
    chosen = [vendor for vendor in others if percentile(vendor.vendor_uid) < percent]
    outside = [vendor for vendor in others if percentile(vendor.vendor_uid) >= percent]
    return Plan(
        total=len(vendors),
        chosen=chosen,
        moving=[vendor for vendor in chosen if differs(vendor.modes, asked)],
        ahead=[vendor for vendor in outside if not differs(vendor.modes, asked)],
    )
