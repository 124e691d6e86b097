"""Tables of transitions: what they allow, who does it, and how they are drawn."""

from enum import StrEnum

from contracts.transitions import Transitions, name


class Door(StrEnum):
    OPEN = "o"
    SHUT = "s"


TABLE = Transitions(
    (None, Door.OPEN, "carpenter"),
    (Door.OPEN, Door.SHUT, "wind"),
    (Door.OPEN, Door.SHUT, "hand"),
    (Door.SHUT, None, "fire"),
)


def test_what_is_listed_is_allowed_and_nothing_else() -> None:
    states = (None, *Door)
    allowed = {(a, b) for a in states for b in states if TABLE.allows(a, b)}
    assert allowed == {(None, Door.OPEN), (Door.OPEN, Door.SHUT), (Door.SHUT, None)}


def test_what_follows_an_action() -> None:
    assert TABLE.after(Door.OPEN, "wind") is Door.SHUT
    assert TABLE.after(Door.SHUT, "wind") is None
    assert TABLE.after(Door.OPEN, "nobody") is None


def test_who_does_what() -> None:
    assert TABLE.made_by("wind") == {("open", "shut")}
    assert TABLE.made_by("fire") == {("shut", "none")}
    assert TABLE.made_by("nobody") == set()
    assert [name(state) for state in (None, *Door)] == ["none", "open", "shut"]


def test_how_it_is_drawn() -> None:
    assert TABLE.diagram().splitlines() == [
        "stateDiagram-v2",
        "    [*] --> open: carpenter",
        "    open --> shut: wind, hand",
        "    shut --> [*]: fire",
    ]
