"""Differences between PHP and the sidecar, in words."""

from sidecar.commands.parity_text import MAX_SHOWN, as_json, render
from sidecar.shadow.differences import example_text
from sidecar.shadow.parity import VendorParity
from sidecar.shadow.rules import SENTENCES, Class, Kind, Rule
from tests.conftest import MakeSettings
from tests.sidecar.shadow.test_differences import AT, example


def test_a_vendor_of_whom_nothing_was_compared(make_settings: MakeSettings) -> None:
    lines = render(VendorParity("v"), make_settings()).splitlines()
    assert lines[0].startswith("v: not ready: 0 updates were compared")
    assert lines[1] == "  nothing was compared"
    assert not any("wamid" in line for line in lines)


def test_differences_stand_below_their_count(make_settings: MakeSettings) -> None:
    one = example(Kind.LOG_ROW, Class.EXTRA, {"incoming": True}, None)
    parity = VendorParity(
        "v", {(Kind.LOG_ROW, Class.EXTRA): 9}, examples=[one] * 5, first_at=AT, last_at=AT
    )
    lines = render(parity, make_settings()).splitlines()
    at = lines.index("  log_row extra (9): the sidecar would do it, and PHP did not")
    assert lines[at + 1 :] == [f"    {example_text(one)}"] * MAX_SHOWN
    page = as_json(parity, make_settings())
    assert len(page["examples"]) == 5
    assert {shown["words"] for shown in page["examples"]} == {example_text(one)}


def test_rules_the_most_frequent_first(make_settings: MakeSettings) -> None:
    rules = {
        (Kind.STATUS, Rule.REQUEUED): 1,
        (Kind.BOTS, Rule.VENDOR_INACTIVE): 2,
        (Kind.LOG_ROW, Rule.VENDOR_INACTIVE): 3,
    }
    parity = VendorParity("v", rules=rules)
    lines = render(parity, make_settings()).splitlines()
    at = lines.index("  explained by")
    assert lines[at + 1 : at + 3] == [
        f"    {Rule.VENDOR_INACTIVE} (5): {SENTENCES[Rule.VENDOR_INACTIVE]}",
        f"    {Rule.REQUEUED} (1): {SENTENCES[Rule.REQUEUED]}",
    ]
    assert as_json(parity, make_settings())["rules"]["vendor_inactive"]["count"] == 5
