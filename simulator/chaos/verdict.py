"""Whether a round kept the promises: what was acknowledged against what is there."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any

from contracts.backend import QueueStatus
from contracts.cloud_api.answering import GENUINE_TYPES
from contracts.cloud_api.people import number_forms
from simulator.chaos.evidence import Evidence, QueueRow, Update
from simulator.chaos.fault import Kind
from simulator.chaos.injector import worker_faults
from simulator.chaos.promises import broken_by_faults, recovery
from simulator.cloud_api.outage import OutageShape
from simulator.comparison import is_applied
from simulator.odd_outcome import OddOutcome

#: Faults of the Cloud API after which nobody can tell whether it took the message, though it did
#: not.
_INCONCLUSIVE = ("http_500", "html_500")
#: Rows that may be written down as being sent and not be sent yet when a worker or Redis dies, in
#: seconds of sending, on a machine that has a lot else to do.
_UNDER_WAY_S = 0.4
#: Idle connections that may be given a request at the moment in which they are closed.
_CLOSED_WHILE_USED = 3
_CLOSING = (Kind.REFUSE, Kind.CUT)
#: Messages of each number whose outcome an outage may leave unknown, however long it lasts: each of
#: two workers may have 15 without an answer.
MAX_UNKNOWN_BY_OUTAGE = 30
_OUTAGE = "outage_"
_UNREAD = (OutageShape.RESET, OutageShape.FLAPPING)
#: What the Cloud API answers to a free-form message to who has not written for a day.
_WINDOW_CLOSED = "131047"
#: The others are ``odd_otherwise``.
_ODD_PROMISES = {
    "lost": "odd_lost",
    "twice": "sent_twice",
    "wrongly_answered": "wrongly_answered",
}
#: PHP keeps times to the second.
_CLOCK_S = 1.0


@dataclass(frozen=True, slots=True)
class Violation:
    """``promise`` is a field of :meth:`Verdict.line`; ``subject`` a row, a wamid or a name."""

    promise: str
    subject: str
    what: str


class Verdict:
    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self._wamids_of_rows = {m["callback_data"]: m for m in evidence.messages}
        self._hit = {m["callback_data"] for m in evidence.mishaps if m["what"] in _INCONCLUSIVE}
        self._hit_by_outage = {
            m["callback_data"] for m in evidence.mishaps if m["what"].startswith(_OUTAGE)
        }
        self._outages = sum(one.fault.kind is Kind.OUTAGE for one in evidence.injected)
        self._logged = {row.wamid: row.status for row in evidence.outgoing}
        self._odd = OddOutcome(evidence.odd, exact=False) if evidence.odd is not None else None

    def line(self) -> dict[str, Any]:
        """Return the counts as they are printed."""
        by_promise = Counter(violation.promise for violation in self.violations)
        return {
            "acknowledged": len(self._acknowledged),
            "applied": len(self._acknowledged) - len(self._not_applied),
            "dead_lettered": len(self._dead_lettered),
            "lost": by_promise["lost"],
            "sent": len(self.evidence.messages),
            "replies": sum(row.reply for row in self.evidence.outgoing),
            "sent_twice": by_promise["sent_twice"],
            "stuck": by_promise["stuck"],
            "unknown": len(self._unknown),
            "unknown_unexplained": by_promise["unknown_unexplained"],
            "accounting": not by_promise["accounting"],
            "ended": by_promise["ended"],
            "odd": 0 if self._odd is None else sum(row.uses for row in self._odd.rows.values()),
            "odd_lost": by_promise["odd_lost"],
            "odd_otherwise": by_promise["odd_otherwise"],
            "wrongly_answered": by_promise["wrongly_answered"],
            "failed_unexplained": by_promise["failed_unexplained"],
            "sent_to_opted_out": by_promise["sent_to_opted_out"],
            "untold": by_promise["untold"],
            "too_fast": by_promise["too_fast"],
            "forwarded_wrongly": by_promise["forwarded_wrongly"],
            "too_slow": by_promise["too_slow"],
            **recovery(self.evidence),
        }

    @cached_property
    def violations(self) -> list[Violation]:
        """Return everything that breaks a promise; nothing if the round was clean."""
        evidence = self.evidence
        return [
            *self._lost(),
            *self._lost_rows(),
            *self._sent_twice(),
            *self._stuck(),
            *self._unexplained(),
            *(Violation("accounting", "accounting", what) for what in evidence.differences),
            *(
                Violation("ended", part, f"{part} has ended, or not as it should")
                for part in evidence.ended
            ),
            *self._odd_violations(),
            *self._wrongly_answered(),
            *(Violation(*found) for found in broken_by_faults(evidence)),
        ]

    # -- lost --

    @cached_property
    def _acknowledged(self) -> list[Update]:
        statuses = [
            Update(message["wamid"], status)
            for message in self.evidence.messages
            for status, acknowledged in message["statuses"].items()
            if acknowledged
        ]
        messages = [Update(m["wamid"]) for m in self.evidence.inbound if m["acknowledged"]]
        return statuses + messages

    @cached_property
    def _not_applied(self) -> list[Update]:
        incoming = set(self.evidence.incoming)
        return [
            update
            for update in self._acknowledged
            if not (self._is_applied(update) if update.status else update.wamid in incoming)
        ]

    @cached_property
    def _dead_lettered(self) -> list[Update]:
        """Return what was given up in this round; letters of earlier ones are there still."""
        dead = self.evidence.redis.dead
        return [update for update in self._not_applied if update.wamid in dead]

    def _is_applied(self, update: Update) -> bool:
        logged = update.wamid in self._logged
        return logged and is_applied(update.status, self._logged[update.wamid])

    def _lost(self) -> list[Violation]:
        evidence = self.evidence
        return [
            Violation(
                "lost",
                update.wamid,
                f"{update.status or 'customer message'} was acknowledged; the log has "
                f"{self._logged.get(update.wamid, 'nothing')!r}",
            )
            for update in self._not_applied
            if update not in evidence.pending and update not in self._dead_lettered
        ]

    def _lost_rows(self) -> list[Violation]:
        """Find rows that have left the queue without a message to show for it."""
        logged = {row.row_uid for row in self.evidence.outgoing}
        gone = [uid for uid in self.evidence.seeded if uid not in self.evidence.queue]
        return [
            Violation("lost", uid, "the row is gone, and the log has no message of it")
            for uid in gone
            if uid not in logged
        ]

    # -- sent twice --

    def _sent_twice(self) -> list[Violation]:
        evidence = self.evidence
        counts = [
            ("accepted", Counter(message["callback_data"] for message in evidence.messages)),
            ("stored", Counter(evidence.incoming)),
            ("logged", Counter(row.wamid for row in evidence.outgoing if row.wamid)),
            ("logged", Counter(row.row_uid for row in evidence.outgoing if row.row_uid)),
        ]
        return [
            Violation("sent_twice", str(key), f"{what} {times} times")
            for what, counter in counts
            for key, times in counter.items()
            if times > 1
        ]

    # -- odd payloads, and who must not be answered --

    def _odd_violations(self) -> Iterator[Violation]:
        if self._odd is None:
            return
        for problem in self._odd.problems:
            promise = _ODD_PROMISES.get(problem.promise, "odd_otherwise")
            if promise == "odd_lost" and self._is_elsewhere(problem.mark):
                continue
            what = f"{problem.promise} in {problem.kind}: {problem.what}"
            yield Violation(promise, problem.mark, what)

    def _is_elsewhere(self, wamid: str) -> bool:
        """Tell whether a message is a dead letter, or is in PHP's own webhook table still."""
        evidence = self.evidence
        return wamid in evidence.redis.dead or Update(wamid) in evidence.pending

    def _wrongly_answered(self) -> Iterator[Violation]:
        """Find customers who were sent more than they have asked, and answers that were too
        late."""
        evidence = self.evidence
        odd = {one for use in evidence.odd.uses for one in use["people"]} if evidence.odd else set()
        asked = Counter(m["from"] for m in evidence.inbound if m.get("type") in GENUINE_TYPES)
        told = Counter(
            message["wa_id"] or message["user_id"]
            for message in evidence.messages
            if message.get("type", "template") != "template"
        )
        for customer, times in told.items():
            if times > asked[customer] and not odd & set(number_forms(customer)):
                what = f"got {times} answers to {asked[customer]} messages"
                yield Violation("wrongly_answered", customer, what)
        for mishap in evidence.mishaps:
            if mishap["what"] == _WINDOW_CLOSED:
                yield Violation("wrongly_answered", str(mishap["to"]), "the window was closed")

    # -- stuck --

    def _stuck(self) -> list[Violation]:
        evidence = self.evidence
        redis = evidence.redis
        found = [
            Violation("stuck", row.uid, what)
            for row in evidence.queue.values()
            if (what := self._why_stuck(row))
        ]
        found += [
            Violation("stuck", str(row.row_uid), "a reply that is still to be sent")
            for row in evidence.outgoing
            if row.reply and row.status == "pending"
        ]
        found += [
            Violation("stuck", row_uid, f"in the ledger: {state}")
            for row_uid, state in redis.ledgers.items()
        ]
        found += [Violation("stuck", key, f"left in Redis: {key}") for key in redis.waiting]
        found += [
            Violation("stuck", update.wamid, f"pending in PHP's webhook table: {update.status}")
            for update in evidence.pending
        ]
        if not evidence.rested:
            found.append(Violation("stuck", "round", "something was still to be done in the end"))
        return found

    def _why_stuck(self, row: QueueRow) -> str | None:
        if row.status == QueueStatus.PROCESSING:
            return "in status 3"
        if row.status == QueueStatus.QUEUED and row.due:
            return "in status 1 though due"
        if row.status == QueueStatus.AWAITING_STATUS and row.uid not in self._wamids_of_rows:
            return "in status 4, and the Cloud API never accepted it"
        if row.status != QueueStatus.UNKNOWN and self._has_acknowledged_status(row.uid):
            return f"in status {row.status} although a status of it was acknowledged"
        return None

    def _has_acknowledged_status(self, row_uid: str) -> bool:
        message = self._wamids_of_rows.get(row_uid)
        return message is not None and any(message["statuses"].values())

    # -- unknown --

    @cached_property
    def _unknown(self) -> list[QueueRow]:
        rows = self.evidence.queue.values()
        replies = [
            QueueRow(str(row.row_uid), QueueStatus.UNKNOWN, False, row.changed_at, row.error)
            for row in self.evidence.outgoing
            if row.reply and row.status == "unknown"
        ]
        return [*(row for row in rows if row.status == QueueStatus.UNKNOWN), *replies]

    def _unexplained(self) -> list[Violation]:
        found = []
        by_death = []
        by_outage = self._outages * self.evidence.numbers * MAX_UNKNOWN_BY_OUTAGE
        for row in self._unknown:
            if self._has_acknowledged_status(row.uid):
                found.append(self._not_explained(row, "but a status of it was acknowledged"))
            elif row.uid in self._hit_by_outage and by_outage > 0:
                by_outage -= 1
            elif row.uid in self._hit_by_outage:
                found.append(self._not_explained(row, "and the outage has cost enough"))
            elif row.uid not in self._hit and row.uid not in self._wamids_of_rows:
                by_death.append(row)
        by_death.sort(key=lambda row: row.changed_at)
        room = self._explicable()
        for row in by_death:
            if room <= 0 or row.changed_at < self._first_death - _CLOCK_S:
                found.append(self._not_explained(row, "and no fault of the round explains it"))
            room -= 1
        return found

    @staticmethod
    def _not_explained(row: QueueRow, why: str) -> Violation:
        return Violation("unknown_unexplained", row.uid, f"in status 6 ({row.error}), {why}")

    def _explicable(self) -> int:
        """Return how many rows the round's faults may have made unknown, beside those that the
        Cloud API itself was told to answer with nothing conclusive."""
        injected = self.evidence.injected
        dead = ceil(len(worker_faults(injected)) * self.evidence.rate * _UNDER_WAY_S)
        closed = sum(one.fault.kind in _CLOSING for one in injected) * _CLOSED_WHILE_USED
        held = sum(one.calls for one in injected if one.fault.kind is not Kind.OUTAGE)
        # A connection that is reset before anything is read leaves no name of a row.
        reset = sum(
            min(one.calls, MAX_UNKNOWN_BY_OUTAGE) for one in injected if one.fault.target in _UNREAD
        )
        return dead + closed + held + reset

    @property
    def _first_death(self) -> float:
        injected = self.evidence.injected
        explaining = [
            *worker_faults(injected),
            *(o for o in injected if o.fault.kind in (*_CLOSING, Kind.STALL, Kind.OUTAGE)),
        ]
        return min((one.began_at for one in explaining), default=float("inf"))
