"""Vendors' modes, in words."""

from collections.abc import Iterator, Sequence

from contracts.modes import Capability, Mode, Modes, VendorModes
from contracts.sidecar_api import ModesChange, ModesChanged
from sidecar.commands.tables import print_table
from sidecar.php.modes import counts, differs

#: The columns of a list; what the last one says has no name.
NAMES = ("VENDOR", *(capability.upper() for capability in Capability), "")


def row(vendor_uid: str, modes: Modes, more: str | None = None) -> tuple[str, ...]:
    """Return one vendor's row, which stands below :data:`NAMES`."""
    return (vendor_uid, *(getattr(modes, capability) for capability in Capability), more or "")


def totals(vendors: Sequence[VendorModes]) -> Iterator[str]:
    """Return how many vendors are in which mode, a line for each capability."""
    for capability, count in counts(vendors).items():
        words = ", ".join(f"{count[mode]:,} {mode}" for mode in Mode if count[mode])
        yield f"{capability.value:<9} {words or 'no vendors'}"


def outcome(changed: ModesChanged, asked: ModesChange, *, brief: bool) -> str:
    """Print how vendors stand after a move, with ``brief`` only those that wait for something; and
    return how many have got there, in words."""
    shown = [vendor for vendor in changed.vendors if vendor.waits_for or not brief]
    print_table(NAMES, (row(one.vendor_uid, one.modes, one.waits_for) for one in shown))
    moved = sum(not differs(vendor.modes, asked) for vendor in changed.vendors)
    return f"{moved:,} of {len(changed.vendors):,} vendors have the requested modes"
