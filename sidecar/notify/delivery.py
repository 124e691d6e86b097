"""From the queue of each target to the target."""

import asyncio

import structlog
from pydantic import ValidationError

from contracts.notifications import Notification
from sidecar.notify.target import NotTaken, Target
from sidecar.ops.notifications import Notifications, TargetState
from sidecar.php.backoff import Backoff
from sidecar.redis.client import Redis
from sidecar.redis.clock import redis_now_us
from sidecar.redis.lease import Lease

log = structlog.get_logger()

#: Pauses of a target that does not take what it is sent, seconds.
PAUSES = Backoff(5.0, 600.0)
LONGEST_MS = int(PAUSES.longest * 1000)
#: What no target has taken for so long is given up.
GIVE_UP_MS = 86_400_000


class Delivery:
    """Sends to each target what waits for it, in order, until one is not taken."""

    def __init__(self, redis: Redis, stored: Notifications, targets: dict[str, Target]) -> None:
        self._redis = redis
        self._stored = stored
        self._targets = targets

    async def run(self, lease: Lease) -> None:
        """Send what is due to all targets at once, so that none waits for another."""
        states = await self._stored.targets(self._targets)
        gone = [state.name for state in states if state.name not in self._targets]
        await self._stored.forget_targets(lease, gone)
        due = [one for one in states if one.waiting and one.name in self._targets]
        sending = (self._send_to(lease, state) for state in due)
        for outcome in await asyncio.gather(*sending, return_exceptions=True):
            if outcome is not None:
                raise outcome

    async def _send_to(self, lease: Lease, state: TargetState) -> None:
        target = self._targets[state.name]
        for _ in range(state.waiting):
            now = await redis_now_us(self._redis) // 1000
            raw = await self._stored.next(state.name)
            # A longer wait than there is: the clock was set back since.
            waits = 0 < state.again_at - now <= LONGEST_MS
            if raw is None or lease.lost.is_set() or waits:
                return
            reason = await _send(target, raw)
            if not reason:
                state = await self._stored.taken(lease, state, raw)
                log.info("notification.sent", target=state.name)
            elif now - _made_at(raw) < GIVE_UP_MS:
                await self._failed(lease, state, reason, now)
                return
            else:
                state = await self._stored.give_up(lease, state, raw, now)

    async def _failed(self, lease: Lease, state: TargetState, reason: str, now: int) -> None:
        again_at = now + int(PAUSES.pause(state.failures + 1) * 1000)
        state = await self._stored.failed(lease, state, reason, now, again_at)
        log.warning(
            "notification.not_sent", target=state.name, reason=reason, failures=state.failures
        )


async def _send(target: Target, raw: bytes) -> str:
    """Send what is stored, and return why it was not taken; nothing if it was. If the process dies
    meanwhile, it is sent once more."""
    try:
        await target.send(Notification.model_validate_json(raw))
    except NotTaken as error:
        return str(error)
    except Exception as error:
        # A fault of ours with this one must not keep the others from people for ever.
        log.exception("notification.failed")
        return f"a fault of the sidecar's own ({type(error).__name__}); its log says more"
    return ""


def _made_at(raw: bytes) -> int:
    """Return when a notification was made (unix ms); what cannot be read is as old as can be."""
    try:
        return Notification.model_validate_json(raw).at
    except ValidationError:
        return 0
