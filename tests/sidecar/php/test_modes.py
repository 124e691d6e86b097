"""Vendors' modes, as PHP keeps them."""

import pytest

from contracts.modes import Capability, Mode, Modes, VendorModes
from contracts.sidecar_api import ModesChange
from sidecar.php.modes import counts, differs, held


def vendor(uid: str, **modes: Mode) -> VendorModes:
    return VendorModes(vendor_uid=uid, modes=Modes(**modes))


VENDORS = [
    vendor("a", webhooks=Mode.SIDECAR, campaigns=Mode.HELD),
    vendor("b", webhooks=Mode.SIDECAR, campaigns=Mode.SIDECAR),
    vendor("c", campaigns=Mode.HELD, bots=Mode.SHADOW),
]


def test_how_many_are_in_which_mode() -> None:
    found = counts(VENDORS)
    assert list(found) == list(Capability)
    assert found[Capability.WEBHOOKS] == {Mode.SIDECAR: 2, Mode.PHP: 1}
    assert found[Capability.CAMPAIGNS] == {Mode.HELD: 2, Mode.SIDECAR: 1}
    assert found[Capability.BOTS] == {Mode.PHP: 2, Mode.SHADOW: 1}
    assert all(not count for count in counts([]).values())


def test_for_whom_nobody_sends() -> None:
    assert [one.vendor_uid for one in held(VENDORS)] == ["a", "c"]


@pytest.mark.parametrize(
    ("asked", "other"),
    [
        ({}, False),
        ({"webhooks": Mode.SIDECAR}, False),
        ({"webhooks": Mode.PHP}, True),
        ({"webhooks": Mode.SIDECAR, "campaigns": Mode.SIDECAR}, True),
        ({"campaigns": Mode.HELD, "bots": Mode.PHP}, False),
        ({"bots": Mode.SHADOW}, True),
    ],
)
def test_what_was_not_asked_for_does_not_differ(asked: dict[str, Mode], other: bool) -> None:
    change = ModesChange(vendor_uids=["a"], by="a test", **asked)
    assert differs(VENDORS[0].modes, change) is other
