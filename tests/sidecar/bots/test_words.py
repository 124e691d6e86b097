"""Word boundaries as PCRE2 has them. tests/parity compares the same with real PHP."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.bots.words import WordMarks

PLAIN = WordMarks(marks_are_letters=False)
MARKED = WordMarks(marks_are_letters=True)


def stands_in(marks: WordMarks, trigger: str, text: str) -> bool:
    return marks.trigger(trigger.encode()) in marks.text(text.encode())


@pytest.mark.parametrize(
    ("trigger", "text", "found"),
    [
        ("hi", "oh, hi!", True),
        ("hi", "hi", True),
        ("hi", "this", False),
        ("hi", "hi_", False),
        ("hi", "hié", False),
        ("café", "un café.", True),
        ("order status", "my order status?", True),
        ("order status", "order  status", False),
        ("😀", "a😀b", True),
        ("😀", "a 😀 b", False),
    ],
)
def test_words(trigger: str, text: str, found: bool) -> None:
    assert stands_in(PLAIN, trigger, text) is found
    assert stands_in(MARKED, trigger, text) is found


@pytest.mark.parametrize("mark", ["\u0301", "\u203f", "\U0001e000", "\U000e0100"])
def test_combining_marks_and_connectors_are_letters_to_newer_versions_only(mark: str) -> None:
    assert stands_in(PLAIN, "cafe", f"cafe{mark}")
    assert not stands_in(MARKED, "cafe", f"cafe{mark}")


TEXTS = st.text(st.sampled_from("ab_ -é1"), max_size=10)


@given(trigger=TEXTS.filter(lambda text: text.strip(" -")), text=TEXTS)
def test_as_the_pattern_says(trigger: str, text: str) -> None:
    pattern = re.compile(rf"\b{re.escape(trigger)}\b")
    assert stands_in(PLAIN, trigger, text) == bool(pattern.search(text))
