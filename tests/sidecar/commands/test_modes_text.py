"""Vendors' modes, in words."""

import pytest

from contracts.modes import Mode, Modes, VendorModes
from contracts.sidecar_api import ModesChange, ModesChanged, MovedVendor
from sidecar.commands.modes_text import HEAD, line, outcome, totals

UID = "7d9c1a52-4b0e-4c57-9a3e-2f6b8c1d0e11"
ASKED = ModesChange(vendor_uids=[], campaigns=Mode.PHP, by="a test")


def changed(*campaigns: Mode, waits_for: str | None = None) -> ModesChanged:
    vendors = [
        MovedVendor(vendor_uid=UID, modes=Modes(campaigns=mode), waits_for=waits_for)
        for mode in campaigns
    ]
    return ModesChanged(version=1, vendors=vendors)


@pytest.mark.parametrize("more", [None, "what it waits for"])
def test_a_line_stands_below_the_head(more: str | None) -> None:
    modes = Modes(webhooks=Mode.SHADOW, campaigns=Mode.HELD, bots=Mode.SIDECAR)
    found = line(UID, modes, more)
    assert found == found.rstrip()
    for title, word in (("WEBHOOKS", "shadow"), ("CAMPAIGNS", "held"), ("BOTS", "sidecar")):
        assert found[HEAD.index(title) :].startswith(word)
    assert more is None or found.endswith(f"  {more}")


def test_how_many_are_in_which_mode() -> None:
    vendors = [
        VendorModes(vendor_uid="a", modes=Modes(webhooks=Mode.SIDECAR)),
        VendorModes(vendor_uid="b", modes=Modes()),
    ]
    assert list(totals(vendors)) == [
        "webhooks  1 php, 1 sidecar",
        "campaigns 2 php",
        "bots      2 php",
    ]
    assert next(iter(totals([]))) == "webhooks  no vendors"


def test_the_outcome_in_brief_names_those_that_wait() -> None:
    moved, held = changed(Mode.PHP, Mode.PHP), changed(Mode.HELD, waits_for="campaign c-1")
    assert len(list(outcome(moved, ASKED, brief=False))) == 4
    assert list(outcome(moved, ASKED, brief=True)) == ["2 of 2 vendors have the requested modes"]
    found = list(outcome(held, ASKED, brief=True))
    assert found[0] == HEAD
    assert found[1].endswith("  campaign c-1")
    assert found[2] == "0 of 1 vendors have the requested modes"
