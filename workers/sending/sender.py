"""Sending one row, and acting on how it ended."""

import time
from contextlib import suppress
from typing import Protocol

from contracts.backend import SendError, SendOutcome, SendResult
from sidecar.clock import now_ms
from sidecar.logs import LogOnce
from sidecar.redis.client import AnyRedisError
from sidecar.sending.campaigns import ErrorPath
from sidecar.spans import SPANS, Span, SpanKind, named, new_span, since
from workers.sending.cloud_api import (
    Accepted,
    Attempt,
    CloudApi,
    ErrorAnswer,
    NotSent,
    Prepared,
    Unsendable,
    message_body,
)
from workers.sending.endpoint import Endpoints, concluded_at
from workers.sending.error_actions import ErrorActions, Failure
from workers.sending.error_policy import Decision, decide, reason_of
from workers.sending.holds import Scope
from workers.sending.ledger import Ledger
from workers.sending.limiter import Limiter
from workers.sending.limits import Limits
from workers.sending.line_health import Call
from workers.sending.outages import SPARED_S
from workers.sending.recheck import may_be_outdated
from workers.sending.send_config import SendConfig, Way
from workers.sending.send_queue import ClaimedSend


class Outlet(Protocol):
    """Where a row goes after an attempt. ``report`` takes how it ended; ``put_back`` one that is to
    be tried again here, and the number that its slot was of; ``give_back`` one that returns to
    where it came from, ``postpone`` one that comes again after so many seconds, without an attempt
    counted. ``pause``: nothing is to be sent until a person acts; ``rest``: for a while.
    ``holding``: nothing is to be sent just now; ``stopped``: nothing is sent any more, because of
    the campaign's errors or a person. ``explains`` tells whether a refused row goes again
    (``recheck.py``)."""

    @property
    def holding(self) -> bool: ...
    @property
    def stopped(self) -> bool: ...
    async def explains(self, row: ClaimedSend, way: Way, sent_at: float) -> bool: ...
    def report(self, result: SendResult) -> None: ...
    def put_back(self, row: ClaimedSend, number: str) -> None: ...
    def give_back(self, row: ClaimedSend) -> None: ...
    def postpone(self, row: ClaimedSend, wait_s: float, reason: str | None = None) -> None: ...
    def pause(self, reason: str) -> None: ...
    def rest(self) -> None: ...


class Sender:
    """Sends rows, each once it has a slot."""

    def __init__(
        self,
        cloud_api: CloudApi,
        limiter: Limiter,
        ledger: Ledger,
        error_actions: ErrorActions,
        config: SendConfig,
        outlet: Outlet,
    ) -> None:
        self._cloud_api = cloud_api
        self._limiter = limiter
        self._outages = limiter.outages
        self._ledger = ledger
        self._error_actions = error_actions
        self._config = config
        self._outlet = outlet
        self._endpoints = Endpoints(config)
        #: Errors in a row may be counted, of this run or an earlier one.
        self._errors_counted = True
        self._outage = LogOnce("messages.not_sent", vendor=config.vendor_uid, campaign=config.name)

    def prepare(self, row: ClaimedSend) -> Prepared | None:
        """Make the body of a row's call before its slot. What is amiss with it, or has changed by
        then, shows when it is sent."""
        policy = self._endpoints.of(row.row).policy
        try:
            return Prepared(policy, message_body(row.row, policy))
        except Unsendable:
            return None

    async def send(
        self, row: ClaimedSend, limits: Limits, prepared: Prepared | None = None
    ) -> None:
        """Send a row from a number, and see to what follows."""
        try:
            await self._send(row, limits, prepared)
        finally:
            await self._outages.not_made(limits.line, row.uid)

    async def _send(self, row: ClaimedSend, limits: Limits, prepared: Prepared | None) -> None:
        way = self._config.way_of(row)
        if not self._config.vendor.active:
            await self._give_back(row)
            return
        if way.number != limits.number or self._outlet.holding:
            await self._return(row, limits.number)
            return
        if not way.number or not way.access_token:
            what = "access token" if way.number else "sending number"
            await self._without(row, way, f"the vendor has no {what}")
            return
        endpoint = self._endpoints.of(row.row)
        try:
            if prepared is not None and prepared.policy == endpoint.policy:
                body = prepared.body
            else:
                body = message_body(row.row, endpoint.policy)
        except Unsendable as error:
            failed = Decision(SendOutcome.FAILED, SendError(code=None, message=str(error)))
            self._outlet.report(self._result(row, way.number, None, failed))
            return
        began_at, sent_at = time.monotonic(), self._limiter.clock.now()
        call = self._outages.began(limits.line, row.uid)
        try:
            attempt = await self._cloud_api.send(way.number, way.access_token, body, endpoint.path)
        finally:
            self._outages.over(call)
        self._record_span(row, began_at, attempt)
        if await self._outages.ended(call, attempt) and await self._is_spared(row, call, attempt):
            return
        if self._endpoints.other_than(row.row, endpoint, attempt):
            await self._return(row, limits.number)
            return
        attempt = concluded_at(endpoint, attempt)
        decision = decide(row.row, attempt)
        if may_be_outdated(decision):
            await self._note_refused(row)
            if await self._outlet.explains(row, way, began_at):
                await self._return(row, limits.number)
                return
        await self._conclude(row, attempt, decision, way.number, sent_at)

    def _record_span(self, row: ClaimedSend, began_at: float, attempt: Attempt) -> None:
        """Record a call. Statuses refer to the one that has sent the message, or may have."""
        ids = SPANS.ids_of(row.uid)
        if ids is None:
            return
        failed = isinstance(attempt, NotSent | ErrorAnswer)
        claim = named(row.claim_uid)._replace(trace=named(self._config.name).trace)
        SPANS.add(
            Span(
                "send",
                ids._replace(span=new_span()) if failed else ids,
                *since(time.monotonic() - began_at),
                SpanKind.CLIENT,
                attributes={"vendor": self._config.vendor_uid, "row": row.uid},
                links=[claim] if row.claim_uid else (),
                error="" if isinstance(attempt, Accepted) else type(attempt).__name__,
            )
        )

    async def _is_spared(self, row: ClaimedSend, call: Call, attempt: Attempt) -> bool:
        """Have a row that was refused because of an outage come again later, without an attempt
        counted."""
        await self._note_refused(row)
        if not await self._outages.caused(call):
            return False
        assert isinstance(attempt, ErrorAnswer)
        self._outlet.postpone(row, SPARED_S, reason_of(attempt.error))
        return True

    async def _note_refused(self, row: ClaimedSend) -> None:
        """Have the ledger know that a row was not sent, before something that may take a moment. It
        is written once more after that, so here it may fail."""
        with suppress(*AnyRedisError):
            await self._ledger.not_sent([row])

    async def _without(self, row: ClaimedSend, way: Way, reason: str) -> None:
        if await self._outlet.explains(row, way, time.monotonic()):
            await self._return(row, way.number)
        else:
            self._outlet.pause(reason)
            self._outlet.give_back(row)

    async def _return(self, row: ClaimedSend, number: str) -> None:
        """Have a row go again that had a slot of this number and was certainly not sent."""
        try:
            await self._ledger.not_sent([row])
        finally:
            self._outlet.put_back(row, number)

    async def _give_back(self, row: ClaimedSend) -> None:
        """Have a row go back to where it came from: it was certainly not sent."""
        try:
            await self._ledger.not_sent([row])
        finally:
            self._outlet.give_back(row)

    async def _conclude(
        self, row: ClaimedSend, attempt: Attempt, decision: Decision, number: str, sent_at: float
    ) -> None:
        if decision.pause_reason:
            self._outlet.pause(decision.pause_reason)
        if decision.outcome is None:
            await self._not_sent(row, attempt, decision, number, sent_at)
            return
        self._outage.worked()
        stopped = False
        try:
            if isinstance(attempt, ErrorAnswer):
                stopped = await self._follow(row, attempt.error, decision, number, sent_at)
            elif isinstance(attempt, Accepted):
                await self._end_row_of_errors()
        finally:
            if not stopped:
                self._outlet.report(self._result(row, number, attempt, decision))
        if stopped:
            await self._give_back(row)

    async def _not_sent(
        self, row: ClaimedSend, attempt: Attempt, decision: Decision, number: str, sent_at: float
    ) -> None:
        assert isinstance(attempt, ErrorAnswer | NotSent)
        if isinstance(attempt, NotSent):
            error = SendError(code=None, message=attempt.reason)
        else:
            error = attempt.error
        self._outage.failed(reason_of(error))
        try:
            await self._ledger.not_sent([row])
            await self._follow(row, error, decision, number, sent_at)
        finally:
            if decision.give_back:
                self._outlet.give_back(row)
            else:
                self._outlet.put_back(row, number)

    async def _follow(
        self, row: ClaimedSend, error: SendError, decision: Decision, number: str, sent_at: float
    ) -> bool:
        """Do what follows from an error for other messages. Return whether the campaign is stopped
        by now for errors like this one."""
        vendor_uid = self._config.vendor_uid
        to = row.addressee
        # The number's names as they are now: nobody asks for those that it had when it was sent.
        limits = self._config.limits_of(number)
        failure = Failure(vendor_uid, self._config.name, limits, (to,), sent_at, error, decision)
        for act in self._error_actions.plan(failure).values():
            await act()
        if decision.suppress:
            await self._error_actions.suppressed.add(vendor_uid, {to: error})
        if decision.hold is not None and decision.hold.pause.scope is Scope.CAMPAIGN:
            self._outlet.rest()
        self._errors_counted |= decision.counts
        streak = await self._error_actions.count(failure, ErrorPath.ANSWER)
        if streak.reason and not decision.pause_reason:
            self._outlet.pause(streak.reason)
        return decision.counts and (streak.stopped or self._outlet.stopped)

    async def _end_row_of_errors(self) -> None:
        if not self._errors_counted:
            return
        self._errors_counted = False
        try:
            await self._error_actions.worked(self._config.name, ErrorPath.ANSWER)
        except AnyRedisError:
            self._errors_counted = True  # the next one that is accepted ends it
            raise

    def _result(
        self, row: ClaimedSend, number: str, attempt: Attempt | None, decision: Decision
    ) -> SendResult:
        assert decision.outcome is not None
        accepted = attempt if isinstance(attempt, Accepted) else None
        now, due_in_s = now_ms(), decision.due_in_s
        return self._config.result(
            row.uid,
            row.claim_uid,
            number,
            decision.outcome,
            at=now,
            wamid=accepted.wamid if accepted else None,
            message_status=accepted.message_status if accepted else None,
            wa_id=accepted.wa_id if accepted else None,
            user_id=accepted.user_id if accepted else None,
            response=accepted.response if accepted else None,
            error=decision.error,
            due_at=now + int(due_in_s * 1000) if due_in_s is not None else None,
        )
