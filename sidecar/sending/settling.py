"""Settles messages of unknown outcome as a person decides, for the command line and the console."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from contracts.backend import ResolveAction
from sidecar.format import messages
from sidecar.sending.unknown_messages import Choice, UnknownMessages

#: Messages that are settled in one call of PHP.
STEP = 500

_REASONS = {
    "row_unknown": "no such message; if it existed, a status has settled it since",
    "row_not_in_unknown": "its outcome is known by now",
}


@dataclass(frozen=True, slots=True)
class Found:
    """The messages that a choice means, the oldest first, and how many of them each campaign has,
    by its vendor and itself. ``complete``: no others are meant."""

    uids: list[str]
    campaigns: Counter[tuple[str, str]]
    complete: bool = True


@dataclass(slots=True)
class Settled:
    """What was done so far: it is true also while an error ends the work. ``skipped`` counts
    reasons why others were left."""

    count: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


async def find(messages: UnknownMessages, choice: Choice, most: int | None = None) -> Found:
    """Return those that are unknown now, no more than so many. What becomes unknown later is not
    among them. Raises :class:`sidecar.php.client.BackendError`."""
    found = Found([], Counter())
    async for message in messages.all(choice):
        if len(found.uids) == most:
            return Found(found.uids, found.campaigns, complete=False)
        found.uids.append(message.uid)
        found.campaigns[message.vendor_uid, message.campaign_uid or "-"] += 1
    return found


def steps(uids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Return these messages as they are to be settled, some at a time."""
    return (uids[start : start + STEP] for start in range(0, len(uids), STEP))


async def settle(
    messages: UnknownMessages,
    uids: Sequence[str],
    action: ResolveAction,
    reason: str | None,
    settled: Settled,
) -> list[tuple[str, str]]:
    """Have these sent again or given up, and count it in ``settled``. Return which were left, and
    why. May be repeated: what is done is not done again. Raises
    :class:`sidecar.php.client.BackendError`."""
    left = []
    for result in await messages.resolve(uids, action, reason):
        if result.result == "done":
            settled.count += 1
            continue
        why = _REASONS.get(result.reason or "", result.reason or result.result)
        settled.skipped[why] += 1
        left.append((result.id, why))
    return left


def warning(action: ResolveAction, total: int) -> str:
    """Return what a person must know before so many are settled."""
    if action is ResolveAction.RESEND:
        return (
            f"Nobody knows whether {messages(total)} reached the customer."
            " Sending again may deliver it twice."
        )
    return f"{messages(total)} will count as failed. A status that still comes is applied."


def question(action: ResolveAction, total: int) -> str:
    """Return what a person is asked before so many are settled."""
    if action is ResolveAction.RESEND:
        return f"{warning(action, total)} Send again?"
    return f"Count {messages(total)} as failed, and never resend them?"


def outcome(action: ResolveAction, count: int) -> str:
    """Return what became of so many."""
    if action is ResolveAction.RESEND:
        what = "will be resent when the campaign runs, unless it has expired"
        return f"{messages(count)} {what}"
    return f"{messages(count)} given up"
