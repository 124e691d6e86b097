"""Vendors' modes, as PHP keeps them: who handles what of a vendor."""

from collections import Counter
from collections.abc import Sequence

from contracts.modes import Capability, Mode, Modes, VendorModes
from contracts.sidecar_api import ModesChange


def counts(vendors: Sequence[VendorModes]) -> dict[Capability, Counter[Mode]]:
    """Return how many vendors are in which mode."""
    return {
        capability: Counter(getattr(vendor.modes, capability.value) for vendor in vendors)
        for capability in Capability
    }


def held(vendors: Sequence[VendorModes]) -> list[VendorModes]:
    """Return those for whom nobody sends campaigns."""
    return [vendor for vendor in vendors if vendor.modes.campaigns is Mode.HELD]


def differs(modes: Modes, asked: ModesChange) -> bool:
    """Tell whether modes are other than was asked for."""
    return any(
        getattr(asked, name.value) not in (None, getattr(modes, name.value)) for name in Capability
    )
