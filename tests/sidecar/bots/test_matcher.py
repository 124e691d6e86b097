"""Which bots answer a message. tests/parity compares the same with real PHP."""

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from contracts.bots import Bot, BotHours, BotMatch, MatchingRules, TriggerType, VendorBots
from contracts.sidecar_api import ContactFacts
from sidecar.bots.matcher import Matcher, admitted

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
WHOLE = ("is", "start_promotional", "stop_promotional", "start_ai_bot", "stop_ai_bot")


def vendor(
    *bots: Bot, hours: BotHours | None = None, rules: MatchingRules | None = None
) -> VendorBots:
    return VendorBots(
        vendor_uid="vendor", bots=list(bots), hours=hours, rules=rules or MatchingRules()
    )


def bot(kind: str, triggers: str | None, uid: str = "bot", active: bool = True) -> Bot:
    return Bot(bot_uid=uid, trigger_type=kind, reply_trigger=triggers, active=active)


def trigger_of(
    kind: str, triggers: str | None, text: str | bytes, rules: MatchingRules | None = None
) -> str | None:
    """Return the trigger of a bot that matches a text, if one does."""
    matches = Matcher(vendor(bot(kind, triggers), rules=rules)).match(text, NOON)
    return matches[0].trigger if matches else None


@pytest.mark.parametrize(
    ("kind", "trigger", "texts", "others"),
    [
        ("is", "order", ["order", " ORDER\n\0"], ["orders", "order\f", "my order", "", "0rder"]),
        ("is", "order*", ["order", "order 12"], ["my order", "order\n12", "orde"]),
        ("is", "*order", ["order", "my order"], ["orders", "my\norder"]),
        ("is", "a*b*a", ["aba", "a b b a"], ["ab", "aa", "a\nba", "ba"]),
        ("is", "*", ["", "anything"], ["two\nlines"]),
        ("is", "a.c", ["a.c"], ["abc"]),
        ("starts_with", "hel", ["hello", "hel"], ["he", "ohello"]),
        ("ends_with", "lo", ["hello", "lo"], ["hello!", "o"]),
        ("contains", "ell", ["hello", "ell"], ["el l"]),
        ("contains", "é", ["CAFé"], ["CAFE", "É"]),
        ("contains_word", "hi", ["hi", "oh, hi!", "hi-hi"], ["hit", "ohi", "hié", "hi_", "hi²"]),
        ("contains_word", "order status", ["my order status?"], ["order  status", "orderstatus"]),
        ("contains_word", "😀", ["a😀b"], ["😀", "a 😀 b", "a😀"]),
        ("contains_word", "cafe", ["cafe\u0301", "cafe\u203f"], ["café"]),
    ],
)
def test_trigger_types(kind: str, trigger: str, texts: list[str], others: list[str]) -> None:
    for text in texts:
        assert trigger_of(kind, trigger, text) == trigger, text
    for text in others:
        assert trigger_of(kind, trigger, text) is None, text


@pytest.mark.parametrize("kind", WHOLE)
def test_switches_match_as_is_does(kind: str) -> None:
    assert trigger_of(kind, "STOP*", "stop it") == "stop*"
    assert trigger_of(kind, "STOP", "stop it") is None


def test_a_type_that_is_not_known_never_matches() -> None:
    assert trigger_of("regex", "hello", "hello") is None


def test_triggers_are_split_trimmed_and_lowered_in_ascii() -> None:
    assert trigger_of("is", " a ,\tHELLO\x0b, ÇA", "hello") == "hello"
    assert trigger_of("is", "ÇA", "Ça") == "Ça"
    assert trigger_of("is", "ÇA", "ça") is None


@pytest.mark.parametrize("triggers", [None, "", " , ", "0", "0, 0"])
def test_a_bot_without_a_trigger_does_not_match(triggers: str | None) -> None:
    for kind in TriggerType:
        if kind is not TriggerType.WELCOME:
            assert trigger_of(kind, triggers, "0") is None
            assert trigger_of(kind, triggers, "") is None


def test_all_bots_that_match_in_their_order_each_with_its_first_trigger() -> None:
    bots = vendor(
        bot("contains", "no,order,ord", "second type"),
        bot("is", "else", "no match"),
        bot("welcome", "ignored", "welcome"),
        bot("starts_with", "my", "inactive", active=False),
        bot("is", "*order,my order", "wildcard first"),
        bot("is", "my order,*order", "wildcard last"),
        bot("contains_word", "order", "second type"),
    )
    assert Matcher(bots).match("My order", NOON) == [
        BotMatch(bot_uid="second type", trigger_type="contains", trigger="order"),
        BotMatch(bot_uid="welcome", trigger_type="welcome", trigger=None),
        BotMatch(bot_uid="wildcard first", trigger_type="is", trigger="*order"),
        BotMatch(bot_uid="wildcard last", trigger_type="is", trigger="my order"),
        BotMatch(bot_uid="second type", trigger_type="contains_word", trigger="order"),
    ]


def test_no_bots() -> None:
    assert Matcher(vendor()).match("hello", NOON) == []


def test_what_is_no_utf8_matches_by_bytes_and_never_by_pattern() -> None:
    text = b"hello \xff you"
    for kind in ("starts_with", "contains"):
        assert trigger_of(kind, "hello", text) == "hello"
    assert trigger_of("ends_with", "you", text) == "you"
    assert trigger_of("contains_word", "hello", text) is None
    assert trigger_of("is", "hello*", text) is None
    assert trigger_of("contains", "hello", "hello \ud800") == "hello"
    assert trigger_of("contains_word", "hello", "hello \ud800") is None


def test_the_rule_on_line_breaks() -> None:
    spans = MatchingRules(wildcard_spans_lines=True)
    assert trigger_of("is", "a*b", "a\nb", spans) == "a*b"
    assert trigger_of("is", "*a*b*", "\na\nb\n c", spans) == "*a*b*"
    assert trigger_of("is", "*a*b*", "\nb\na\n", spans) is None
    # The wildcard's own line break is one.
    assert trigger_of("is", "a*\n*b", "a 1\n2 b") == "a*\n*b"
    assert trigger_of("is", "a*x\nx*b", "a x\nx b") == "a*x\nx*b"
    assert trigger_of("is", "a*x\nx*b", "a\nx\nx b") is None
    assert trigger_of("is", "a*x\nx*b", "a x\nx\n b") is None
    # Pieces do not share what they have in common.
    assert trigger_of("is", "ax*x\nx*b", "ax\nx b") is None
    assert trigger_of("is", "a*x\nx*xb", "a x\nxb") is None
    assert trigger_of("is", "ab*ba", "aba") is None


def test_the_rule_on_marks() -> None:
    rules = MatchingRules(marks_are_letters=True)
    for mark in ("\u0301", "\u203f", "\U000e0101", "\U00011046"):
        assert trigger_of("contains_word", "cafe", f"cafe{mark}") == "cafe"
        assert trigger_of("contains_word", "cafe", f"cafe{mark}", rules) is None
        assert trigger_of("contains_word", f"cafe{mark}", f"a cafe{mark} b", rules) is not None
    assert trigger_of("contains_word", "cafe", "café cafe 😀", rules) == "cafe"


@pytest.mark.parametrize(
    ("trigger", "text", "equal"),
    [
        ("1", "1.0", True),
        ("10", "1e1", True),
        ("00", "0", True),
        ("-0", ".0", True),
        ("12", "+12.", True),
        ("5", "5\f", True),
        ("1", "1a", False),
        ("1", ".", False),
        ("10", "1_0", False),
        ("9007199254740993", "9007199254740992", False),
        ("9007199254740993", "9007199254740992.0", True),
        ("9223372036854775808", "9223372036854775809", False),
        ("9223372036854775808", "9.223372036854775808e18", True),
        ("9223372036854775807", "9223372036854775808", False),
        ("-9223372036854775808", "\f-9223372036854775808", True),
        ("-9223372036854775808", "-9223372036854775808\f", False),
        ("1e400", "2e400", False),
        ("18446744073709551616", "18446744073709551616.", False),
    ],
)
def test_the_rule_on_numbers(trigger: str, text: str, equal: bool) -> None:
    by_value = MatchingRules(numbers_by_value=True)
    assert trigger_of("is", trigger, text, by_value) == (trigger if equal else None)
    assert trigger_of("is", trigger, text) is None
    assert trigger_of("contains_word", trigger, "x", by_value) is None


@pytest.mark.parametrize(
    ("start", "end", "zone", "open_at_noon"),
    [
        ("12:00", "13:00", "UTC", True),
        ("11:00", "12:00", "UTC", False),
        ("14:00", "14:01", "Europe/Berlin", True),
        ("13:00", "14:00", "Europe/Berlin", False),
        ("22:00", "12:01", "UTC", True),
        ("22:00", "12:00", "UTC", False),
        ("09:00", "09:00", "UTC", True),
    ],
)
def test_hours(start: str, end: str, zone: str, open_at_noon: bool) -> None:
    hours = BotHours(start=start, end=end, timezone=zone)
    matcher = Matcher(vendor(bot("is", "hi"), bot("welcome", None), hours=hours))
    assert len(matcher.match("hi", NOON)) == (2 if open_at_noon else 0)


def test_hours_follow_the_clock_of_the_zone() -> None:
    hours = BotHours(start="14:00", end="15:00", timezone="Europe/Berlin")
    matcher = Matcher(vendor(bot("is", "hi"), hours=hours))
    assert matcher.match("hi", NOON)
    assert not matcher.match("hi", NOON.replace(month=1))
    assert matcher.match("hi", NOON.replace(month=1, hour=13))


def test_hours_of_some_types_leave_the_others_alone() -> None:
    hours = BotHours(start="00:00", end="01:00", trigger_types=["contains", "welcome"])
    bots = (bot("contains", "hi"), bot("welcome", None), bot("is", "hi"))
    matches = Matcher(vendor(*bots, hours=hours)).match("hi", NOON)
    assert [match.trigger_type for match in matches] == ["is"]


@pytest.mark.parametrize(
    ("start", "zone"),
    [
        ("13:00", "Europe/Atlantis"),
        ("13:00", "Europe"),
        ("13:00", "../etc"),
        ("13:00", ""),
        ("13:00", "\0"),
        ("1 pm", "UTC"),
        ("24:00", "UTC"),
        ("13:00\n", "UTC"),
    ],
)
def test_wrong_hours_are_logged_once_and_ignored(start: str, zone: str) -> None:
    hours = BotHours(start=start, end="14:00", timezone=zone)
    with capture_logs() as logs:
        matcher = Matcher(vendor(bot("is", "hi"), hours=hours))
        assert matcher.match("hi", NOON)
        assert matcher.match("hi", NOON)
    [entry] = logs
    assert entry["event"] == "bot.hours_invalid"
    assert entry["vendor_uid"] == "vendor"
    assert "correct it in the vendor's settings" in entry["error"]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (ContactFacts(), ["is"]),
        (ContactFacts(incoming_24h=0), ["welcome", "is"]),
        (ContactFacts(incoming_24h=1), ["welcome", "is"]),
        (ContactFacts(incoming_24h=2), ["is"]),
        (ContactFacts(incoming_24h=1, disable_reply_bot=True), []),
        (ContactFacts(incoming_24h=1, disable_reply_bot=True, quick_reply=True), ["welcome", "is"]),
        (ContactFacts(incoming_24h=2, quick_reply=True), ["is"]),
    ],
)
def test_admitted(facts: ContactFacts, expected: list[str]) -> None:
    matches = Matcher(vendor(bot("welcome", None), bot("is", "hi"))).match("hi", NOON)
    assert [match.trigger_type for match in admitted(matches, facts)] == expected
