"""Differences between PHP and the sidecar, in words."""

from typing import Any

import pytest

from sidecar.commands.parity_text import MAX_SHOWN, as_json, example_text, render
from sidecar.shadow.parity import VendorParity
from sidecar.shadow.rules import SENTENCES, Class, Kind, Rule
from tests.conftest import MakeSettings

BOTS = {"bots": ["b1", "b2"], "types": {"b1": "is", "b2": "contains"}, "text": [5, "c0ffee"]}
AT = 1_769_868_309_000


def example(kind: Kind, class_: Class, sidecar: Any, php: Any) -> dict[str, Any]:
    given = {"kind": kind.value, "class": class_.value, "sidecar": sidecar, "php": php}
    return {**given, "rule": None, "wamid": "wamid.1", "at": AT}


@pytest.mark.parametrize(
    ("kind", "class_", "sidecar", "php", "words"),
    [
        (
            Kind.BOTS,
            Class.EXTRA,
            BOTS,
            {"bots": ["b1"]},
            "a text of 5 characters (c0ffee); the sidecar answers with b1 (is), b2 (contains), "
            "PHP answered with b1 (is) (only the sidecar: b2)",
        ),
        (
            Kind.BOTS,
            Class.DIFFERENT,
            {**BOTS, "bots": ["b1"]},
            {"bots": ["b9"]},
            "PHP answered with b9 (?) (only the sidecar: b1; only PHP: b9)",
        ),
        (Kind.BOTS, Class.EXTRA, BOTS, None, "PHP did not log the message"),
        (Kind.BOTS, Class.MISSING, {**BOTS, "bots": []}, {"bots": ["b1"]}, "with no bot, PHP"),
        (
            Kind.LOG_ROW,
            Class.EXTRA,
            {"incoming": True},
            None,
            "the sidecar logs it as a customer's message, PHP does not log the message",
        ),
        (
            Kind.LOG_ROW,
            Class.MISSING,
            None,
            {"incoming": False},
            "the sidecar does not log the message, PHP logs it as the business's message",
        ),
        (
            Kind.STATUS,
            Class.DIFFERENT,
            {"status": "read"},
            {"status": "sent"},
            "the sidecar would set read, PHP has sent",
        ),
        (Kind.STATUS, Class.EXTRA, {"status": "read"}, {"status": None}, "PHP has no status"),
        (
            Kind.QUEUE_ROW,
            Class.EXTRA,
            {"awaits_status": False},
            {"awaits_status": True, "queue_status": 4},
            "PHP left it there with status 4",
        ),
    ],
)
def test_differences_in_words(
    kind: Kind, class_: Class, sidecar: Any, php: Any, words: str
) -> None:
    found = example_text(example(kind, class_, sidecar, php))
    assert found.startswith("wamid.1 at 2026-01-31 14:05:09Z: ")
    assert words in found


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
