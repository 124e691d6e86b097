"""Tables of allowed transitions: which states a thing has, how it moves, and what moves it.

A table is read by the code that moves the thing, by the tests that hold the Lua scripts and PHP to
it, and by ``docs/states.md``, which draws it.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

State = TypeVar("State", bound=StrEnum)


class Transition(NamedTuple, Generic[State]):
    """``before`` None: it begins; ``after`` None: it is gone. ``by``: the script, the action or the
    mode change that does it."""

    before: State | None
    after: State | None
    by: str


class Transitions(Generic[State]):
    """All transitions that are allowed. What is not listed is refused or passed over."""

    def __init__(self, *allowed: tuple[State | None, State | None, str]) -> None:
        self._allowed = [Transition(*one) for one in allowed]

    def __iter__(self) -> Iterator[Transition[State]]:
        return iter(self._allowed)

    def allows(self, before: State | None, after: State | None) -> bool:
        """Tell whether anything may move it so."""
        return any(one[:2] == (before, after) for one in self._allowed)

    def after(self, before: State | None, by: str) -> State | None:
        """Return what ``by`` makes of a state; None if it may not."""
        found = [one.after for one in self._allowed if (one.before, one.by) == (before, by)]
        return found[0] if found else None

    def made_by(self, by: str) -> set[tuple[str, str]]:
        """Return what one script or action may do, as pairs of names."""
        return {(name(one.before), name(one.after)) for one in self._allowed if one.by == by}

    def diagram(self) -> str:
        """Return the table as a Mermaid state diagram."""
        labels: dict[tuple[State | None, State | None], list[str]] = {}
        for before, after, by in self._allowed:
            labels.setdefault((before, after), []).append(by)
        lines = [
            f"    {_drawn(before)} --> {_drawn(after)}: {', '.join(by)}"
            for (before, after), by in labels.items()
        ]
        return "\n".join(["stateDiagram-v2", *lines])


def name(state: StrEnum | None) -> str:
    """Return how Lua headers and diagrams call a state. ``none``: before it begins, or gone."""
    return "none" if state is None else state.name.lower()


def _drawn(state: StrEnum | None) -> str:
    return "[*]" if state is None else name(state)
