"""Word boundaries as PCRE2 has them. tests/parity compares the same with real PHP."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.bots import words
from sidecar.bots.words import WordMarks, WordSearch

PLAIN = WordMarks(marks_are_letters=False)
MARKED = WordMarks(marks_are_letters=True)


def stands_in(marks: WordMarks, trigger: str, text: str) -> bool:
    """Tell whether it is found at its places, and in the marked text: the same."""
    found = bool(search(marks, [trigger], text))
    assert (marks.trigger(trigger.encode()) in marks.text(text.encode())) is found
    return found


def search(marks: WordMarks, triggers: list[str], text: str) -> set[bytes]:
    contained = {trigger.encode() for trigger in triggers if trigger in text}
    return WordSearch([trigger.encode() for trigger in triggers], marks).find(
        text.encode(), contained
    )


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


@given(
    triggers=st.lists(TEXTS.filter(lambda text: text.strip(" -")), max_size=4),
    text=TEXTS.map(lambda text: text * 5),
    few=st.integers(0, 40),
)
def test_few_places_and_many(triggers: list[str], text: str, few: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "_FEW", few)
        assert search(PLAIN, triggers, text) == {
            trigger.encode()
            for trigger in triggers
            if re.search(rf"\b{re.escape(trigger)}\b", text)
        }
