"""Sending a vendor's replies: messages that answer somebody, ahead of campaigns.

They come from the outbox and not from PHP's queue. Otherwise they are sent as a campaign's rows
are: at the number's slots, through the ledger, each at most once. A reply stays in the outbox until
PHP knows how it ended; while its ledger says more than that, it is not sent again.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from math import ceil

import structlog

from contracts import backend as contract
from contracts.backend import SendError, SendOutcome, SendResult
from contracts.effects import EffectKind, SendMessage
from sidecar.clock import now_ms
from sidecar.effects.outbox import Ended, LeaseLost, Outbox, Queued, replies_of
from sidecar.php.breaker import Breaker
from sidecar.php.client import Backend, BackendUnavailable
from sidecar.redis.client import UNAVAILABLE, Redis, RedisError
from sidecar.redis.lease import Lease
from sidecar.settings import Settings
from sidecar.tasks import cancel
from workers.sending.cloud_api import CloudApi
from workers.sending.error_actions import ErrorActions
from workers.sending.ledger import Halted, Ledger, NotTheHolder
from workers.sending.limiter import CampaignRests, Limiter, NumberPaused
from workers.sending.limits import Limits
from workers.sending.pacer import Pacer
from workers.sending.pacers import Pacers
from workers.sending.results import Reporter, tell_php
from workers.sending.send_queue import ClaimedSend, Reply
from workers.sending.sender import Sender

log = structlog.get_logger()

#: Replies of a vendor that may be in hand at the same time.
MAX_IN_HAND = 400
#: How often the outbox is looked at for what another process has put there.
POLL_S = 0.05
#: What cannot go out for now (a paused number, no token) is looked at again after so long.
LATER_S = 30.0

KIND = EffectKind.SEND_MESSAGE


class ReplyRun:
    """Sends a vendor's replies under their lease (:func:`sidecar.effects.outbox.effects_lease`).
    Use once."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        backend: Backend,
        cloud_api: CloudApi,
        limiter: Limiter,
        outbox: Outbox,
        config: contract.VendorConfig,
        lease: Lease,
        *,
        stopping: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._limiter = limiter
        self._outbox = outbox
        self._config = config
        self._vendor_uid = config.vendor_uid
        self._lease = lease
        self._stopping = stopping
        self._name = replies_of(config.vendor_uid)
        self._claim_uid = str(uuid.uuid4())
        self._ledger = Ledger(redis, self._name, config.vendor_uid)
        self._tell_php = tell_php(backend)
        self._reporter = Reporter(self._tell, self._ledger, wait_s=settings.result_wait_ms / 1000)
        self._pacers = Pacers(self._number_of, self._make_pacer)
        self._pacing: list[asyncio.Task[None]] = []
        self._sends: set[asyncio.Task[None]] = set()
        self._in_hand: dict[str, Queued | None] = {}
        self._more = asyncio.Event()
        self._ended = False
        self._sender = Sender(
            cloud_api,
            limiter,
            self._ledger,
            config,
            ErrorActions(settings, redis, limiter, of_campaign=False),
            campaign_uid=self._name,
            report=self._report,
            put_back=self._pacers.put_back,
            give_back=lambda row: self._postpone(row, LATER_S),
            pause=lambda reason: log.error(
                "reply.unsendable", vendor=self._vendor_uid, reason=reason
            ),
            rest=lambda: None,
        )

    def poke(self) -> None:
        """Have the outbox looked at now."""
        self._more.set()

    async def run(self) -> None:
        """Send until nothing is due and all is settled, or something ends it. Raises if Redis is
        away at the beginning."""
        await self._settle_leftovers()
        self._reporter.start()
        breaker = Breaker("replies.redis_unavailable", vendor=self._vendor_uid)
        try:
            while not self._must_end():
                self._more.clear()
                try:
                    found = await self._take()
                    breaker.worked()
                except (*UNAVAILABLE, RedisError) as error:
                    breaker.failed(str(error))
                    found = True
                if not (found or self._in_hand):
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(POLL_S, breaker.wait_s)):
                        await self._more.wait()
        finally:
            await self._wind_up()

    def _must_end(self) -> bool:
        return self._ended or self._stopping() or self._lease.lost.is_set()

    async def _settle_leftovers(self) -> None:
        state = await self._ledger.load()
        self._reporter.add_known(state.known)
        for result in state.known:
            self._in_hand[result.uid] = None
        for reply_uid, (claim_uid, number) in state.sending.items():
            error = SendError(code=None, message="the worker ended between the call and its record")
            self._in_hand[reply_uid] = None
            self._end_reply(reply_uid, claim_uid, number, SendOutcome.UNKNOWN, error)
        for reply_uid, claim_uid in state.claimed.items():
            await self._ledger.released(claim_uid, [reply_uid])
        if state.known or state.sending:
            log.warning(
                "replies.left_over",
                vendor=self._vendor_uid,
                known=len(state.known),
                sending=len(state.sending),
            )

    # -- taking, pacing and sending --

    async def _take(self) -> bool:
        """Take what is due. Return whether there was anything that was not in hand."""
        for row in self._pacers.take_blocked():
            self._postpone(row, LATER_S)
        room = MAX_IN_HAND - len(self._in_hand)
        if room <= 0:
            return True
        now = now_ms()
        # What ends while the outbox is read may still be in the answer.
        had = set(self._in_hand)
        due = await self._outbox.due(KIND, self._vendor_uid, now, MAX_IN_HAND)
        new = [queued for queued in due if queued.id not in had][:room]
        for queued in new:
            assert isinstance(queued.effect, SendMessage)
            self._in_hand[queued.id] = queued
            row = ClaimedSend(_reply(queued, queued.effect), self._claim_uid)
            if now > self._expires_at(queued, queued.effect):
                why = f": {queued.reason}" if queued.reason else ""
                error = SendError(code=None, message=f"it had expired before it could be sent{why}")
                number = self._number_of(row)
                self._end_reply(queued.id, self._claim_uid, number, SendOutcome.FAILED, error)
            else:
                self._pacers.append([row])
        return bool(new)

    def _expires_at(self, queued: Queued, effect: SendMessage) -> int:
        return effect.expires_at or queued.put_at + self._settings.reply_expiry_s * 1000

    def _number_of(self, queued: ClaimedSend) -> str:
        return queued.row.from_phone_number_id or self._config.current_phone_number_id or ""

    def _make_pacer(self, number: str) -> Pacer:
        limits = Limits.of(self._config, number, self._settings)
        pacer = Pacer(
            self._limiter,
            self._ledger,
            self._lease,
            self._name,
            limits,
            room=lambda: self._settings.send_concurrency - len(self._sends) - self._pacers.planned,
            start=lambda row: self._start(row, limits),
            postpone=self._postpone,
            urgent=True,
            refuse=self._collided,
        )
        for work in (pacer.plan, pacer.begin_before_slots, pacer.start_at_slots):
            task = asyncio.create_task(self._keep_up(work, pacer))
            task.add_done_callback(self._work_ended)
            self._pacing.append(task)
        return pacer

    async def _keep_up(self, work: Callable[[], Awaitable[None]], pacer: Pacer) -> None:
        breaker = Breaker("replies.redis_unavailable", vendor=self._vendor_uid)
        while True:
            try:
                await work()
            except NotTheHolder:
                self._end()
                return
            except (NumberPaused, Halted, CampaignRests) as error:
                for row in pacer.rows.take_all():
                    self._postpone(row, LATER_S, f"the number is paused: {error}")
                await asyncio.sleep(1.0)
            except (*UNAVAILABLE, RedisError) as error:
                breaker.failed(str(error))
                await asyncio.sleep(breaker.wait_s)

    def _start(self, row: ClaimedSend, limits: Limits) -> None:
        task = asyncio.create_task(self._sender.send(row, limits))
        self._sends.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sends.discard(task)
        self._pacers.there_is_room()
        self._work_ended(task)

    def _work_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            log.error("replies.failed", vendor=self._vendor_uid, exc_info=error)
            self._end()

    def _end(self) -> None:
        self._ended = True
        self._more.set()

    # -- how they end --

    def _collided(self, row: ClaimedSend) -> None:
        message = "a campaign's row of the same uid is being sent: no status could be told apart"
        error = SendError(code=None, message=message)
        number = self._number_of(row)
        self._end_reply(row.uid, row.claim_uid, number, SendOutcome.FAILED, error)

    def _report(self, result: SendResult) -> None:
        self._reporter.add(result.model_copy(update={"campaign_uid": None}))

    def _end_reply(
        self,
        reply_uid: str,
        claim_uid: str,
        number: str,
        outcome: SendOutcome,
        error: SendError | None = None,
        *,
        due_at: int | None = None,
    ) -> None:
        self._reporter.add(
            SendResult(
                uid=reply_uid,
                vendor_uid=self._vendor_uid,
                claim_uid=claim_uid,
                outcome=outcome,
                attempted=due_at is None,
                at=now_ms(),
                phone_number_id=number,
                error=error,
                due_at=due_at,
            )
        )

    def _postpone(self, row: ClaimedSend, wait_s: float, reason: str | None = None) -> None:
        """Have a reply wait in the outbox, which counts no attempt for it."""
        error = None if reason is None else SendError(code=None, message=reason)
        due_at = now_ms() + ceil(wait_s * 1000)
        number, requeue = self._number_of(row), SendOutcome.REQUEUE
        self._end_reply(row.uid, row.claim_uid, number, requeue, error, due_at=due_at)

    async def _tell(self, part: list[SendResult], halved: bool) -> list[contract.UpdateResult]:
        """Put back what waits, and tell PHP of the rest; what it has taken leaves the outbox before
        it leaves the ledger, for it must not be sent again."""
        waiting = [result for result in part if result.outcome is SendOutcome.REQUEUE]
        final = [result for result in part if result.outcome is not SendOutcome.REQUEUE]
        answers = await self._tell_php(final, halved) if final else []
        taken = [answer.id for answer in answers if answer.result in ("done", "ignored")]
        ended = [Ended(reply_uid, "done") for reply_uid in taken]
        ended += [again for result in waiting if (again := self._again(result))]
        try:
            await self._outbox.end(self._lease, KIND, self._vendor_uid, ended)
        except (LeaseLost, *UNAVAILABLE, RedisError) as error:
            # PHP recognises what it is told again.
            raise BackendUnavailable(f"the outbox: {error}") from None
        for result in (*waiting, *final):
            if result in waiting or result.uid in taken:
                self._in_hand.pop(result.uid, None)
        self._more.set()
        done = [contract.UpdateResult(id=result.uid, result="done") for result in waiting]
        return answers + done

    def _again(self, result: SendResult) -> Ended | None:
        queued = self._in_hand.get(result.uid)
        if queued is None:
            return None  # an earlier holder's; it is in the outbox as it was
        reason = result.error.message if result.error else queued.reason
        attempts = queued.attempts + int(result.attempted)
        kept = replace(queued, attempts=attempts, reason=reason)
        return Ended(result.uid, "again", kept, result.due_at or now_ms())

    async def _wind_up(self) -> None:
        await cancel(self._pacing)
        unsent = self._pacers.take_unstarted()
        try:
            if unsent and not self._lease.lost.is_set():
                # Some were written down as being sent, and then were not.
                await self._ledger.not_sent(unsent)
                await self._ledger.released(self._claim_uid, [row.uid for row in unsent])
            if self._sends:
                await asyncio.wait(self._sends, timeout=self._settings.send_timeout_s + 1)
            await self._reporter.finish(self._settings.backend_timeout_s)
        except (*UNAVAILABLE, RedisError) as error:
            # The ledger and the outbox have it all; the reconciler has somebody come back.
            log.warning("replies.left_unsettled", vendor=self._vendor_uid, reason=str(error))
        finally:
            await cancel(list(self._sends))
            await self._reporter.stop()


def _reply(queued: Queued, effect: SendMessage) -> Reply:
    return Reply(queued.id, effect.to, effect.message, queued.attempts, effect.phone_number_id)
