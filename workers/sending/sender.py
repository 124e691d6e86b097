"""Sending one row, and acting on how it ended."""

from collections.abc import Callable

import orjson

from contracts import backend as contract
from contracts.backend import SendError, SendOutcome, SendResult
from sidecar.clock import now_ms
from sidecar.logs import LogOnce
from sidecar.redis.client import UNAVAILABLE, RedisError
from sidecar.sending.campaigns import ErrorPath
from workers.sending.cloud_api import Accepted, Attempt, CloudApi, NotSent, Refused, message_body
from workers.sending.error_actions import ErrorActions, Failure
from workers.sending.error_policy import Decision, decide
from workers.sending.holds import Scope
from workers.sending.ledger import Ledger
from workers.sending.limiter import Limiter
from workers.sending.limits import Limits
from workers.sending.send_queue import ClaimedSend


class Sender:
    """Sends the rows of one campaign, each once it has a slot.

    ``report`` takes outcomes; ``put_back`` a row that is to be tried again here, ``give_back``
    one that returns to PHP's queue; ``pause`` the reason why the campaign cannot go on. ``rest`` is
    called when it is to send nothing for a while.
    """

    def __init__(
        self,
        cloud_api: CloudApi,
        limiter: Limiter,
        ledger: Ledger,
        config: contract.VendorConfig,
        consequences: ErrorActions,
        *,
        campaign_uid: str,
        report: Callable[[SendResult], None],
        put_back: Callable[[ClaimedSend], None],
        give_back: Callable[[ClaimedSend], None],
        pause: Callable[[str], None],
        rest: Callable[[], None],
    ) -> None:
        self._cloud_api = cloud_api
        self._limiter = limiter
        self._ledger = ledger
        self._config = config
        self._consequences = consequences
        self._campaign_uid = campaign_uid
        self._report = report
        self._put_back = put_back
        self._give_back = give_back
        self._pause = pause
        self._rest = rest
        #: Errors in a row may be counted, of this run or an earlier one.
        self._errors_counted = True
        self._trouble = LogOnce(
            "messages.not_sent", vendor=config.vendor_uid, campaign=campaign_uid
        )

    async def send(self, row: ClaimedSend, limits: Limits) -> None:
        """Send a row from a number, and see to what follows."""
        number = limits.number
        if not number or not self._config.access_token:
            what = "access token" if number else "sending number"
            self._pause(f"the vendor has no {what}")
            self._give_back(row)
            return
        try:
            body = message_body(row.row)
        except orjson.JSONEncodeError as error:
            message = f"the row's components cannot be sent as JSON: {error}"
            failed = Decision(SendOutcome.FAILED, SendError(code=None, message=message))
            self._report(self._result(row, number, None, failed))
            return
        sent_at = self._limiter.clock.now()
        attempt = await self._cloud_api.send(number, self._config.access_token, body)
        decision = decide(row.row, attempt)
        if decision.pause_reason:
            self._pause(decision.pause_reason)
        if decision.outcome is None:
            await self._not_sent(row, limits, attempt, decision, sent_at)
            return
        self._trouble.worked()
        try:
            if isinstance(attempt, Refused):
                await self._follow(row, limits, attempt.error, decision, sent_at)
            elif isinstance(attempt, Accepted):
                await self._end_row_of_errors()
        finally:
            self._report(self._result(row, number, attempt, decision))

    async def _not_sent(
        self,
        row: ClaimedSend,
        limits: Limits,
        attempt: Attempt,
        decision: Decision,
        sent_at: float,
    ) -> None:
        assert isinstance(attempt, Refused | NotSent)
        if isinstance(attempt, NotSent):
            error = SendError(code=None, message=attempt.reason)
        else:
            error = attempt.error
        self._trouble.failed(error.message)
        try:
            await self._ledger.not_sent([row])
            await self._follow(row, limits, error, decision, sent_at)
        finally:
            if decision.give_back:
                self._give_back(row)
            else:
                self._put_back(row)

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
        to = row.row.to
        failure = Failure(vendor_uid, self._campaign_uid, limits, to, sent_at, error, decision)
        for act in self._consequences.of(failure).values():
            await act()
        if decision.suppress:
            await self._consequences.suppressed.add(vendor_uid, {to: error})
        if decision.hold is not None and decision.hold.pause.scope is Scope.CAMPAIGN:
            self._rest()
        self._errors_counted |= decision.counts
        reason = await self._consequences.count(failure, ErrorPath.ANSWER)
        if reason and not decision.pause_reason:
            self._pause(reason)

    async def _end_row_of_errors(self) -> None:
        if not self._errors_counted:
            return
        self._errors_counted = False
        try:
            await self._consequences.worked(self._campaign_uid, ErrorPath.ANSWER)
        except (*UNAVAILABLE, RedisError):
            self._errors_counted = True  # the next one that is accepted ends it
            raise

    def _result(
        self, row: ClaimedSend, number: str, attempt: Attempt | None, decision: Decision
    ) -> SendResult:
        assert decision.outcome is not None
        now = now_ms()
        accepted = attempt if isinstance(attempt, Accepted) else None
        return SendResult(
            uid=row.uid,
            vendor_uid=self._config.vendor_uid,
            campaign_uid=self._campaign_uid,
            claim_uid=row.claim_uid,
            outcome=decision.outcome,
            at=now,
            phone_number_id=number,
            wamid=accepted.wamid if accepted else None,
            message_status=accepted.message_status if accepted else None,
            wa_id=accepted.wa_id if accepted else None,
            response=accepted.response if accepted else None,
            error=decision.error,
            due_at=now + int(decision.due_in_s * 1000) if decision.due_in_s is not None else None,
        )
