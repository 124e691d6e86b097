"""Which dead letters are meant, out of addresses and forms."""

import pytest

from sidecar.console.letter_choice import asked_of, choice_of, item_of, link_to, ref_of
from sidecar.ops.dead_letter import ALL, Choice, LetterRef
from sidecar.redis.letter_bounds import LetterKind


@pytest.mark.parametrize("letter_id", ["a", "v/forward/1", "x/0~1", "\n", "ü"])
def test_there_and_back(letter_id: str) -> None:
    for kind in LetterKind:
        ref = LetterRef(1_700_000_000_000, "v-1", letter_id, kind)
        assert ref_of(item_of(ref)) == ref


@pytest.mark.parametrize(
    "item", ["", "a", "1/updates/v", "1/odd/v/a", "x/updates/v/a", "²/updates/v/a", "1/updates//a"]
)
def test_no_letter(item: str) -> None:
    with pytest.raises(ValueError, match="names no dead letter"):
        ref_of(item)


def test_a_filter() -> None:
    assert choice_of({}) == ALL
    asked = {"vendor": " v ", "kind": "status", "reason": " no ", "since": "", "odd": "x"}
    assert choice_of(asked) == Choice("v", "no", kind="status")
    assert choice_of({"since": "1970-01-01T00:00", "before": "1970-01-01T00:01:00.5"}) == Choice(
        since=0, before=60_500
    )
    assert asked_of(asked) == {"vendor": " v ", "kind": "status", "reason": " no "}
    assert link_to({"vendor": "a&b"}, after="1") == "?vendor=a%26b&after=1"


@pytest.mark.parametrize(
    ("asked", "why"), [({"kind": "odd"}, "no such kind"), ({"since": "yesterday"}, "no time")]
)
def test_no_filter(asked: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        choice_of(asked)
