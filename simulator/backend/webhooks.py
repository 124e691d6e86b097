"""``process-webhooks`` and ``process-webhook``: updates are applied one by one, in one transaction.

A fault in one update undoes that one alone, and asks for it again.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import structlog

from contracts.backend import ProcessWebhooksRequest, Update, UpdateKind
from simulator.backend.changes import apply_change
from simulator.backend.effects import announcements
from simulator.backend.envelope import Part, split
from simulator.backend.faults import UpdatePoisoned
from simulator.backend.incoming import apply_echo, apply_message
from simulator.backend.jsontext import read
from simulator.backend.outcome import Outcome, failed, ignored
from simulator.backend.statuses import apply_status
from simulator.backend.vendors import Vendor
from simulator.backend.work import Work

logger = structlog.get_logger(__name__)


def process_webhooks(work: Work, request: ProcessWebhooksRequest) -> dict[str, Any]:
    """Apply a batch of updates, and answer for each."""
    work.vendors.load(list({update.vendor_uid for update in request.updates}))
    _count_messages(work, (update.kind for update in request.updates))
    results = []
    stuck: set[str] = set()
    for update in request.updates:
        if update.order in stuck:
            outcome = _count(work, update.kind, Outcome("retry", "behind_another"))
        else:
            outcome = _process(work, update)
        if update.order is not None and outcome.result == "retry":
            stuck.add(update.order)
        results.append({"id": update.id, **outcome.as_json()})
    return {"results": results}


def _process(work: Work, update: Update) -> Outcome:
    part = next(split(update.payload), None)
    if part is None or part.kind is not update.kind:
        return _count(work, update.kind, ignored("payload_without_update"))
    return _guarded(work, update.vendor_uid, part, update)


def process_webhook(work: Work, vendor_uid: str, body: bytes) -> dict[str, Any]:
    """Apply one raw webhook, whatever its bytes are; refused if there is no such vendor.

    ``retry`` if any of its updates is to be brought again: the others are not done twice. Its
    answer has no place for effects, so bots do not answer, and nothing is forwarded.
    """
    work.vendors.get(vendor_uid)
    outcome = _process_raw(work, vendor_uid, body)
    work.report.raw_webhooks[f"{outcome.result}:{outcome.reason or ''}".rstrip(":")] += 1
    return outcome.as_json()


def _process_raw(work: Work, vendor_uid: str, body: bytes) -> Outcome:
    try:
        webhook = read(body)
    except ValueError:
        return ignored("body_not_json")
    if not isinstance(webhook, dict) or not isinstance(webhook.get("entry"), list):
        return ignored("body_not_a_webhook")
    parts = list(split(webhook))
    if not parts:
        return ignored("webhook_without_updates")
    _count_messages(work, (part.kind for part in parts))
    return _together([_guarded(work, vendor_uid, part) for part in parts])


def _together(outcomes: list[Outcome]) -> Outcome:
    """Return the answer for all: the first that has to be retried, or cannot be applied, or was
    done, or was ignored."""
    for result in ("retry", "rejected", "done"):
        for outcome in outcomes:
            if outcome.result == result:
                return outcome
    return outcomes[0]


def _guarded(work: Work, vendor_uid: str, part: Part, update: Update | None = None) -> Outcome:
    """Apply one update so that a fault in it undoes nothing else."""
    try:
        with work.db.savepoint():
            outcome = _apply(work, vendor_uid, part, update)
            work.faults.check_update(part)
    except UpdatePoisoned as fault:
        outcome = Outcome("retry", f"error: {fault}")
    except Exception as error:
        logger.exception("update_failed", kind=part.kind, vendor_uid=vendor_uid)
        outcome = failed(error)
    return _count(work, part.kind, outcome)


def _apply(work: Work, vendor_uid: str, part: Part, update: Update | None) -> Outcome:
    vendor = work.vendors.find(vendor_uid)
    if vendor is None:
        return ignored("vendor_unknown")
    if not vendor.active:
        return ignored("vendor_inactive")
    outcome = _dispatch(work, vendor, part, update)
    if update is None:
        return outcome
    effects = [*outcome.effects, *announcements(vendor, part, update, outcome)]
    return replace(outcome, effects=effects)


def _dispatch(work: Work, vendor: Vendor, part: Part, update: Update | None) -> Outcome:
    if part.kind is UpdateKind.STATUS:
        return apply_status(work, vendor, part, update)
    if part.kind is UpdateKind.MESSAGE:
        return apply_message(work, vendor, part, update)
    if part.kind is UpdateKind.ECHO:
        return apply_echo(work, vendor, part, update)
    return apply_change(work, vendor, part, update)


def _count(work: Work, kind: UpdateKind, outcome: Outcome) -> Outcome:
    work.report.updates[kind.value][outcome.result] += 1
    if outcome.reason is not None:
        work.report.reasons[outcome.reason] += 1
    return outcome


def _count_messages(work: Work, kinds: Iterator[UpdateKind]) -> None:
    if UpdateKind.MESSAGE in set(kinds):
        work.report.calls_with_messages += 1
