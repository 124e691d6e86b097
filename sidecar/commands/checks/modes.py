"""Who does vendors' work, and whether a change of it was left half done."""

from collections import Counter
from collections.abc import Iterator

from contracts.modes import Capability, Mode, ModesAnswer, VendorModes
from sidecar.commands.checks.line import Line, fail, ok
from sidecar.format import duration

#: Nothing is held for longer than a change takes.
LONGEST_HELD_S = 120.0


def vendors_in(answer: ModesAnswer, capability: Capability, *modes: Mode) -> set[str]:
    """Return the uids of vendors whose work is done so."""
    return {
        vendor.vendor_uid
        for vendor in answer.vendors
        if getattr(vendor.modes, capability.value) in modes
    }


def judge_modes(answer: ModesAnswer, now: int) -> Iterator[Line]:
    """``now``: PHP's clock, unix ms."""
    for capability in Capability:
        counts = Counter(getattr(vendor.modes, capability.value) for vendor in answer.vendors)
        words = ", ".join(f"{count:,} {mode}" for mode, count in sorted(counts.items()))
        yield ok(f"mode of {capability}", words or "no vendors")
    for vendor in answer.vendors:
        if vendor.modes.campaigns is Mode.HELD:
            yield _held(vendor, now)


def _held(vendor: VendorModes, now: int) -> Line:
    what = f"campaigns of {vendor.vendor_uid}"
    changes = [past.at for past in vendor.history if past.after.campaigns is Mode.HELD]
    since_s = (now - max(changes)) / 1000 if changes else None
    if since_s is not None and since_s < LONGEST_HELD_S:
        return ok(what, f"held for {duration(since_s)}, while a cutover or rollback is under way")
    age = "since an unknown time" if since_s is None else f"for {duration(since_s)}"
    return fail(
        what,
        f"held {age}, so nobody sends them",
        f"finish the change: sidecar cutover {vendor.vendor_uid} --campaigns sidecar, or "
        f"sidecar rollback {vendor.vendor_uid}",
    )
