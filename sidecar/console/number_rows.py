"""Numbers as the page lists them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sidecar.ops.numbers import Line, why_text
from sidecar.sending.numbers import NumberState, number_of


@dataclass(frozen=True, slots=True)
class NumberRow:
    """``line`` is its name in Redis; ``state`` None: nobody has asked for slots of it lately.
    ``holds``: what a person may lift of it, each as ``scope:name``."""

    line: str
    number: str
    vendor_uid: str | None
    state: NumberState | None
    holds: tuple[str, ...]

    @property
    def word(self) -> str:
        """How it stands, in a word."""
        state = self.state
        if state is None:
            return "idle"
        if state.paused is not None:
            return "paused"
        if state.outage is not None:
            return "no answer"
        if state.holds:
            return "held"
        if state.reason:
            return "slow"
        return "idle" if state.idle else "full rate"

    @property
    def trouble(self) -> bool:
        return self.word not in ("idle", "full rate")

    @property
    def text(self) -> str:
        """Why it is slow or silent, and until when; to be read behind the word."""
        return "" if self.state is None else why_text(self.state)

    def named(self, find: str, titles: Mapping[str, str]) -> bool:
        """Tell whether a text stands in its number, or in its vendor's uid or title."""
        texts = (self.number, self.vendor_uid, titles.get(self.vendor_uid or ""))
        return any(find.lower() in (text or "").lower() for text in texts)


def rows_of(lines: Iterable[Line]) -> list[NumberRow]:
    """Return rows, those in trouble first."""
    rows = [NumberRow(line, *number_of(line), state, _holds(line, state)) for line, state in lines]
    return sorted(rows, key=lambda row: (not row.trouble, row.vendor_uid or "", row.number))


def _holds(line: str, state: NumberState | None) -> tuple[str, ...]:
    if state is None:
        return ()
    slowed = state.effective_rate < state.configured_rate
    held = (
        ("number", line, state.held or state.outage or slowed),
        ("account", state.account, state.account_held),
        ("app", state.app, state.app_held),
    )
    return tuple(f"{scope}:{name}" for scope, name, is_held in held if is_held)
