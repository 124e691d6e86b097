"""Modes, and changes of them that were left half done."""

from typing import Any

import pytest

from contracts.modes import Mode, Modes, ModesAnswer, PastChange, VendorModes
from sidecar.commands.checks.modes import judge_modes
from tests.sidecar.commands.checks.lines import levels, named

NOW = 1_700_000_000_000


def vendor(uid: str, **modes: Any) -> VendorModes:
    return VendorModes(vendor_uid=uid, modes=Modes(**modes))


def test_how_many_there_are_of_each() -> None:
    answer = ModesAnswer(
        version=1,
        vendors=[vendor("a", webhooks="sidecar"), vendor("b"), vendor("c", bots="shadow")],
    )
    lines = list(judge_modes(answer, NOW))
    assert set(levels(lines).values()) == {"OK"}
    assert named(lines, "mode of webhooks").detail == "2 php, 1 sidecar"
    assert named(lines, "mode of bots").detail == "2 php, 1 shadow"


def test_no_vendor_at_all() -> None:
    lines = list(judge_modes(ModesAnswer(version=0, vendors=[]), NOW))
    assert named(lines, "mode of campaigns").detail == "no vendors"


@pytest.mark.parametrize(
    ("since_s", "level"), [(5, "OK"), (119, "OK"), (121, "FAIL"), (None, "FAIL")]
)
def test_campaigns_that_are_held(since_s: int | None, level: str) -> None:
    held = Modes(campaigns=Mode.HELD)
    history = []
    if since_s is not None:
        history = [
            PastChange(at=NOW - since_s * 1000, version=2, before=Modes(), after=held),
            PastChange(at=NOW - 10**9, version=1, before=Modes(), after=held),
        ]
    answer = ModesAnswer(
        version=2, vendors=[VendorModes(vendor_uid="v", modes=held, history=history)]
    )
    line = named(judge_modes(answer, NOW), "campaigns of v")
    assert line.level == level
    assert level == "OK" or "sidecar rollback v" in (line.do or "")
