"""What follows from an error for other messages: for the recipient, the campaign, the number, the
account and the app. The same whether an answer has told the error or a status."""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from functools import partial
from math import ceil

import structlog

from contracts.backend import CampaignState, SendError
from sidecar.redis import keys
from sidecar.redis.client import Redis, script
from sidecar.sending.campaigns import ErrorPath
from sidecar.sending.halts import Halt
from sidecar.sending.pauses import Paused, Pauses, own_name
from sidecar.sending.suppression import Suppressed
from sidecar.settings import Settings
from workers.sending.error_policy import Decision, reason_of
from workers.sending.holds import Hold, Scope
from workers.sending.limiter import Limiter
from workers.sending.limits import Limits

log = structlog.get_logger()

#: How long it is remembered how often an error came in a row.
COUNT_KEPT_S = 86_400


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of a campaign's message, and what was decided. ``at`` is when the message was sent
    or, where that is not known, when it failed: unix seconds. Of ``limits`` only the names
    matter. ``recipients``: the person's number and user id, as far as they are known."""

    vendor_uid: str
    campaign_uid: str
    limits: Limits
    recipients: tuple[str, ...]
    at: float
    error: SendError
    decision: Decision


@dataclass(frozen=True, slots=True)
class Streak:
    """What has come of an error that was counted. ``stopped``: the campaign is halted;
    ``reason``: by this error."""

    stopped: bool = False
    reason: str | None = None


#: What is to be done, by what it is done to: the last of several for the same is enough.
Actions = dict[Hashable, Callable[[], Awaitable[object]]]


class ErrorActions:
    """Does what follows. Everything may be done twice, and says the same then, but for
    :meth:`count`. With ``of_campaign`` false nothing follows for the campaign: replies have little
    in common, and those to others go on."""

    def __init__(
        self, settings: Settings, redis: Redis, limiter: Limiter, *, of_campaign: bool = True
    ) -> None:
        self._of_campaign = of_campaign
        self._stop_after = settings.campaign_error_streak
        self._redis = redis
        self._limiter = limiter
        self._pauses = Pauses(redis)
        self._failed = script(redis, "sending/failed")
        self.suppressed = Suppressed(redis, settings.suppress_s)

    def plan(self, failure: Failure) -> Actions:
        """Return what is to be done, but for what is counted or suppressed."""
        decision, limits = failure.decision, failure.limits
        actions: Actions = {}
        if decision.hold is not None:
            scope = decision.hold.pause.scope
            if scope is Scope.CAMPAIGN:
                name = failure.campaign_uid
                if self._of_campaign:
                    actions[scope, name] = partial(self._rest, name, decision.hold)
            elif limits.name(scope):
                actions[scope, limits.name(scope)] = partial(
                    self._limiter.hold, limits, decision.hold, sent_at=failure.at
                )
        for recipient in failure.recipients if decision.hold_pair_s else ():
            actions["pair", limits.line, recipient] = partial(
                self._limiter.hold_pair, limits.line, recipient, decision.hold_pair_s
            )
        if decision.pause is not None and limits.name(decision.pause):
            paused = _paused(decision.pause, failure)
            actions["pause", paused.name] = partial(self._pause, paused)
        return actions

    async def _rest(self, campaign_uid: str, hold: Hold) -> None:
        """Have the campaign send nothing for a while; it stays on the list (``campaign.py``)."""
        rest_s = hold.pause.first_s
        key = keys.wait(campaign_uid)
        if await self._redis.set(key, hold.reason, px=ceil(rest_s * 1000), get=True) is None:
            log.warning(
                "campaign.waiting", campaign=campaign_uid, reason=hold.reason, seconds=round(rest_s)
            )

    async def _pause(self, paused: Paused) -> None:
        if await self._pauses.put(paused):
            log.error(
                "number.paused",
                scope=paused.scope,
                id=paused.id,
                vendor=paused.vendor_uid,
                shared=paused.shared,
                reason=paused.reason,
            )

    async def count(self, failure: Failure, path: ErrorPath, times: int = 1) -> Streak:
        """Count an error of the campaign, and halt the campaign if it is to stop, by the error's
        class or because too many errors have come in a row that it may be at fault for."""
        decision = failure.decision
        at_once = decision.stops_campaign
        if not (self._of_campaign and (at_once or decision.counts)):
            return Streak()
        most = 1 if at_once else self._stop_after
        reason = reason_of(failure.error)
        if not at_once:
            reason = f"{most} errors in a row, the last one: {reason}"[:500]
        result = await self._failed(
            keys=[
                keys.errors(failure.campaign_uid, path),
                keys.halt(failure.campaign_uid),
                keys.CAMPAIGNS,
                keys.lifted(Scope.CAMPAIGN, failure.campaign_uid),
            ],
            args=[
                *(times, most, int(failure.at * 1000)),
                Halt(CampaignState.PAUSED, reason).dump(),
                *(failure.campaign_uid, failure.vendor_uid, COUNT_KEPT_S * 1000),
            ],
        )
        return Streak(stopped=result > 0, reason=reason if result == 1 else None)

    async def worked(self, campaign_uid: str, path: ErrorPath) -> None:
        """End the campaign's errors in a row."""
        await self._redis.delete(keys.errors(campaign_uid, path))


def _paused(scope: Scope, failure: Failure) -> Paused:
    limits, decision = failure.limits, failure.decision
    name = limits.number if decision.alone else limits.name(scope)
    own = own_name(failure.vendor_uid, "")
    alone = decision.alone or scope is Scope.TOKEN or name.startswith(own)
    return Paused(
        scope=scope.value,
        id=name.removeprefix(own),
        vendor_uid=failure.vendor_uid,
        code=failure.error.code,
        reason=reason_of(failure.error),
        at=int(failure.at * 1000),
        shared=not alone,
    )
