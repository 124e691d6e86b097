"""Starting, pausing, resuming and cancelling campaigns, and telling how they stand: for PHP's calls
and for the command line.

PHP keeps the state of a campaign, so that it survives a wiped Redis; Redis holds what has to take
effect at once. What starts sending goes to PHP first, so that a failure half way errs on the side
of not sending; a start that died half way is found by the reconciler. What stops it goes to both,
and either is enough: while Redis is away or full nothing is sent, and PHP gives out no more rows; a
stop that PHP could not be told of is told by the campaign's worker (``halts.py``).

A campaign that is paused or cancelled stays so when its vendor goes back to PHP: the cron leaves it
alone until it goes on here (or by ``whatsapp-sidecar:resume``).

What may follow what is in :mod:`contracts.campaigns`. A stop that comes while another call is under
way wins: PHP refuses what is against the table by then, and a halt that came later is not lifted.
"""

import asyncio
from collections.abc import Callable
from typing import cast

import structlog

from contracts import backend as contract
from contracts.backend import ErrorCode
from contracts.campaigns import TRANSITIONS, CampaignAction, CampaignState
from contracts.jobs import Job, send_campaign
from contracts.sidecar_api import CampaignAnswer
from sidecar.clock import now_ms
from sidecar.php.backoff import Backoff
from sidecar.php.client import Backend, BackendError, BackendRefused, BackendUnavailable
from sidecar.php.vendors import Vendors
from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable, reason_of
from sidecar.redis.clock import redis_now_us
from sidecar.sending.campaigns import ErrorPath, campaign_lease
from sidecar.sending.halts import Halt, Halts, state_of
from sidecar.sending.pauses import LIFTED_S, Pauses, pause_name
from sidecar.tasks import cancel

log = structlog.get_logger()

#: How often a halt is tried again that Redis has not taken.
_AGAIN_S = Backoff(0.2, 5.0)


class CampaignRefused(Exception):
    """The call is refused: ``status`` as HTTP has it, ``code`` one of the contract's."""

    def __init__(self, status: int, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class PhpNotTold(BackendUnavailable):
    """The campaign is stopped, and PHP does not know it yet: a worker tells it."""


class CampaignControl:
    """``wake`` wakes a worker for a job; without it the reconciler does, within a second. Raises
    :class:`CampaignRefused`, ``BackendError``, and redis-py's errors where Redis is needed."""

    def __init__(
        self,
        redis: Redis,
        backend: Backend,
        vendors: Vendors,
        wake: Callable[[Job], None] = lambda _job: None,
    ) -> None:
        self._redis = redis
        self._halts = Halts(redis)
        self._pauses = Pauses(redis)
        self._backend = backend
        self._vendors = vendors
        self._wake = wake
        #: Halts that PHP knows and Redis has not taken yet.
        self._late: dict[str, asyncio.Task[None]] = {}

    async def show(self, uid: str) -> CampaignAnswer:
        """Tell how a campaign stands."""
        return await self._answer(await self._find(uid))

    async def act(
        self, uid: str, action: CampaignAction, reason: str | None = None
    ) -> CampaignAnswer:
        """Do what a person wants, and tell how the campaign stands then. ``reason`` is shown to
        people. A stop that PHP did not take raises :class:`PhpNotTold`."""
        if action in (CampaignAction.PAUSE, CampaignAction.CANCEL):
            return await self._stop(uid, action, reason)
        return await self._go_on(uid, action, reason)

    async def close(self) -> None:
        """Give up what Redis has not taken."""
        await cancel(list(self._late.values()))

    # -- stopping --

    async def _stop(self, uid: str, action: CampaignAction, reason: str | None) -> CampaignAnswer:
        standing = await self._standing(uid)
        try:
            campaign = await self._find(uid)
        except BackendUnavailable as error:
            await self._stop_without_php(uid, action, reason, error)
            raise PhpNotTold(str(error)) from error
        halt = Halt(_after(campaign, standing, action), reason, by_person=True)
        lost = await self._put(campaign, halt)
        campaign = await self._tell_php(campaign, halt, halted=lost is None)
        if lost is None:
            await self._acknowledge(uid, halt)
            return await self._answer(campaign)
        self._put_later(campaign, halt)
        answer = await self._answer(campaign)
        warning = (
            f"PHP gives out no more rows; Redis cannot be used ({lost}), so workers are told later"
        )
        return answer.model_copy(update={"warning": warning})

    async def _standing(self, uid: str) -> Halt | None:
        try:
            return await self._halts.find(uid)
        except RedisUnavailable:
            return None  # PHP refuses what it knows to be forbidden

    async def _stop_without_php(
        self, uid: str, action: CampaignAction, reason: str | None, why: BackendUnavailable
    ) -> None:
        """Halt a campaign that workers look after; of others only PHP knows."""
        pausing = action is CampaignAction.PAUSE
        state = CampaignState.PAUSED if pausing else CampaignState.CANCELLED
        try:
            vendor_uid = cast("bytes | None", await self._redis.hget(keys.CAMPAIGNS, uid))
            if vendor_uid is None:
                raise why
            halt = Halt(state, reason, by_person=True)
            if not await self._halts.put(uid, vendor_uid.decode(), halt):
                raise _cancelled()
        except RedisUnavailable:
            raise why from None

    async def _put(self, campaign: contract.DueCampaign, halt: Halt) -> str | None:
        """Halt the campaign in Redis. Return why that failed."""
        try:
            taken = await self._halts.put(campaign.campaign_uid, campaign.vendor_uid, halt)
        except RedisUnavailable as error:
            return reason_of(error)
        if not taken:
            raise _cancelled()
        return None

    async def _tell_php(
        self, campaign: contract.DueCampaign, halt: Halt, *, halted: bool
    ) -> contract.DueCampaign:
        try:
            return await self._keep(campaign, halt.state, halt.reason)
        except CampaignRefused:
            if halted:
                await self._acknowledge(campaign.campaign_uid, halt, cancelled=True)
            raise
        except BackendError as error:
            if halted:
                raise PhpNotTold(str(error)) from error
            raise

    async def _acknowledge(self, uid: str, halt: Halt, *, cancelled: bool = False) -> None:
        try:
            await self._halts.acknowledge(uid, halt, now_ms(), cancelled=cancelled)
        except RedisUnavailable as error:
            # The halt stands, and its worker tells PHP once more.
            log.warning("campaign.halt_not_acknowledged", campaign=uid, reason=reason_of(error))

    def _put_later(self, campaign: contract.DueCampaign, halt: Halt) -> None:
        uid = campaign.campaign_uid
        if before := self._late.pop(uid, None):
            before.cancel()
        task = asyncio.create_task(self._keep_putting(campaign, halt), name=f"halt {uid}")
        self._late[uid] = task
        task.add_done_callback(lambda done: self._late.get(uid) is done and self._late.pop(uid))

    async def _keep_putting(self, campaign: contract.DueCampaign, halt: Halt) -> None:
        """Halt the campaign in Redis once that is possible, if PHP has it stopped then."""
        uid, tries = campaign.campaign_uid, 0
        while True:
            tries += 1
            await asyncio.sleep(_AGAIN_S.pause(tries))
            try:
                await self._redis.ping()
                if (await self._find(uid)).state is not halt.state:
                    return
                await self._halts.put(uid, campaign.vendor_uid, halt)
                await self._halts.acknowledge(uid, halt, now_ms())
            except RedisUnavailable:
                continue
            except (CampaignRefused, BackendError) as error:
                log.warning("campaign.halt_given_up", campaign=uid, reason=str(error))
            return

    # -- going on --

    async def _go_on(self, uid: str, action: CampaignAction, reason: str | None) -> CampaignAnswer:
        # In this order: PHP knows of any halt that is taken away later.
        halt = await self._halts.find(uid)
        campaign = await self._find(uid)
        runs = campaign.state is CampaignState.RUNNING and halt is None
        if runs and not campaign.on_sidecar:
            raise CampaignRefused(
                409,
                ErrorCode.VENDOR_NOT_ON_SIDECAR,
                f"campaigns of vendor {campaign.vendor_uid} are sent by PHP's own crons; "
                "move the vendor first: sidecar cutover",
            )
        state = _after(campaign, halt, action)
        if late := self._late.pop(uid, None):
            late.cancel()
        if campaign.state is not state:
            campaign = await self._keep(campaign, state, reason)
        return await self._start(campaign, halt)

    async def _start(self, campaign: contract.DueCampaign, halt: Halt | None) -> CampaignAnswer:
        """Have it sent, by PHP's cron if the vendor is PHP's. A person wants it, so what stands in
        the way is tried again: the halt that was seen, pauses of the vendor's numbers, accounts and
        token, and errors of the campaign that were counted."""
        uid = campaign.campaign_uid
        await self._lift_pauses(campaign.vendor_uid)
        now = await redis_now_us(self._redis) // 1000
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.delete(keys.wait(uid), *(keys.errors(uid, path) for path in ErrorPath))
        pipeline.set(keys.lifted("campaign", uid), now, ex=LIFTED_S)
        if campaign.on_sidecar:
            pipeline.hset(keys.CAMPAIGNS, uid, campaign.vendor_uid)
        await pipeline.execute()
        # Not before: no error of earlier puts up another.
        if later := await self._halts.lift_seen(uid, halt):
            stopped = {"state": later.state, "reason": later.reason}
            return await self._answer(campaign.model_copy(update=stopped))
        if campaign.on_sidecar:
            self._wake(send_campaign(campaign.vendor_uid, uid))
        return await self._answer(campaign)

    async def _lift_pauses(self, vendor_uid: str) -> None:
        """Lift what this vendor's messages have paused; and what another's have, if Meta has
        confirmed that it is this vendor's too."""
        paused = await self._pauses.all()
        of_others = any(one.shared and one.vendor_uid != vendor_uid for one in paused)
        config = await self._vendors.get(vendor_uid) if of_others else None
        shared = {
            name
            for number in (config.phone_numbers if config else [])
            if number.verified
            for name in (
                pause_name("number", number.phone_number_id),
                pause_name("account", number.verified.account_id),
            )
        }
        await self._pauses.lift(
            [one for one in paused if one.vendor_uid == vendor_uid or one.name in shared]
        )

    # -- PHP, and the answer --

    async def _find(self, uid: str) -> contract.DueCampaign:
        answer = await self._backend.call(
            contract.DUE_CAMPAIGNS,
            contract.DueCampaignsRequest(campaign_uids=[uid]),
            contract.DueCampaignsAnswer,
        )
        for campaign in answer.campaigns:
            if campaign.campaign_uid == uid:
                return campaign
        raise CampaignRefused(404, ErrorCode.CAMPAIGN_UNKNOWN, f"PHP knows no campaign {uid}")

    async def _keep(
        self, campaign: contract.DueCampaign, state: CampaignState, reason: str | None
    ) -> contract.DueCampaign:
        """Have PHP keep a state. It restarts what was seen cancelled, and nothing else."""
        request = contract.ReleaseMessagesRequest(
            vendor_uid=campaign.vendor_uid,
            campaign_uid=campaign.campaign_uid,
            campaign_state=state,
            reason=reason,
        )
        if state is CampaignState.RUNNING and campaign.state is CampaignState.CANCELLED:
            request = request.model_copy(update={"restart": True})
        try:
            await self._backend.call(
                contract.RELEASE_MESSAGES, request, contract.ReleaseMessagesAnswer
            )
        except BackendRefused as error:
            if error.code == ErrorCode.CAMPAIGN_CANCELLED:
                raise _cancelled() from error
            raise
        return campaign.model_copy(update={"state": state, "reason": reason})

    async def _answer(self, campaign: contract.DueCampaign) -> CampaignAnswer:
        uid = campaign.campaign_uid
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.exists(keys.lease(campaign_lease(uid)))
        pipeline.hexists(keys.CAMPAIGNS, uid)
        pipeline.mget(keys.wait(uid), keys.blocked(uid))
        warning = None
        try:
            held, listed, reasons = await pipeline.execute()
            waits = next((reason for reason in reasons if reason is not None), None)
        except RedisUnavailable as error:
            held, listed, waits = True, True, None
            warning = f"Redis cannot be used ({reason_of(error)}): nobody can tell who has it"
        return CampaignAnswer(
            campaign_uid=uid,
            vendor_uid=campaign.vendor_uid,
            state=campaign.state,
            reason=campaign.reason,
            active=bool(held or listed),
            waits_for=None if waits is None else waits.decode(errors="replace"),
            warning=warning,
            due=campaign.due,
            next_due_at=campaign.next_due_at,
            counts=campaign.counts,
        )


def _after(
    campaign: contract.DueCampaign, halt: Halt | None, action: CampaignAction
) -> CampaignState:
    """Return what the campaign becomes, or refuse the call."""
    after = TRANSITIONS.after(state_of(campaign.state, halt), action)
    if after is None:
        raise _cancelled()
    return after


def _cancelled() -> CampaignRefused:
    return CampaignRefused(
        409,
        ErrorCode.CAMPAIGN_CANCELLED,
        "the campaign was cancelled; to start it again, call send",
    )
