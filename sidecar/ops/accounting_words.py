"""The accounting's equations in words: what came in, what became of it, and whether that is all."""

from collections.abc import Iterable
from dataclasses import dataclass

from sidecar.ops.accounting import FIRST, Accounting, BalanceCheck

_LEFT = {
    "stored": "kept as dead letters",
    "too_old": "deleted: older than is kept",
    "too_many": "deleted: more than are kept",
    "too_large": "deleted: more bytes than are kept",
    "discarded": "discarded by a person",
}

#: By check: its title, its total, and its parts.
_WORDS: dict[str, tuple[str, str, dict[str, str]]] = {
    "webhooks": (
        "Webhooks",
        "put into the inbox",
        {
            "done": "taken out: each of their updates is settled, or kept elsewhere",
            "waiting": "waiting in the inbox",
        },
    ),
    "updates": (
        "Updates of webhooks",
        "taken out of webhooks",
        {
            "done": "taken by PHP",
            "ignored": "of no use to PHP, or to anybody",
            "duplicate": "duplicates of what PHP has",
            "coalesced": "combined with a higher status of the same message",
            "waiting": "waiting to be tried again",
            "dead": "given up, and made dead letters",
        },
    ),
    "sends": (
        "Messages to be sent",
        "claimed from PHP, or replies that were begun",
        {
            "accepted": "accepted by the Cloud API",
            "failed": "failed for good",
            "requeued": "put back, to be sent later",
            "unknown": "of unknown outcome",
            "released": "given back unsent",
            "in_flight": "in flight: claimed, and PHP does not have the outcome yet",
        },
    ),
    "effects": (
        "Effects",
        "asked for by PHP",
        {
            "done": "carried out",
            "left_out": "left out: too many waited, or too old",
            "dead": "given up, and made dead letters",
            "waiting": "waiting in the outbox",
        },
    ),
    "dead_updates": ("Updates that were given up", "given up", _LEFT),
    "dead_effects": ("Effects that were given up", "given up", _LEFT),
    "inboxes": (
        "Index of the inbox",
        "inboxes listed as not empty",
        {"stored": "inboxes that are not empty"},
    ),
    "deferred": (
        "Count of updates that wait",
        "counted as waiting to be tried again",
        {"stored": "stored to be tried again"},
    ),
    "outbox": ("Index of the outbox", "effects listed", {"stored": "effects stored"}),
    "letters": ("Index of dead letters", "letters listed", {"stored": "letters stored"}),
}


@dataclass(frozen=True, slots=True)
class Term:
    """``count`` of things in words; None: too many to be measured."""

    words: str
    count: int | None


@dataclass(frozen=True, slots=True)
class Equation:
    """``total = terms``. ``difference`` is above 0 for what is missing, below 0 for what came from
    nowhere; None: it cannot be told."""

    title: str
    total: Term
    terms: list[Term]
    difference: int | None

    @property
    def balances(self) -> bool:
        return self.difference == 0

    @property
    def verdict(self) -> str:
        """Whether the sides are equal, in words."""
        if self.difference is None:
            return "cannot be told: too many wait to be measured"
        if not self.difference:
            return "balances"
        return f"{abs(self.difference):,} {'missing' if self.difference > 0 else 'too many'}"


def equations(accounting: Accounting) -> list[Equation]:
    """Return one vendor's."""
    return [_equation(check) for check in accounting.checks]


class Totals:
    """All vendors together, added up some at a time."""

    def __init__(self) -> None:
        self._totals = dict.fromkeys(FIRST, 0)
        self._parts: dict[str, dict[str, int | None]] = {
            name: dict.fromkeys(_WORDS[name][2], 0) for name in FIRST
        }

    def add(self, accounts: Iterable[Accounting]) -> None:
        for check in (check for account in accounts for check in account.checks):
            self._totals[check.name] += check.total
            parts = self._parts[check.name]
            for part, count in check.parts.items():
                so_far = parts[part]
                parts[part] = None if so_far is None or count is None else so_far + count

    def equations(self) -> list[Equation]:
        return [
            _equation(BalanceCheck(name, total, self._parts[name]))
            for name, total in self._totals.items()
        ]


def _equation(check: BalanceCheck) -> Equation:
    title, total, parts = _WORDS[check.name]
    return Equation(
        title,
        Term(total, check.total),
        [Term(parts[name], count) for name, count in check.parts.items()],
        check.difference,
    )
