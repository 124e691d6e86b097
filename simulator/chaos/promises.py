"""What a fault must not do, beside losing or doubling something."""

from collections.abc import Iterator
from typing import NamedTuple

from contracts.backend import QueueStatus
from simulator.chaos.evidence import Evidence
from simulator.chaos.outages import DOWN

#: What the Cloud API says of a message that nobody can send.
_FINAL = ("131026", "130472", "131047", "131049")
#: What is said of rows that need not be sent: by PHP, and because of what came of an earlier one.
_SPARED = ("the contact has opted out", "the recipient had this error")


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
