"""``docs/states.md`` draws the tables as they are."""

import re
from typing import Any

import pytest

from contracts import campaigns, modes
from contracts.modes import Capability
from contracts.transitions import Transitions
from sidecar.effects import effect_states
from sidecar.inbox import update_states
from sidecar.sending import row_states
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "states.md").read_text()

#: The tables, by the heading above their diagram.
TABLES: dict[str, Transitions[Any]] = {
    "Rows": row_states.TRANSITIONS,
    "Updates": update_states.TRANSITIONS,
    "Effects": effect_states.TRANSITIONS,
    "Campaigns": campaigns.TRANSITIONS,
    "Modes of campaigns": modes.TRANSITIONS[Capability.CAMPAIGNS],
    "Modes of webhooks and bots": modes.TRANSITIONS[Capability.WEBHOOKS],
}


def diagrams() -> dict[str, str]:
    found = re.findall(r"(?ms)^##+ ([^\n]+)\n(?:(?!^##).)*?^```mermaid\n(.*?)^```$", PAGE)
    return {heading: diagram.strip() for heading, diagram in found}


@pytest.mark.parametrize("heading", list(TABLES))
def test_the_diagram_is_the_table(heading: str) -> None:
    assert diagrams()[heading] == TABLES[heading].diagram()


@pytest.mark.parametrize("heading", list(TABLES))
def test_mermaid_can_read_it(heading: str) -> None:
    """A label ends at a colon or semicolon, and some words are Mermaid's own."""
    for line in TABLES[heading].diagram().splitlines()[1:]:
        drawn = re.fullmatch(r"    (\[\*\]|\w+) --> (\[\*\]|\w+): [^:;]+", line)
        assert drawn, line
        assert not {"state", "note", "end", "as", "direction"} & set(drawn.groups())


def test_nothing_else_is_drawn() -> None:
    assert diagrams().keys() == TABLES.keys()
    assert modes.TRANSITIONS[Capability.BOTS] is modes.TRANSITIONS[Capability.WEBHOOKS]
    assert modes.TRANSITIONS.keys() == set(Capability)


@pytest.mark.parametrize("heading", list(TABLES))
def test_every_state_of_the_enum_is_reached(heading: str) -> None:
    table = TABLES[heading]
    reached = {step.after for step in table if step.after is not None}
    enum: Any = type(next(iter(reached)))
    states = set(enum)
    if heading == "Modes of webhooks and bots":
        states.remove(modes.Mode.HELD)  # of campaigns only
    assert reached == states
