"""Triggers in which * stands for anything."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.bots.wildcards import Wildcard, Wildcards

LETTERS = st.binary(max_size=8).map(lambda raw: bytes(b"ab\n"[byte % 3] for byte in raw))
TRIGGERS = st.lists(LETTERS, min_size=2, max_size=4).map(b"*".join)


def pattern(trigger: bytes, spans_lines: bool) -> re.Pattern[bytes]:
    """Return what Laravel makes of a trigger; its dot takes no line break, unless told to."""
    parts = (re.escape(part) for part in trigger.split(b"*"))
    return re.compile(b"(?:%s)\\Z" % b".*".join(parts), re.DOTALL if spans_lines else 0)


@pytest.mark.parametrize(
    ("trigger", "text", "in_line", "over_lines"),
    [
        (b"order*", b"order 12", True, True),
        (b"order*", b"order\n12", False, True),
        (b"*order", b"my order", True, True),
        (b"a*a", b"a", False, False),
        (b"a*b*c", b"a b c", True, True),
        (b"a*b*c", b"acb", False, False),
        (b"a*\nb*c", b"a\nbc", True, True),
        (b"a*x\nb*c", b"a\nx\nbc", False, True),
        (b"a*\nb*c", b"a\n\nbc", False, True),
        (b"a*b\nx*c", b"ab\nxc", True, True),
        (b"*", b"", True, True),
        (b"*", b"\n", False, True),
    ],
)
def test_pieces_in_their_order(
    trigger: bytes, text: bytes, in_line: bool, over_lines: bool
) -> None:
    wildcard = Wildcard.parse(0, trigger)
    assert wildcard.matches(text, spans_lines=False) is in_line
    assert wildcard.matches(text, spans_lines=True) is over_lines


@given(trigger=TRIGGERS, text=LETTERS)
def test_over_lines_as_the_pattern_says(trigger: bytes, text: bytes) -> None:
    matches = Wildcard.parse(0, trigger).matches(text, spans_lines=True)
    assert matches == bool(pattern(trigger, True).match(text))


@given(triggers=st.lists(TRIGGERS, max_size=6), text=LETTERS, spans_lines=st.booleans())
def test_those_of_a_vendor_are_found_as_one_by_one(
    triggers: list[bytes], text: bytes, spans_lines: bool
) -> None:
    each = [Wildcard.parse(slot, trigger) for slot, trigger in enumerate(triggers)]
    wildcards = Wildcards(each, spans_lines)
    occurring = {middle for middle in wildcards.middles if middle in text}
    expected = [one.slot for one in each if one.matches(text, spans_lines or b"\n" not in text)]
    assert sorted(wildcards.find(text, occurring)) == expected


def test_other_strings_among_the_middles_do_no_harm() -> None:
    wildcards = Wildcards([Wildcard.parse(7, b"a*long*z")], spans_lines=True)
    assert list(wildcards.find(b"a long z", {b"long", b"other"})) == [7]
    assert list(wildcards.find(b"a z", {b"other"})) == []
