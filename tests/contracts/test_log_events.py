"""What is logged is named alike: ``noun.verb``, in lower case (``lease.lost``)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
#: What takes the name of an event first: ``LogOnce`` and all that has one, and its copies.
NAMED = {"LogOnce", "Breaker", "another"}
EVENT = re.compile(r"[a-z][a-z_]*(\.[a-z][a-z_]*)+")


def test_every_event_is_a_noun_and_a_verb() -> None:
    found = {
        (str(file.relative_to(ROOT)), event)
        for package in ("sidecar", "workers")
        for file in (ROOT / package).rglob("*.py")
        for event in events(file.read_text())
    }
    assert len(found) > 60
    assert [one for one in sorted(found) if not EVENT.fullmatch(one[1])] == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("log.info('lease.lost', lease=1)", ["lease.lost"]),
        ("self._log.error('it broke')", ["it broke"]),
        ("log.info(f'php.{lane}.unavailable')", ["php.x.unavailable"]),
        ("LogOnce('php.failing', lane='a'); Breaker('down', first_s=1)", ["php.failing", "down"]),
        ("breaker.another('failing', longest_s=1)", ["failing"]),
        ("log.info(event); math.log('a'); LogOnce(self._event)", []),
    ],
)
def test_events_are_found(source: str, expected: list[str]) -> None:
    assert list(events(source)) == expected


def events(source: str) -> Iterator[str]:
    """Yield the events that a module names. A part that is filled in later counts as ``x``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and node.args and _names_an_event(node.func):
            match node.args[0]:
                case ast.Constant(value=str(event)):
                    yield event
                case ast.JoinedStr(values=parts) if isinstance(parts[0], ast.Constant):
                    yield "".join(
                        str(part.value) if isinstance(part, ast.Constant) else "x" for part in parts
                    )


def _names_an_event(called: ast.expr) -> bool:
    match called:
        case ast.Name(id=name):
            return name in NAMED
        case ast.Attribute(value=ast.Name(id="log"), attr=name):
            return name in LEVELS
        case ast.Attribute(value=ast.Attribute(attr="_log"), attr=name):
            return name in LEVELS
        case ast.Attribute(attr=name):
            return name in NAMED
    return False
