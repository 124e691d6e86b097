"""Starting, pausing, resuming and cancelling campaigns, and telling how they stand.

PHP keeps the state of a campaign, so that it survives a wiped Redis; Redis holds what has to take
effect at once. A change goes to Redis first where it stops sending, and to PHP first where it
starts it, so that a failure half way errs on the side of not sending. A stop that PHP could not be
told of is told by the campaign's worker (``sidecar/sending/halts.py``); a start that died half way
is found by the reconciler.

What may follow what is in :mod:`contracts.campaigns`. A stop that comes while another call is under
way wins: PHP refuses what is against the table by then, and a halt that came later is not lifted.
"""

from starlette.requests import Request

from contracts import backend as contract
from contracts.backend import ErrorCode
from contracts.campaigns import TRANSITIONS, CampaignAction, CampaignState
from contracts.jobs import send_campaign
from contracts.sidecar_api import CampaignAnswer, CampaignChange
from sidecar.clock import now_ms
from sidecar.http.signed_route import CallRefused, parse
from sidecar.inbox.wakeups import Wakeups
from sidecar.php.client import Backend, BackendRefused
from sidecar.php.vendors import Vendors
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.clock import redis_now_us
from sidecar.sending.campaigns import ErrorPath, campaign_lease
from sidecar.sending.halts import Halt, Halts, state_of
from sidecar.sending.pauses import LIFTED_S, Pauses, pause_name


class Campaigns:
    """The handlers of ``/internal/campaigns/{campaign_uid}`` and below."""

    def __init__(self, redis: Redis, backend: Backend, wakeups: Wakeups, vendors: Vendors) -> None:
        self._redis = redis
        self._halts = Halts(redis)
        self._pauses = Pauses(redis)
        self._backend = backend
        self._wakeups = wakeups
        self._vendors = vendors

    async def show(self, request: Request, body: bytes) -> CampaignAnswer:
        """Tell how a campaign stands."""
        return await self._answer(await self._find(request))

    async def send(self, request: Request, body: bytes) -> CampaignAnswer:
        """Start a campaign. One that runs already is left as it is."""
        return await self._go_on(request, body, CampaignAction.SEND)

    async def resume(self, request: Request, body: bytes) -> CampaignAnswer:
        """Go on with a campaign that was paused."""
        return await self._go_on(request, body, CampaignAction.RESUME)

    async def pause(self, request: Request, body: bytes) -> CampaignAnswer:
        """Stop sending. Rows that were claimed and not sent go back to the queue."""
        return await self._stop(request, body, CampaignAction.PAUSE)

    async def cancel(self, request: Request, body: bytes) -> CampaignAnswer:
        """Like pause; only send starts the campaign again."""
        return await self._stop(request, body, CampaignAction.CANCEL)

    async def _stop(self, request: Request, body: bytes, action: CampaignAction) -> CampaignAnswer:
        change = parse(CampaignChange, body)
        standing, campaign = await self._look(request)
        uid = campaign.campaign_uid
        halt = Halt(_after(campaign, standing, action), change.reason)
        if not await self._halts.put(uid, campaign.vendor_uid, halt):
            raise _cancelled()
        try:
            campaign = await self._keep(campaign, halt.state, change.reason)
        except CallRefused:
            await self._halts.acknowledge(uid, halt, now_ms(), cancelled=True)
            raise
        await self._halts.acknowledge(uid, halt, now_ms())
        return await self._answer(campaign)

    async def _go_on(self, request: Request, body: bytes, action: CampaignAction) -> CampaignAnswer:
        change = parse(CampaignChange, body)
        halt, campaign = await self._look(request, to_be_sent=True)
        state = _after(campaign, halt, action)
        if campaign.state is not state:
            campaign = await self._keep(campaign, state, change.reason)
        return await self._start(campaign, halt)

    async def _start(self, campaign: contract.DueCampaign, halt: Halt | None) -> CampaignAnswer:
        """Have it sent. A person wants it, so what stands in the way is tried again: the halt that
        was seen, pauses of the vendor's numbers, accounts and token, and errors of the campaign
        that were counted."""
        uid = campaign.campaign_uid
        await self._lift_pauses(campaign.vendor_uid)
        now = await redis_now_us(self._redis) // 1000
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.delete(keys.wait(uid), *(keys.errors(uid, path) for path in ErrorPath))
        pipeline.set(keys.lifted("campaign", uid), now, ex=LIFTED_S)
        pipeline.hset(keys.CAMPAIGNS, uid, campaign.vendor_uid)
        await pipeline.execute()
        # Not before: no error of earlier puts up another.
        if later := await self._halts.lift_seen(uid, halt):
            stopped = {"state": later.state, "reason": later.reason}
            return await self._answer(campaign.model_copy(update=stopped))
        self._wakeups.send(send_campaign(campaign.vendor_uid, uid))
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

    async def _look(
        self, request: Request, *, to_be_sent: bool = False
    ) -> tuple[Halt | None, contract.DueCampaign]:
        """Return the halt that stands, and then what PHP says: it knows of any halt that is taken
        away later."""
        halt = await self._halts.find(request.path_params["campaign_uid"])
        return halt, await self._find(request, to_be_sent=to_be_sent)

    async def _find(self, request: Request, *, to_be_sent: bool = False) -> contract.DueCampaign:
        campaign_uid = request.path_params["campaign_uid"]
        answer = await self._backend.call(
            contract.DUE_CAMPAIGNS,
            contract.DueCampaignsRequest(campaign_uids=[campaign_uid]),
            contract.DueCampaignsAnswer,
        )
        for campaign in answer.campaigns:
            if campaign.campaign_uid == campaign_uid:
                if to_be_sent and not campaign.on_sidecar:
                    raise CallRefused(
                        409,
                        ErrorCode.VENDOR_NOT_ON_SIDECAR,
                        f"campaigns of vendor {campaign.vendor_uid} are sent by PHP's own crons; "
                        "move the vendor first: sidecar cutover",
                    )
                return campaign
        raise CallRefused(404, ErrorCode.CAMPAIGN_UNKNOWN, f"PHP knows no campaign {campaign_uid}")

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
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.exists(keys.lease(campaign_lease(campaign.campaign_uid)))
        pipeline.hexists(keys.CAMPAIGNS, campaign.campaign_uid)
        pipeline.get(keys.wait(campaign.campaign_uid))
        held, listed, waits = await pipeline.execute()
        return CampaignAnswer(
            campaign_uid=campaign.campaign_uid,
            vendor_uid=campaign.vendor_uid,
            state=campaign.state,
            reason=campaign.reason,
            active=bool(held or listed),
            waits_for=None if waits is None else waits.decode(errors="replace"),
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


def _cancelled() -> CallRefused:
    return CallRefused(
        409,
        ErrorCode.CAMPAIGN_CANCELLED,
        "the campaign was cancelled; to start it again, call send",
    )
