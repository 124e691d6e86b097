"""Differences between PHP and the sidecar, in words and side by side."""

from typing import Any

import pytest

from sidecar.shadow.differences import Side, by_rule, example_text, sides
from sidecar.shadow.parity import VendorParity
from sidecar.shadow.rules import Class, Kind, Rule

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
            Kind.CAMPAIGN,
            Class.DIFFERENT,
            {"campaign": "c-1", "components.0.parameters.0.text": "3 characters (c0ffee)"},
            {"campaign": "c-1", "components.0.parameters.0.text": "9 characters (decade)"},
            "of campaign c-1: the sidecar sends it with components.0.parameters.0.text 3 "
            "characters (c0ffee), PHP sends it with components.0.parameters.0.text 9 "
            "characters (decade)",
        ),
        (
            Kind.CAMPAIGN,
            Class.MISSING,
            None,
            {"campaign": "c-1"},
            "of campaign c-1: the sidecar does not send it, PHP sends it",
        ),
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


def test_side_by_side() -> None:
    found = sides(example(Kind.BOTS, Class.EXTRA, BOTS, {"bots": ["b1"], "more": None}))
    assert found == [
        Side("bots", '["b1","b2"]', '["b1"]'),
        Side("types", '{"b1":"is","b2":"contains"}', None, told=False),
        Side("text", '[5,"c0ffee"]', None, told=False),
        Side("more", None, "null", told=False),
    ]
    assert [one.verdict for one in found] == ["differs", *["one side tells"] * 3]
    [row] = sides(example(Kind.STATUS, Class.EXTRA, {"status": "read"}, None))
    assert (row.verdict, row.sidecar, row.php) == ("differs", '"read"', None)
    [row] = sides(example(Kind.LOG_ROW, Class.EXTRA, None, {"incoming": True}))
    assert (row.verdict, row.sidecar, row.php) == ("differs", None, "true")
    assert Side("a", "1", "1").verdict == "same"
    assert sides(example(Kind.LOG_ROW, Class.EQUAL, None, None)) == []


def test_rules_over_all_kinds() -> None:
    rules = {
        (Kind.STATUS, Rule.REQUEUED): 4,
        (Kind.BOTS, Rule.VENDOR_INACTIVE): 2,
        (Kind.LOG_ROW, Rule.VENDOR_INACTIVE): 3,
    }
    found = by_rule(VendorParity("v", rules=rules))
    assert list(found.items()) == [(Rule.VENDOR_INACTIVE, 5), (Rule.REQUEUED, 4)]
