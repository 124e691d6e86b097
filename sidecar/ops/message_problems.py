"""What is wrong with webhooks and customers' messages: late, refused, or ignored."""

from collections.abc import Iterator

from contracts.jobs import Lane, Queue
from sidecar.format import duration, many
from sidecar.ops.ignored import IgnoredMessages
from sidecar.ops.problem import MAX_NAMED, OVERDUE_S, Code, Problem, unnamed
from sidecar.ops.report import Report
from sidecar.ops.waits import WaitingMessage

#: A webhook that has waited longer is late: customers' messages are handed on at once, statuses
#: after ``status_wait_ms``.
LATE_S = {Lane.MESSAGES: 5.0, Lane.STATUSES: 30.0}

MESSAGE, MESSAGES = "customer's message", "customers' messages"
WHAT = {Lane.MESSAGES: MESSAGES, Lane.STATUSES: "statuses"}

#: Reasons of ignored messages, in plain words.
WORDS = {
    "body_not_a_webhook": "they came in a body that is no webhook of Meta's",
    "body_not_json": "they came in a body that is no JSON",
    "contact_without_id": "nothing says who sent them",
    "message_without_id": "they have no id",
    "payload_without_update": "PHP found no message in what it was given",
    "phone_number_unknown": "they were sent to a number that is not the vendor's",
    "vendor_unknown": "PHP does not know the vendor",
    "webhook_without_updates": "PHP found nothing in their webhooks",
}


def waiting_messages(waiting: list[WaitingMessage]) -> Iterator[Problem]:
    """Return a problem for each vendor with a customer's message that has waited for too long."""
    oldest: dict[str, WaitingMessage] = {}
    for one in waiting:
        oldest.setdefault(one.vendor_uid, one)
    for one in list(oldest.values())[:MAX_NAMED]:
        tried = f" and was tried {_times(one.attempts)}" if one.attempts else ""
        others = f" (messages of {one.contacts:,} contacts wait like this)"
        yield Problem(
            Code.MESSAGE_WAITS,
            f"A customer's message of vendor {one.vendor_uid} has waited for "
            f"{duration(one.waited_s)}{tried}{others if one.contacts > 1 else ''}: {one.reason}",
            "It is safe, and is retried. Fix what the reason says. What PHP keeps refusing holds "
            "those behind it up for a few attempts only, and becomes a dead letter.",
            subject=one.vendor_uid,
        )
    yield from unnamed(
        Code.MESSAGE_WAITS, len(oldest), "Customers' messages of {} more vendors wait for long"
    )


def _times(attempts: int) -> str:
    return "once" if attempts == 1 else f"{attempts:,} times"


def ignored_messages(ignored: list[IgnoredMessages]) -> Iterator[Problem]:
    """Return a problem for each vendor and reason for which customers' messages were ignored."""
    for one in ignored[:MAX_NAMED]:
        reason = f"{one.reason} ({WORDS[one.reason]})" if one.reason in WORDS else one.reason
        yield Problem(
            Code.MESSAGES_IGNORED,
            f"PHP ignored {many(one.count, MESSAGE, MESSAGES)} of vendor {one.vendor_uid} within "
            f"the last hour: {reason}",
            f"sidecar ignored --reason {one.reason} shows the last one.",
            subject=f"{one.vendor_uid}:{one.reason}",
        )
    yield from unnamed(
        Code.MESSAGES_IGNORED, len(ignored), "PHP ignored messages for {} more vendors and reasons"
    )


def lanes(report: Report) -> Iterator[Problem]:
    """Return what is wrong with webhooks that wait."""
    for lane, state in report.overview.lanes.items():
        deferred = report.deferred[lane]
        if state.oldest_s > LATE_S[lane]:
            drained = state.held_s is not None
            who = f"drained by {state.holder or 'somebody'}" if drained else "nobody drains them"
            yield Problem(
                Code.WEBHOOKS_LATE,
                many(
                    state.webhooks,
                    f"webhook with {WHAT[lane]} waits",
                    f"webhooks with {WHAT[lane]} wait",
                )
                + f", the oldest for {duration(state.oldest_s)}; {who}",
                "Start a worker for them: see above."
                if lane.value in missing_queues(report)
                else "If PHP is slow, give it more processes; if a worker's core is busy, give the "
                f"lane a worker of its own: sidecar worker {lane}.",
                subject=lane.value,
            )
        if state.next_due_in_s is not None and state.next_due_in_s < -OVERDUE_S:
            yield Problem(
                Code.RETRIES_OVERDUE,
                f"{state.due:,} of {state.deferred:,} waiting {waiting_unit(lane)} are due, the "
                f"first for {duration(-state.next_due_in_s)}",
                f"Check that a worker runs for {lane} and that PHP answers.",
                subject=lane.value,
            )
        for vendor_uid, reason in list(deferred.refused.items())[:MAX_NAMED]:
            yield Problem(
                Code.UPDATES_REFUSED,
                f"PHP refuses {WHAT[lane]} of vendor {vendor_uid}: {reason}",
                "They are retried, and become dead letters in the end. Check PHP's log.",
                subject=f"{lane.value}:{vendor_uid}",
            )
        yield from unnamed(
            Code.UPDATES_REFUSED,
            len(deferred.refused),
            f"PHP refuses {WHAT[lane]} of {{}} more vendors",
        )
        # Deaths are forgotten with the next commit, and where nothing waits there is none.
        waits = state.webhooks or state.deferred
        if deferred.one_by_one or (deferred.deaths and waits):
            apart = f"; {deferred.one_by_one:,} of them are processed one by one to find the cause"
            yield Problem(
                Code.CRASH_LOOP,
                f"A worker died {_times(deferred.deaths)} on {WHAT[lane]}"
                f"{apart if deferred.one_by_one else ''}",
                "It becomes a dead letter. Check the worker's log for what killed it.",
                subject=lane.value,
            )


def missing_queues(report: Report) -> list[str]:
    """Return the queues without a worker."""
    covered = {queue for process in report.overview.alive for queue in process.queues}
    return [queue.value for queue in Queue if queue.value not in covered]


def waiting_unit(lane: Lane) -> str:
    """Return what an order key of the lane stands for, in words."""
    return "contacts" if lane is Lane.MESSAGES else "messages"
