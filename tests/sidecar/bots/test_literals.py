"""Many strings in a text are found as each alone is."""

from hypothesis import given
from hypothesis import strategies as st

from sidecar.bots.literals import LiteralSearch
from sidecar.bots.prefixes import Prefixes

#: Few letters, so that strings begin with one another and overlap.
LITERALS = st.lists(st.text("ab", min_size=1, max_size=12).map(str.encode), max_size=40)
TEXTS = st.text("abc", max_size=80).map(str.encode)


@given(LITERALS, TEXTS)
def test_literals(literals: list[bytes], text: bytes) -> None:
    assert LiteralSearch(literals).find(text) == {one for one in literals if one in text}


@given(LITERALS, TEXTS)
def test_prefixes(strings: list[bytes], text: bytes) -> None:
    expected = {string for string in strings if text.startswith(string)}
    assert list(Prefixes(strings).of(text)) == sorted(expected, key=len, reverse=True)


def test_strings_that_nest_deeply() -> None:
    nested = [b"a" * length for length in range(1, 300)]
    text = b"b" + b"a" * 250 + b"b" + b"a" * 20
    assert LiteralSearch(nested).find(text) == set(nested[:250])
    assert LiteralSearch([b"x" + one for one in nested]).find(text) == set()


def test_very_long_strings() -> None:
    long = b"a" * 5000
    assert LiteralSearch([long, b"a", long + b"b"]).find(b"b" + long) == {long, b"a"}
