"""Differences that shadow has found, in words and side by side."""

from dataclasses import dataclass
from typing import Any

import orjson

from sidecar.clock import utc_text
from sidecar.shadow.parity import VendorParity
from sidecar.shadow.rules import Class, Kind, Rule

#: What a class means.
DID = {
    Class.MISSING: "PHP did it, and the sidecar would not",
    Class.EXTRA: "the sidecar would do it, and PHP did not",
    Class.DIFFERENT: "they do different things",
}


@dataclass(frozen=True, slots=True)
class Side:
    """One value of a difference, as JSON: the sidecar's and PHP's; None where a side has none.
    ``told`` is false where both sides do something, and only one says this of it."""

    name: str
    sidecar: str | None
    php: str | None
    told: bool = True

    @property
    def verdict(self) -> str:
        """Whether the sides agree, in a word."""
        if self.sidecar == self.php:
            return "same"
        return "differs" if self.told else "one side tells"


def sides(example: dict[str, Any]) -> list[Side]:
    """Return a difference value by value; nothing of a side that does nothing."""
    ours, theirs = example["sidecar"], example["php"]
    both = ours is not None and theirs is not None
    return [
        Side(
            name,
            _shown(ours, name),
            _shown(theirs, name),
            told=not both or (name in ours and name in theirs),
        )
        for name in dict.fromkeys([*(ours or {}), *(theirs or {})])
    ]


def _shown(side: dict[str, Any] | None, name: str) -> str | None:
    return orjson.dumps(side[name]).decode() if side is not None and name in side else None


def example_text(example: dict[str, Any]) -> str:
    """Return a difference in words."""
    does = {
        Kind.LOG_ROW: _log_row,
        Kind.STATUS: _status,
        Kind.BOTS: _bots,
        Kind.CAMPAIGN: _campaign,
    }
    words = does.get(example["kind"], _queue_row)
    return (
        f"{example['wamid']} at {utc_text(example['at'])}: "
        f"{words(example['sidecar'], example['php'])}"
    )


def by_rule(parity: VendorParity) -> dict[Rule, int]:
    """Return how many differences each rule explains, the most frequent first."""
    found: dict[Rule, int] = {}
    for (_, rule), count in parity.rules.items():
        found[rule] = found.get(rule, 0) + count
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def _log_row(sidecar: dict[str, Any] | None, php: dict[str, Any] | None) -> str:
    def words(log: dict[str, Any] | None) -> str:
        if log is None:
            return "does not log the message"
        return f"logs it as {'a customer' if log['incoming'] else 'the business'}'s message"

    return f"the sidecar {words(sidecar)}, PHP {words(php)}"


def _status(sidecar: dict[str, Any] | None, php: dict[str, Any] | None) -> str:
    def words(log: dict[str, Any] | None) -> str:
        return "no message" if log is None else (log["status"] or "no status")

    return f"the sidecar would set {words(sidecar)}, PHP has {words(php)}"


def _queue_row(sidecar: dict[str, Any] | None, php: dict[str, Any] | None) -> str:
    status = php and php["queue_status"]
    return (
        "the sidecar removes the campaign's row from the queue, PHP left it there "
        f"with status {status}"
    )


def _campaign(sidecar: dict[str, Any] | None, php: dict[str, Any] | None) -> str:
    def words(side: dict[str, Any] | None) -> str:
        if side is None:
            return "does not send it"
        told = ", ".join(f"{name} {value}" for name, value in side.items() if name != "campaign")
        return f"sends it{f' with {told}' if told else ''}"

    campaign = (sidecar or php or {}).get("campaign")
    return f"of campaign {campaign}: the sidecar {words(sidecar)}, PHP {words(php)}"


def _bots(sidecar: dict[str, Any] | None, php: dict[str, Any] | None) -> str:
    assert sidecar is not None
    length, digest = sidecar["text"] or (0, "")
    types = sidecar["types"]
    ours = [f"{uid} ({types[uid]})" for uid in sidecar["bots"]]
    theirs = None if php is None else [f"{uid} ({types.get(uid, '?')})" for uid in php["bots"]]
    said = "did not log the message" if theirs is None else f"answered with {_list(theirs)}"
    return (
        f"a text of {length} characters ({digest}); the sidecar answers with {_list(ours)}, "
        f"PHP {said}{_only(sidecar['bots'], php)}"
    )


def _only(ours: list[str], php: dict[str, Any] | None) -> str:
    """Name the bots that only one side has."""
    theirs = php["bots"] if php else []
    parts = [
        f"only {who}: {', '.join(bots)}"
        for who, bots in (
            ("the sidecar", [uid for uid in ours if uid not in theirs]),
            ("PHP", [uid for uid in theirs if uid not in ours]),
        )
        if bots
    ]
    return f" ({'; '.join(parts)})" if parts else ""


def _list(bots: list[str]) -> str:
    return ", ".join(bots) or "no bot"
