"""A dead letter as it is stored, and filters in words."""

import pytest

from contracts.jobs import Lane
from sidecar.ops.dead_letter import ALL, KINDS, Choice, DeadLetter, LetterRef, kind_of
from sidecar.redis.letter_bounds import LetterKind

REF = LetterRef(5, "v", "a", LetterKind.UPDATES)


def test_a_number_that_no_float_holds_hides_no_letter() -> None:
    letter = DeadLetter.load(REF, b'{"lane":"messages","update":{"id":"a","payload":{"x":1e999}}}')
    assert letter.update["payload"]["x"] == float("inf")
    assert b'"x":null' in letter.kept
    assert letter.ref == REF


def test_an_update_is_replayed_in_an_order() -> None:
    line = b'{"id":"a","vendor_uid":"v","lane":"messages","given_up_at":1,"update":{"order_key":1}}'
    with pytest.raises(TypeError, match="order_key"):
        DeadLetter.read(line)


def test_its_kind_is_what_it_is() -> None:
    letter = DeadLetter.load(REF, b'{"outbox":"forward","update":{"id":"a","kind":"forward"}}')
    assert letter.ref == REF._replace(kind=LetterKind.EFFECTS)


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        (ALL, "all"),
        (Choice("v", "no", kind="status"), "of vendor v, of kind status, with 'no' in the reason"),
        (
            Choice(since=0, before=1000),
            "given up since 1970-01-01 00:00:00Z, given up before 1970-01-01 00:00:01Z",
        ),
    ],
)
def test_in_words(choice: Choice, text: str) -> None:
    assert choice.text == text


def test_kinds() -> None:
    assert {"updates", "effects", "message", "status", "forward", "fetch_media"} <= set(KINDS)
    assert Choice(kind="effects").kinds == (LetterKind.EFFECTS,)
    assert not Choice(kind="effects").reads
    assert Choice(kind="status").reads
    assert Choice(kind="status").fits("status", None)
    assert not Choice(kind="status").fits("message", None)
    assert Choice(kind="updates").fits("message", "why")


@pytest.mark.parametrize("said", [None, "", 5])
def test_what_could_not_be_read_has_one_name(said: object) -> None:
    letter = DeadLetter("a", "v", Lane.MESSAGES, {"kind": said}, 5)
    assert letter.summary["kind"] == kind_of(said) == "unreadable"
    assert Choice(kind="unreadable").fits(said, "why")
    assert not Choice(kind="unreadable").fits("message", "why")
    assert "unreadable" in KINDS
