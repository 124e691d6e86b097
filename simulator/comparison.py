"""What arrived where: the Cloud API's own account against the backend's tables."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from contracts.cloud_api.webhook import higher_status
from simulator.tables import Tables

#: Statuses that the simulator sends, which every message of the demo gets.
STATUSES = ("sent", "delivered", "read", "failed")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Counts of one campaign and of the customers' messages beside it.

    ``accepted``: by the Cloud API. ``settled``: the queue's row is gone and the log has the
    message under the API's id. A status counts as applied when its message ended in its state or
    a higher one. ``lost``: accepted messages without a log row, acknowledged statuses that were
    not applied, acknowledged customers' messages that were not logged.
    """

    messages: int
    accepted: int
    settled: int
    statuses_received: int
    statuses_applied: int
    replies_received: int
    replies_applied: int
    sent_twice: int
    lost: int

    @property
    def differences(self) -> list[str]:
        """Return what does not fit, in words; empty if everything arrived once."""
        pairs = {
            "messages and accepted": (self.messages, self.accepted),
            "accepted and settled": (self.accepted, self.settled),
            "statuses received and applied": (self.statuses_received, self.statuses_applied),
            "replies received and applied": (self.replies_received, self.replies_applied),
            "sent twice and nothing": (self.sent_twice, 0),
            "lost and nothing": (self.lost, 0),
        }
        return [f"{what}: {a} != {b}" for what, (a, b) in pairs.items() if a != b]

    def as_dict(self) -> dict[str, int]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def compare(
    tables: Tables,
    messages: int,
    accepted: Iterable[dict[str, Any]],
    inbound: Iterable[dict[str, Any]],
) -> Comparison:
    """Compare the backend's tables with the simulator's ``/_simulator/messages`` and
    ``/_simulator/inbound``."""
    logged: dict[str, list[str | None]] = {}
    for row in tables.outgoing_messages():
        if row.wamid is not None:  # else it was not sent
            logged.setdefault(row.wamid, []).append(row.status)
    sent = list(accepted)
    received = applied = lost = known = 0
    for message in sent:
        statuses = [name for name, acked in message["statuses"].items() if acked]
        received += len(statuses)
        if message["wamid"] not in logged:
            lost += 1 + len(statuses)
            continue
        known += 1
        for status in statuses:
            if is_applied(status, logged[message["wamid"]][0]):
                applied += 1
            else:
                lost += 1
    replies = [reply["wamid"] for reply in inbound if reply["acknowledged"]]
    kept = tables.incoming_wamids()
    replies_applied = len(set(replies) & set(kept))
    doubles = sum(len(rows) - 1 for rows in logged.values()) + len(kept) - len(set(kept))
    rows_left = tables.counts().queued_rows
    return Comparison(
        messages=messages,
        accepted=len(sent),
        settled=min(known, messages - rows_left),
        statuses_received=received,
        statuses_applied=applied,
        replies_received=len(replies),
        replies_applied=replies_applied,
        sent_twice=sum(m["accepts"] - 1 for m in {m["callback_data"]: m for m in sent}.values())
        + doubles,
        lost=lost + len(replies) - replies_applied,
    )


def is_applied(status: str, state: str | None) -> bool:
    """Tell whether a message in this state has had that status."""
    return state == status or not higher_status(state, status)


def statuses_applied(outgoing: dict[str, int]) -> int:
    """Return how many statuses are in the log, from its rows by status; each higher one stands
    for those below it."""
    below = {"sent": 1, "delivered": 2, "read": 3, "failed": 1}
    return sum(below.get(status, 0) * count for status, count in outgoing.items())
