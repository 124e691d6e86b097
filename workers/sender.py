"""Sending one row, and acting on how it ended."""

from collections.abc import Callable

import orjson

from contracts import backend as contract
from contracts.backend import SendError, SendOutcome, SendResult
from sidecar.logs import Trouble
from workers.clock import now_ms
from workers.cloud_api import Accepted, Attempt, CloudApi, NotSent, Refused, template_message
from workers.ledger import Ledger
from workers.limiter import Limiter
from workers.limits import Limits
from workers.outcomes import Decision, decide
from workers.rows import QueuedRow


class Sender:
    """Sends the rows of one campaign, each once it has a slot.

    ``report`` takes outcomes; ``put_back`` a row that is to be tried again here, ``give_back``
    one that returns to PHP's queue; ``pause`` the reason why the campaign cannot go on.
    """

    def __init__(
        self,
        cloud_api: CloudApi,
        limiter: Limiter,
        ledger: Ledger,
        config: contract.VendorConfig,
        *,
        campaign_uid: str,
        stop_after_like_errors: int,
        report: Callable[[SendResult], None],
        put_back: Callable[[QueuedRow], None],
        give_back: Callable[[QueuedRow], None],
        pause: Callable[[str], None],
    ) -> None:
        self._cloud_api = cloud_api
        self._limiter = limiter
        self._ledger = ledger
        self._config = config
        self._campaign_uid = campaign_uid
        self._stop_after_like_errors = stop_after_like_errors
        self._report = report
        self._put_back = put_back
        self._give_back = give_back
        self._pause = pause
        self._like_errors: tuple[int, int] = (0, 0)
        self._trouble = Trouble(
            "messages_not_sent", vendor=config.vendor_uid, campaign=campaign_uid
        )

    async def send(self, row: QueuedRow, limits: Limits) -> None:
        """Send a row from a number, and see to what follows."""
        number = limits.number
        if not number or not self._config.access_token:
            what = "access token" if number else "sending number"
            self._pause(f"the vendor has no {what}")
            self._give_back(row)
            return
        try:
            body = template_message(row.row)
        except orjson.JSONEncodeError as error:
            message = f"the row's components cannot be sent as JSON: {error}"
            failed = Decision(SendOutcome.FAILED, SendError(code=None, message=message))
            self._report(self._result(row, number, None, failed))
            return
        sent_at = self._limiter.clock.now()
        attempt = await self._cloud_api.send(number, self._config.access_token, body)
        decision = decide(row.row, attempt)
        self._count_like_errors(attempt)
        if decision.pause_reason:
            self._pause(decision.pause_reason)
        if decision.outcome is None:
            await self._not_sent(row, limits, attempt, decision, sent_at)
            return
        self._trouble.worked()
        try:
            if decision.hold_pair_s:
                await self._limiter.hold_pair(number, row.row.to, decision.hold_pair_s)
        finally:
            self._report(self._result(row, number, attempt, decision))

    async def _not_sent(
        self,
        row: QueuedRow,
        limits: Limits,
        attempt: Attempt,
        decision: Decision,
        sent_at: float,
    ) -> None:
        assert isinstance(attempt, Refused | NotSent)
        self._trouble.failed(
            attempt.reason if isinstance(attempt, NotSent) else attempt.error.message
        )
        try:
            await self._ledger.not_sent([row])
            if decision.hold is not None:
                await self._limiter.hold(limits, decision.hold, sent_at=sent_at)
        finally:
            if decision.give_back:
                self._give_back(row)
            else:
                self._put_back(row)

    def _count_like_errors(self, attempt: Attempt) -> None:
        """Stop the campaign when one error comes many times in a row that looks like the
        message's own, and so must be the campaign's."""
        if not (isinstance(attempt, Refused) and attempt.rule.stop_when_repeated):
            if isinstance(attempt, Accepted):
                self._like_errors = (0, 0)
            return
        code, times = self._like_errors
        times = times + 1 if code == attempt.rule.code else 1
        self._like_errors = (attempt.rule.code, times)
        if times >= self._stop_after_like_errors:
            self._pause(f"{times} times in a row: {attempt.rule.code} {attempt.error.message}")

    def _result(
        self, row: QueuedRow, number: str, attempt: Attempt | None, decision: Decision
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
