"""Strings that other strings begin with."""

from hypothesis import given
from hypothesis import strategies as st

from sidecar.bots.prefixes import Prefixes

#: Few letters, so that many begin with others.
STRINGS = st.binary(max_size=6).map(lambda raw: bytes(b"ab"[byte % 2] for byte in raw))


def test_each_has_the_longest_that_it_begins_with() -> None:
    prefixes = Prefixes([b"order", b"or", b"o", b"other", b"ba", b"or"])
    assert prefixes.parent(b"order") == b"or"
    assert prefixes.parent(b"other") == b"o"
    assert prefixes.parent(b"ba") is None
    assert prefixes.depths == {b"o": 0, b"or": 1, b"order": 2, b"other": 1, b"ba": 0}


def test_those_that_a_text_begins_with_the_longest_first() -> None:
    prefixes = Prefixes([b"", b"o", b"or", b"order", b"other"])
    assert list(prefixes.of(b"order 12")) == [b"order", b"or", b"o", b""]
    assert list(prefixes.of(b"ordeal")) == [b"or", b"o", b""]
    assert list(prefixes.of(b"zebra")) == [b""]
    assert list(Prefixes([]).of(b"order")) == []
    assert list(Prefixes([b"b"]).of(b"a")) == []


@given(strings=st.lists(STRINGS, max_size=12), text=STRINGS)
def test_as_a_loop_over_all_of_them_says(strings: list[bytes], text: bytes) -> None:
    prefixes = Prefixes(strings)
    begun = [string for string in set(strings) if text.startswith(string)]
    assert list(prefixes.of(text)) == sorted(begun, key=len, reverse=True)
    for string in strings:
        shorter = [one for one in set(strings) if one != string and string.startswith(one)]
        assert prefixes.parent(string) == max(shorter, key=len, default=None)
        assert prefixes.depths[string] == len(shorter)
