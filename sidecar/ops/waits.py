"""Customers' messages that wait for too long, and why, in plain words."""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from contracts.jobs import Lane
from sidecar.clock import utc_text
from sidecar.inbox.partitions import drain_leases
from sidecar.ops.snapshot import Overview
from sidecar.php.reasons import scrub
from sidecar.redis import keys
from sidecar.redis.client import Redis, script

#: A customer's message that has waited for longer since it was acknowledged is named.
WAIT_S = 10.0

#: What is inspected: vendors with webhooks and entries of each; order keys from each end of the
#: index, and updates of each; bytes of either.
MAX_HEADS = 500
MAX_ENTRIES = 5
MAX_ORDER_KEYS = 1000
MAX_UPDATES = 5
MAX_BYTES = 8 * 1024 * 1024
#: Maximum vendors with messages that wait for a retry, the longest waiting first.
MAX_VENDORS = 100

_LANE = Lane.MESSAGES


class Where(StrEnum):
    """Where a message waits."""

    INBOX = "inbox"
    RETRY = "retry"
    BEHIND = "behind"


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """The customer's message of a vendor that has waited for longest, in the inbox or for a retry.
    PHP has been asked ``attempts`` times about it, or about the one that it is behind.
    ``contacts`` have messages that wait for a retry for too long."""

    vendor_uid: str
    where: Where
    waited_s: float
    attempts: int
    reason: str
    contacts: int = 0
    wamid: str | None = None


class _Update(msgspec.Struct):
    """Of a deferred update, what tells why it waits."""

    kind: str | None = None
    wamid: str | None = None
    attempts: int = 0
    reason: str | None = None


async def read_waiting_messages(redis: Redis, overview: Overview) -> list[WaitingMessage]:
    """Return the messages that have waited for longer than :data:`WAIT_S`, the longest waiting
    first."""
    inbox, deferred = await script(redis, "inbox/late_messages")(
        keys=[keys.ready(_LANE), keys.deferred(_LANE)],
        args=[
            *(keys.inbox(_LANE, ""), overview.now - int(1000 * WAIT_S)),
            *(MAX_HEADS, MAX_ENTRIES, MAX_ORDER_KEYS, MAX_UPDATES, MAX_BYTES, MAX_VENDORS),
        ],
    )
    found = [
        WaitingMessage(
            vendor := name.decode(),
            Where.INBOX,
            _seconds(overview, at),
            0,
            not_asked(overview, _LANE, vendor),
        )
        for name, at in zip(inbox[::2], inbox[1::2], strict=True)
    ]
    parts = (deferred[number::6] for number in range(6))
    for name, at, place, contacts, message, first in zip(*parts, strict=True):
        found.append(_deferred(overview, name.decode(), at, place, contacts, message, first))
    return sorted(found, key=lambda one: -one.waited_s)


def _deferred(
    overview: Overview,
    vendor_uid: str,
    at: bytes,
    place: int,
    contacts: int,
    message: bytes,
    first: bytes,
) -> WaitingMessage:
    front = msgspec.json.decode(first, type=_Update)
    reason = _asked(front) if front.attempts else not_asked(overview, _LANE, vendor_uid)
    if place:
        what = "a message" if front.kind == "message" else "an update"
        refused = "that PHP refuses" if front.attempts else "that waits"
        reason = f"behind {what} {refused}, of the same contact; of that one: {reason}"
    return WaitingMessage(
        vendor_uid,
        Where.BEHIND if place else Where.RETRY,
        _seconds(overview, at),
        front.attempts,
        reason,
        contacts,
        msgspec.json.decode(message, type=_Update).wamid,
    )


def _asked(update: _Update) -> str:
    """Return why PHP did not take an update that it was asked to."""
    reason = scrub(update.reason or "no reason given")
    # It begins so where there was no answer about the update (sidecar/php/client.py).
    return f"PHP fails on it: {reason}" if reason.startswith("/") else f"PHP answers: {reason}"


def not_asked(overview: Overview, lane: Lane, vendor_uid: str) -> str:
    """Return why PHP was not asked about a vendor's updates, or has not answered yet."""
    if not any(lane in process.queues for process in overview.alive):
        return f"no worker is running for {lane}"
    if reason := overview.isolated.get((lane, vendor_uid)):
        since = overview.isolated_since(lane, vendor_uid)
        when = "" if since is None else f" since {utc_text(since)}"
        return f"the vendor is isolated{when}, because PHP fails or hangs on its updates: {reason}"
    if reason := overview.breakers.get(lane):
        ok_s = overview.backend_ok_s
        since_ok = "yet" if ok_s is None else f"since {utc_text(_before(overview, ok_s))}"
        return f"PHP has not been reached {since_ok}: {reason}"
    if not any(map(overview.holder, drain_leases(lane))):
        return "no worker has begun with it"
    return "the worker is busy with what came before it, or PHP is slow to answer"


def _before(overview: Overview, seconds: float) -> int:
    return overview.now - int(1000 * seconds)


def _seconds(overview: Overview, at: bytes) -> float:
    return max(0, overview.now - int(at)) / 1000
