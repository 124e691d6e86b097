"""``sidecar parity`` in words, and as JSON."""

from collections.abc import Iterator
from typing import Any

from sidecar.clock import utc_text
from sidecar.settings import Settings
from sidecar.shadow.parity import VendorParity
from sidecar.shadow.rules import SENTENCES, UNEXPLAINED, Class, Kind, Rule

#: Examples of each kind and class that are shown; the others are in the JSON.
MAX_SHOWN = 3

#: What this report leaves out.
CAMPAIGNS = "not compared: PHP sends them, and shadow does not plan what the sidecar would send"

_DID = {
    Class.MISSING: "PHP did it, and the sidecar would not",
    Class.EXTRA: "the sidecar would do it, and PHP did not",
    Class.DIFFERENT: "they do different things",
}


def as_json(parity: VendorParity, settings: Settings) -> dict[str, Any]:
    """Return one vendor's results in plain values. Times are unix ms."""
    obstacles = parity.obstacles(settings)
    return {
        "vendor": parity.vendor_uid,
        "ready": not obstacles,
        "obstacles": obstacles,
        "updates": parity.updates,
        "hours": round(parity.hours, 2),
        "first_at": parity.first_at,
        "last_at": parity.last_at,
        "compared": parity.total(),
        **{class_.value: parity.total(class_=class_) for class_ in Class},
        "kinds": {
            kind.value: {class_.value: parity.total(kind=kind, class_=class_) for class_ in Class}
            for kind in Kind
        },
        "rules": {
            rule.value: {"count": count, "sentence": SENTENCES[rule]}
            for rule, count in _by_rule(parity).items()
        },
        "examples": [{**one, "words": example_text(one)} for one in parity.examples],
        "webhooks": {"recorded": parity.recorded, "dropped": parity.dropped},
        "not_compared": parity.not_compared,
        "waiting": parity.waiting,
        "campaigns": CAMPAIGNS,
    }


def render(parity: VendorParity, settings: Settings) -> str:
    """Return one vendor's results for a person."""
    obstacles = parity.obstacles(settings)
    verdict = "ready" if not obstacles else f"not ready: {'; '.join(obstacles)}"
    lines = [f"{parity.vendor_uid}: {verdict}", *_totals(parity), *_kinds(parity)]
    if rules := _by_rule(parity):
        lines.append("explained by")
        lines += [f"  {rule} ({count}): {SENTENCES[rule]}" for rule, count in rules.items()]
    lines += _differences(parity)
    return "\n  ".join(lines)


def example_text(example: dict[str, Any]) -> str:
    """Return a difference in words."""
    does = {Kind.LOG_ROW: _log_row, Kind.STATUS: _status, Kind.BOTS: _bots}
    words = does.get(example["kind"], _queue_row)
    return (
        f"{example['wamid']} at {utc_text(example['at'])}: "
        f"{words(example['sidecar'], example['php'])}"
    )


def _totals(parity: VendorParity) -> Iterator[str]:
    if parity.first_at is None or parity.last_at is None:
        yield "nothing was compared"
    else:
        yield (
            f"{parity.updates} updates compared, from {utc_text(parity.first_at)} "
            f"to {utc_text(parity.last_at)}"
        )
    yield f"webhooks: {parity.recorded} recorded, {parity.dropped} dropped for lack of room"
    yield f"waiting: {parity.waiting}; not compared for lack of a key: {parity.not_compared}"
    yield f"campaigns: {CAMPAIGNS}"


def _kinds(parity: VendorParity) -> Iterator[str]:
    for kind in Kind:
        counts = [f"{class_} {parity.total(kind=kind, class_=class_)}" for class_ in Class]
        yield f"{kind}: {', '.join(counts)}"
    blind = parity.rules.get((Kind.BOTS, Rule.PHP_CANNOT_TELL_BOTS), 0)
    if blind and blind == parity.total(kind=Kind.BOTS):
        yield "NOTE: no bots were compared, because PHP cannot tell which ones answered"


def _by_rule(parity: VendorParity) -> dict[Rule, int]:
    found: dict[Rule, int] = {}
    for (_, rule), count in parity.rules.items():
        found[rule] = found.get(rule, 0) + count
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def _differences(parity: VendorParity) -> Iterator[str]:
    for kind in Kind:
        for class_ in UNEXPLAINED:
            count = parity.total(kind=kind, class_=class_)
            if not count:
                continue
            yield f"{kind} {class_} ({count}): {_DID[class_]}"
            mine = [
                one
                for one in parity.examples
                if (one["kind"], one["class"]) == (kind.value, class_.value)
            ]
            yield from (f"  {example_text(one)}" for one in mine[:MAX_SHOWN])


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
