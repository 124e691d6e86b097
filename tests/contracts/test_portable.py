"""What can be written as JSON and read again by everybody who gets it."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.portable import MAX_DEPTH, flaw
from tests.contracts.hypotheses import unhurried
from tests.contracts.odd_json import ODD


@pytest.mark.parametrize("name", ODD)
def test_what_is_wrong_and_where(name: str) -> None:
    text, what = ODD[name]
    value = json.loads(f'{{"message": [{{"n": {text}}}]}}')
    found = flaw(value)
    assert found is not None
    assert found.startswith("message.0.n")
    assert found.endswith(what)
    assert len(found) < 500
    assert found.isprintable()


@pytest.mark.parametrize("value", [float("nan"), 2**64, "\ud800"])
def test_a_value_by_itself(value: Any) -> None:
    assert flaw(value) is not None


@pytest.mark.parametrize(
    "value", [None, True, 0, 2**64 - 1, -(2**63), 1.5, "é👋\0", [], {}, {"a\0": [{}]}]
)
def test_nothing_is_wrong(value: Any) -> None:
    assert flaw(value) is None


def test_the_limit_of_depth() -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    assert flaw(value) is None
    assert flaw([value]) is not None
    for _ in range(200_000):
        value = [value]
    assert flaw(value) is not None


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=5)
    | st.text(st.characters(categories=["Cs"]), max_size=2),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
)


@unhurried
@given(ANYTHING)
def test_what_has_no_flaw_comes_back_as_it_was(value: Any) -> None:
    if flaw(value) is None:
        assert orjson.loads(orjson.dumps(value)) == value
