"""Numbers as the page lists them."""

from typing import Any

import pytest

from sidecar.console.number_rows import rows_of
from sidecar.sending.numbers import Held, Outage
from sidecar.sending.pauses import Paused
from tests.sidecar.ops.sending import number_state

HELD = Held(4e9, "131057 maintenance")
PAUSED = Paused("number", "110", "v", 131048, "131048 spam limit", 1, False)
NAMES = {"account": "v/waba", "app": "v/app"}


@pytest.mark.parametrize(
    ("facts", "word", "holds", "says"),
    [
        ({}, "full rate", (), "sends at full rate"),
        ({"idle": True}, "idle", (), "idle"),
        ({"effective_rate": 40.0}, "slow", ("number:v/110",), "climbing"),
        ({"held": HELD}, "held", ("number:v/110",), "131057 maintenance"),
        ({"outage": Outage("502", 0.0)}, "no answer", ("number:v/110",), "502"),
        ({"account_held": HELD, "app_held": HELD}, "held", ("account:v/waba", "app:v/app"), "1310"),
        ({"paused": PAUSED}, "paused", (), "131048 spam limit"),
    ],
)
def test_how_one_stands(
    facts: dict[str, Any], word: str, holds: tuple[str, ...], says: str
) -> None:
    [row] = rows_of([("v/110", number_state("110", **NAMES, **facts))])
    assert (row.word, row.holds, row.trouble) == (word, holds, word not in ("full rate", "idle"))
    assert says in row.text
    assert row.state is not None
    rates = {"full rate": 80.0, "idle": 80.0, "slow": 40.0}
    assert row.state.present_rate == rates.get(word, 0.0), "what is held sends nothing now"


def test_one_that_was_not_used_lately() -> None:
    [row] = rows_of([("110", None)])
    assert (row.word, row.text, row.state, row.holds) == ("idle", "", None, ())
    assert not row.trouble


def test_those_in_trouble_stand_first() -> None:
    lines = [
        ("v/112", number_state("112")),
        ("v/111", number_state("111")),
        ("w/110", number_state("110", "w", held=HELD)),
    ]
    assert [row.number for row in rows_of(lines)] == ["110", "111", "112"]


@pytest.mark.parametrize(
    ("find", "found"), [("", True), ("11", True), ("V-1", True), ("ada", True), ("112", False)]
)
def test_a_text_that_is_looked_for(find: str, found: bool) -> None:
    [row] = rows_of([("v-1/110", None)])
    assert row.named(find, {"v-1": "Ada"}) is found
    assert not rows_of([("110", None)])[0].named("ada", {})
