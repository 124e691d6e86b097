"""Sending one row, and acting on how it ended."""

from typing import Protocol

from contracts.backend import SendError, SendOutcome, SendResult
from sidecar.clock import now_ms
from sidecar.logs import LogOnce
from sidecar.redis.client import AnyRedisError
from sidecar.sending.campaigns import ErrorPath
from workers.sending.cloud_api import (
    Accepted,
    Attempt,
    CloudApi,
    ErrorAnswer,
    NotSent,
    Unsendable,
    message_body,
)
from workers.sending.error_actions import ErrorActions, Failure
from workers.sending.error_policy import Decision, decide
from workers.sending.holds import Scope
from workers.sending.ledger import Ledger
from workers.sending.limiter import Limiter
from workers.sending.limits import Limits
from workers.sending.send_config import SendConfig
from workers.sending.send_queue import ClaimedSend


class Outlet(Protocol):
    """Where a row goes after an attempt. ``report`` takes how it ended; ``put_back`` one that is to
    be tried again here, ``give_back`` one that returns to where it came from. ``pause``: nothing is
    to be sent until a person acts; ``rest``: for a while."""

    def report(self, result: SendResult) -> None: ...
    def put_back(self, row: ClaimedSend) -> None: ...
    def give_back(self, row: ClaimedSend) -> None: ...
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
        self._ledger = ledger
        self._error_actions = error_actions
        self._config = config
        self._outlet = outlet
        #: Errors in a row may be counted, of this run or an earlier one.
        self._errors_counted = True
        self._outage = LogOnce("messages.not_sent", vendor=config.vendor_uid, campaign=config.name)

    async def send(self, row: ClaimedSend, limits: Limits) -> None:
        """Send a row from a number, and see to what follows."""
        number, token = limits.number, self._config.vendor.access_token
        if not number or not token:
            what = "access token" if number else "sending number"
            self._outlet.pause(f"the vendor has no {what}")
            self._outlet.give_back(row)
            return
        try:
            body = message_body(row.row)
        except Unsendable as error:
            failed = Decision(SendOutcome.FAILED, SendError(code=None, message=str(error)))
            self._outlet.report(self._result(row, number, None, failed))
            return
        sent_at = self._limiter.clock.now()
        attempt = await self._cloud_api.send(number, token, body)
        decision = decide(row.row, attempt)
        if decision.pause_reason:
            self._outlet.pause(decision.pause_reason)
        if decision.outcome is None:
            await self._not_sent(row, limits, attempt, decision, sent_at)
            return
        self._outage.worked()
        try:
            if isinstance(attempt, ErrorAnswer):
                await self._follow(row, limits, attempt.error, decision, sent_at)
            elif isinstance(attempt, Accepted):
                await self._end_row_of_errors()
        finally:
            self._outlet.report(self._result(row, number, attempt, decision))

    async def _not_sent(
        self,
        row: ClaimedSend,
        limits: Limits,
        attempt: Attempt,
        decision: Decision,
        sent_at: float,
    ) -> None:
        assert isinstance(attempt, ErrorAnswer | NotSent)
        if isinstance(attempt, NotSent):
            error = SendError(code=None, message=attempt.reason)
        else:
            error = attempt.error
        self._outage.failed(error.message)
        try:
            await self._ledger.not_sent([row])
            await self._follow(row, limits, error, decision, sent_at)
        finally:
            if decision.give_back:
                self._outlet.give_back(row)
            else:
                self._outlet.put_back(row)

    async def _follow(
        self,
        row: ClaimedSend,
        limits: Limits,
        error: SendError,
        decision: Decision,
        sent_at: float,
    ) -> None:
        """Do what follows from an error for other messages."""
        vendor_uid = self._config.vendor_uid
        to = row.addressee
        failure = Failure(vendor_uid, self._config.name, limits, (to,), sent_at, error, decision)
        for act in self._error_actions.plan(failure).values():
            await act()
        if decision.suppress:
            await self._error_actions.suppressed.add(vendor_uid, {to: error})
        if decision.hold is not None and decision.hold.pause.scope is Scope.CAMPAIGN:
            self._outlet.rest()
        self._errors_counted |= decision.counts
        reason = await self._error_actions.count(failure, ErrorPath.ANSWER)
        if reason and not decision.pause_reason:
            self._outlet.pause(reason)

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
