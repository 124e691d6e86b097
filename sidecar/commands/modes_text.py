"""Vendors' modes, in words."""

from collections.abc import Iterable, Iterator, Sequence

from contracts.modes import Capability, Mode, Modes, VendorModes
from contracts.sidecar_api import ModesChange, ModesChanged
from sidecar.php.modes import counts, differs


def _columns(first: str, values: Iterable[str], more: str = "") -> str:
    widths = [max(len(name) for name in (capability, *Mode)) for capability in Capability]
    cells = (f"{value:<{width}}" for value, width in zip(values, widths, strict=True))
    return "  ".join([f"{first:<36}", *cells, more]).rstrip()


HEAD = _columns("VENDOR", (capability.upper() for capability in Capability))


def line(vendor_uid: str, modes: Modes, more: str | None = None) -> str:
    """Return one vendor's line, which stands below :data:`HEAD`."""
    values = (getattr(modes, capability) for capability in Capability)
    return _columns(vendor_uid, values, more or "")


def totals(vendors: Sequence[VendorModes]) -> Iterator[str]:
    """Return how many vendors are in which mode, a line for each capability."""
    for capability, count in counts(vendors).items():
        words = ", ".join(f"{count[mode]:,} {mode}" for mode in Mode if count[mode])
        yield f"{capability.value:<9} {words or 'no vendors'}"


def outcome(changed: ModesChanged, asked: ModesChange, *, brief: bool) -> Iterator[str]:
    """Return how vendors stand after a move; with ``brief`` only those that wait for something."""
    shown = [vendor for vendor in changed.vendors if vendor.waits_for or not brief]
    if shown:
        yield HEAD
    for vendor in shown:
        yield line(vendor.vendor_uid, vendor.modes, vendor.waits_for)
    moved = sum(not differs(vendor.modes, asked) for vendor in changed.vendors)
    yield f"{moved:,} of {len(changed.vendors):,} vendors have the requested modes"
