"""What a fault must not do, beside losing or doubling something."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from contracts.backend import QueueStatus
from simulator.chaos.evidence import Evidence
from simulator.chaos.outages import DOWN

#: What the Cloud API says of a message that nobody can send.
_FINAL = ("131026", "130472", "131047", "131049")
#: What is said of rows that need not be sent: by PHP, and because of what came of an earlier one.
_SPARED = ("the contact has opted out", "the recipient had this error")

#: A rate that was announced is in force after so many seconds. What was under way by then, and what
#: others of the round's faults have held up, comes late: so much of it, in seconds of sending.
_IN_FORCE_S = 1.0
_LATE_S = 1.0


class Broken(NamedTuple):
    """As :class:`simulator.chaos.verdict.Violation`."""

    promise: str
    subject: str
    what: str


def broken_by_faults(evidence: Evidence) -> Iterator[Broken]:
    """Yield what breaks one of these promises."""
    yield from _failed(evidence)
    yield from _opted_out(evidence)
    yield from _untold(evidence)
    yield from _forwarded(evidence)
    yield from _too_fast(evidence)
    yield from _too_slow(evidence)
    for wamid in evidence.fetching:
        yield Broken("stuck", wamid, "its media was neither fetched nor given up")


def _failed(evidence: Evidence) -> Iterator[Broken]:
    """Find rows that have failed though the Cloud API has not refused them for good."""
    sent = {message["callback_data"] for message in evidence.messages}
    refused = {m["callback_data"] for m in evidence.mishaps if m["what"] in _FINAL}
    for row in evidence.queue.values():
        if row.status != QueueStatus.ERROR or row.uid in refused | sent:
            continue
        if not any(words in (row.error or "") for words in _SPARED):
            yield Broken("failed_unexplained", row.uid, f"has failed: {row.error}")


def _opted_out(evidence: Evidence) -> Iterator[Broken]:
    sent = {message["callback_data"] for message in evidence.messages}
    for one in evidence.injected:
        for uid in sent.intersection(one.rows):
            yield Broken("sent_to_opted_out", uid, "was sent after its contact had opted out")


def _untold(evidence: Evidence) -> Iterator[Broken]:
    """Find outages that `sidecar status` has not named, or names still."""
    for one in evidence.injected:
        if one.named is False:
            yield Broken("untold", str(one.fault), "was not named while it was so")
    if DOWN in evidence.problems:
        yield Broken("untold", DOWN, "is named still, and nothing is down")


def _forwarded(evidence: Evidence) -> Iterator[Broken]:
    if (forwarded := evidence.forwarded) is None:
        return
    for wamid in set(evidence.incoming):
        if forwarded[wamid] != 1:
            yield Broken("forwarded_wrongly", wamid, f"was forwarded {forwarded[wamid]} times")


def _too_fast(evidence: Evidence) -> Iterator[Broken]:
    """Find numbers whose rate was changed and that have sent more since."""
    held = sum(one.calls for one in evidence.injected)
    for one in evidence.injected:
        since = one.ended_at + _IN_FORCE_S
        times = [m["accepted_at"] / 1000 for m in evidence.messages if _is_from(m, one.number)]
        sent = [at for at in times if at > since]
        seconds = max(sent, default=since) - since + _LATE_S
        if len(sent) > one.per_s * seconds + held:
            what = f"sent {len(sent)} in {seconds:.1f} s at {one.per_s}/s"
            yield Broken("too_fast", one.number, what)


def recovery(evidence: Evidence) -> dict[str, float | None]:
    """Return how many seconds after the primary had gone there was another one, the sidecar took a
    webhook, and a message was sent, None if never; nothing in a round without a failover."""
    found: dict[str, float | None] = {}
    for one in evidence.injected:
        if (switched_at := one.switched_at) is not None:
            sent = [m["accepted_at"] / 1000 for m in evidence.messages]
            send_at = min((at for at in sent if at > switched_at), default=None)
            times = {"failover": switched_at, "webhook": one.webhook_at, "send": send_at}
            found = {
                f"{name}_after_s": None if at is None else round(at - one.began_at, 1)
                for name, at in times.items()
            }
    return found


def _too_slow(evidence: Evidence) -> Iterator[Broken]:
    allowed_s = max((one.recovery_s for one in evidence.injected), default=0.0)
    for name, seconds in recovery(evidence).items():
        if seconds is None or seconds > allowed_s:
            yield Broken("too_slow", name, f"was {seconds} s")


def _is_from(message: dict[str, Any], number: str) -> bool:
    return bool(number) and message["phone_number_id"] == number
