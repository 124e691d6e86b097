"""``sidecar parity`` in words, and as JSON."""

from collections.abc import Iterator
from typing import Any

from sidecar.clock import utc_text
from sidecar.settings import Settings
from sidecar.shadow.differences import DID, by_rule, example_text
from sidecar.shadow.parity import VendorParity
from sidecar.shadow.rules import SENTENCES, UNEXPLAINED, Class, Kind, Rule

#: Examples of each kind and class that are shown; the others are in the JSON.
MAX_SHOWN = 3


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
            for rule, count in by_rule(parity).items()
        },
        "examples": [{**one, "words": example_text(one)} for one in parity.examples],
        "webhooks": {"recorded": parity.recorded, "dropped": parity.dropped},
        "not_compared": parity.not_compared,
        "waiting": parity.waiting,
    }


#: The columns of a list of vendors.
NAMES = ("VENDOR", "READY", *(class_.upper() for class_ in Class), "WHY NOT")


def row(parity: VendorParity, settings: Settings) -> tuple[str, ...]:
    """Return one vendor's row below :data:`NAMES`."""
    obstacles = parity.obstacles(settings)
    counts = (f"{parity.total(class_=class_):,}" for class_ in Class)
    return (parity.vendor_uid, "no" if obstacles else "yes", *counts, "; ".join(obstacles))


def render(parity: VendorParity, settings: Settings) -> str:
    """Return one vendor's results for a person."""
    obstacles = parity.obstacles(settings)
    verdict = "ready" if not obstacles else f"not ready: {'; '.join(obstacles)}"
    lines = [f"{parity.vendor_uid}: {verdict}", *_totals(parity), *_kinds(parity)]
    if rules := by_rule(parity):
        lines.append("explained by")
        lines += [f"  {rule} ({count}): {SENTENCES[rule]}" for rule, count in rules.items()]
    lines += _differences(parity)
    return "\n  ".join(lines)


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


def _kinds(parity: VendorParity) -> Iterator[str]:
    for kind in Kind:
        counts = [f"{class_} {parity.total(kind=kind, class_=class_)}" for class_ in Class]
        yield f"{kind}: {', '.join(counts)}"
    blind = parity.rules.get((Kind.BOTS, Rule.PHP_CANNOT_TELL_BOTS), 0)
    if blind and blind == parity.total(kind=Kind.BOTS):
        yield "NOTE: no bots were compared, because PHP cannot tell which ones answered"


def _differences(parity: VendorParity) -> Iterator[str]:
    for kind in Kind:
        for class_ in UNEXPLAINED:
            count = parity.total(kind=kind, class_=class_)
            if not count:
                continue
            yield f"{kind} {class_} ({count}): {DID[class_]}"
            mine = [
                one
                for one in parity.examples
                if (one["kind"], one["class"]) == (kind.value, class_.value)
            ]
            yield from (f"  {example_text(one)}" for one in mine[:MAX_SHOWN])
