"""Vendors' modes, in words."""

import pytest

from contracts.modes import Mode, Modes, VendorModes
from contracts.sidecar_api import ModesChange, ModesChanged, MovedVendor
from sidecar.commands.modes_text import NAMES, outcome, row, totals

UID = "7d9c1a52-4b0e-4c57-9a3e-2f6b8c1d0e11"
ASKED = ModesChange(vendor_uids=[], campaigns=Mode.PHP, by="a test")


def changed(*campaigns: Mode, waits_for: str | None = None) -> ModesChanged:
    vendors = [
        MovedVendor(vendor_uid=UID, modes=Modes(campaigns=mode), waits_for=waits_for)
        for mode in campaigns
    ]
    return ModesChanged(version=1, vendors=vendors)


@pytest.mark.parametrize("more", [None, "what it waits for"])
def test_a_row_stands_below_its_names(more: str | None) -> None:
    modes = Modes(webhooks=Mode.SHADOW, campaigns=Mode.HELD, bots=Mode.SIDECAR)
    assert dict(zip(NAMES, row(UID, modes, more), strict=True)) == {
        "VENDOR": UID,
        "WEBHOOKS": "shadow",
        "CAMPAIGNS": "held",
        "BOTS": "sidecar",
        "": more or "",
    }


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


def test_the_outcome_in_brief_names_those_that_wait(capsys: pytest.CaptureFixture[str]) -> None:
    moved, held = changed(Mode.PHP, Mode.PHP), changed(Mode.HELD, waits_for="campaign c-1")
    assert outcome(moved, ASKED, brief=False) == "2 of 2 vendors have the requested modes"
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert outcome(moved, ASKED, brief=True) == "2 of 2 vendors have the requested modes"
    assert capsys.readouterr().out == ""
    assert outcome(held, ASKED, brief=True) == "0 of 1 vendors have the requested modes"
    head, line = capsys.readouterr().out.splitlines()
    assert head.startswith("VENDOR")
    assert line.endswith("  campaign c-1")
