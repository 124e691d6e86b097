"""How what the sidecar would have done compares with what PHP has done.

PHP's own routine is known (it looks at the first element of each list, lets late statuses overwrite
higher ones, and so on). Where the two differ, the routine is followed with what came here: only if
that ends in what PHP has, the difference is explained, and by the rule that it takes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from contracts.backend import QueueStatus
from contracts.cloud_api.webhook import STATUS_RANK, higher_status
from contracts.observation import Observation
from sidecar.shadow.rules import OF_SIDECAR, Class, Kind, Rule
from workers.shadow.planned import PlannedMessage, ReceivedStatus, is_welcome

#: "Not delivered, to keep the ecosystem healthy": PHP may send the message again.
HEALTHY_ERROR = 131049

#: Rows of the queue that wait for their status.
_AWAITING = (QueueStatus.PROCESSING, QueueStatus.AWAITING_STATUS, QueueStatus.UNKNOWN)

#: Up to here, a status is what the API has answered to the send; no webhook has changed it.
_ANSWERED_RANK = STATUS_RANK["held_for_quality_assessment"]

Payload = dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One planned effect, compared. ``sidecar`` and ``php`` are what either does, None for
    nothing."""

    kind: Kind
    class_: Class
    sidecar: Payload
    php: Payload
    rule: Rule | None = None


def compare(
    planned: PlannedMessage, observation: Observation, *, dropped: bool = False
) -> list[Finding]:
    """Return a finding for each open kind; none for a kind that turns out to be no effect.
    ``dropped``: a webhook of the vendor, perhaps of this message, was not recorded."""
    findings: list[Finding] = []
    for kind in planned.open:
        if kind is Kind.LOG_ROW:
            findings.append(_log_row(planned, observation))
        elif kind is Kind.STATUS:
            findings.append(_status(planned, observation, dropped))
        elif kind is Kind.BOTS:
            findings.append(_bots(planned, observation))
        elif observation.logged and observation.campaign_uid is not None:
            findings.append(_queue_row(planned, observation))
    return findings


# -- the log --


def _log_row(planned: PlannedMessage, observation: Observation) -> Finding:
    sidecar: Payload = None if planned.refused else {"incoming": planned.incoming}
    php: Payload = {"incoming": observation.incoming} if observation.logged else None

    def found(class_: Class, rule: Rule | None = None) -> Finding:
        return Finding(Kind.LOG_ROW, class_, sidecar, php, rule)

    if planned.refused:
        unexplained = php is not None and planned.refused not in OF_SIDECAR
        return found(Class.MISSING) if unexplained else found(Class.EXPLAINED, planned.refused)
    if php is None:
        if not planned.first:
            return found(Class.EXPLAINED, Rule.ONLY_FIRST_ELEMENT)
        return found(Class.EXTRA)
    same = observation.incoming in (None, planned.incoming)
    return found(Class.EQUAL if same else Class.DIFFERENT)


# -- statuses --


def _status(planned: PlannedMessage, observation: Observation, dropped: bool) -> Finding:
    sidecar = planned.highest
    php = {"status": observation.status} if observation.logged else None
    class_, rule = _status_class(planned, observation, dropped)
    return Finding(Kind.STATUS, class_, {"status": sidecar}, php, rule)


def _status_class(
    planned: PlannedMessage, observation: Observation, dropped: bool
) -> tuple[Class, Rule | None]:
    highest = planned.highest
    assert highest is not None
    if not observation.logged:
        requeued = highest == "failed" and _ends_in_healthy_error(planned)
        return Class.EXPLAINED, Rule.REQUEUED if requeued else Rule.MESSAGE_NOT_IN_LOG
    if observation.status == highest:
        return Class.EQUAL, None
    if rule := _explanation(planned, observation.status):
        return Class.EXPLAINED, rule
    if higher_status(highest, observation.status or ""):
        names = {status.name for status in planned.statuses}
        if dropped:
            return Class.EXPLAINED, Rule.WEBHOOK_NOT_RECORDED
        if "sent" not in names:  # it is the first that Meta tells: there were others before
            return Class.EXPLAINED, Rule.STATUS_FROM_BEFORE
        return Class.MISSING, None
    if observation.status is None or STATUS_RANK.get(observation.status, 0) <= _ANSWERED_RANK:
        return Class.EXTRA, None
    return Class.DIFFERENT, None


def _explanation(planned: PlannedMessage, php: str | None) -> Rule | None:
    """Return the rule by which PHP's routine makes this of the statuses that came."""
    all_ = planned.statuses
    if _ends_in(all_, php):
        return Rule.LATE_STATUS_OVERWRITES
    looked_at = [status for status in all_ if status.first]
    if _may_end_in(looked_at, planned, php):
        return Rule.ONLY_FIRST_ELEMENT
    in_time = [status for status in looked_at if not status.early]
    if _may_end_in(in_time, planned, php):
        return Rule.EARLY_STATUS_LOST
    return None


def _ends_in(statuses: Iterable[ReceivedStatus], php: str | None) -> bool:
    """Return whether these statuses, one after another, leave PHP with this one: each overwrites
    the one before, unless that is read."""
    current: str | None = None
    for status in statuses:
        if current != "read":
            current = status.name
    return current == php


def _may_end_in(statuses: list[ReceivedStatus], planned: PlannedMessage, php: str | None) -> bool:
    """Like :func:`_ends_in`; where no status is left, PHP still has what it had before."""
    if statuses:
        return _ends_in(statuses, php)
    return php is None or higher_status(php, planned.highest or "")


def _ends_in_healthy_error(planned: PlannedMessage) -> bool:
    return any(status.code == HEALTHY_ERROR for status in planned.statuses)


def _queue_row(planned: PlannedMessage, observation: Observation) -> Finding:
    awaits = observation.queue_status in _AWAITING
    php = {"awaits_status": awaits, "queue_status": observation.queue_status}
    sidecar = {"awaits_status": False}

    def found(class_: Class, rule: Rule | None = None) -> Finding:
        return Finding(Kind.QUEUE_ROW, class_, sidecar, php, rule)

    if not awaits:
        return found(Class.EQUAL)
    if not any(status.first for status in planned.statuses):
        return found(Class.EXPLAINED, Rule.ONLY_FIRST_ELEMENT)
    if all(status.early for status in planned.statuses if status.first):
        return found(Class.EXPLAINED, Rule.EARLY_STATUS_LOST)
    return found(Class.EXTRA)


# -- bots --


def _bots(planned: PlannedMessage, observation: Observation) -> Finding:
    assert planned.bots is not None
    matched = [uid for uid, _ in planned.bots]
    admitted, rule = _admitted(planned, observation)
    php = observation.bots if observation.logged else None
    sidecar = {"bots": admitted, "types": dict(planned.bots), "text": planned.text}

    def found(class_: Class, rule: Rule | None = None) -> Finding:
        payload = None if php is None else {"bots": php}
        return Finding(Kind.BOTS, class_, sidecar, payload, rule)

    if not observation.logged:
        if not matched:
            return found(Class.EQUAL)
        if not planned.first:
            return found(Class.EXPLAINED, Rule.ONLY_FIRST_ELEMENT)
        return found(Class.EXTRA)
    if php is None:
        return found(Class.EXPLAINED, Rule.PHP_CANNOT_TELL_BOTS)
    if php == matched:
        sidecar["bots"] = matched
        return found(Class.EQUAL)
    if php == admitted:
        return found(Class.EXPLAINED, rule)
    return found(_bots_class(admitted, php))


def _admitted(planned: PlannedMessage, observation: Observation) -> tuple[list[str], Rule]:
    """Return the matched bots that PHP lets answer, and why not the others."""
    assert planned.bots is not None
    if observation.bots_off and not planned.quick_reply:
        return [], Rule.CONTACT_HAS_BOTS_OFF
    first = observation.first_in_24h is True
    admitted = [bot[0] for bot in planned.bots if first or not is_welcome(bot)]
    return admitted, Rule.WELCOME_NEEDS_FIRST_MESSAGE


def _bots_class(sidecar: list[str], php: list[str]) -> Class:
    ours, theirs = set(sidecar), set(php)
    if theirs > ours:
        return Class.MISSING
    return Class.EXTRA if ours > theirs else Class.DIFFERENT
