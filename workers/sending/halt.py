"""Telling PHP of a campaign's halt until it knows (``sidecar/sending/halts.py``)."""

from contracts.backend import ErrorCode
from contracts.campaigns import CampaignState
from sidecar.clock import now_ms
from sidecar.php.client import BackendRefused
from sidecar.redis.client import Redis
from sidecar.sending import halts
from workers.sending.release import Release


class CampaignHalt:
    """The halt of one campaign, as whoever sends it sees it."""

    def __init__(self, redis: Redis, release: Release, campaign_uid: str) -> None:
        self._halts = halts.Halts(redis)
        self._release = release
        self._campaign_uid = campaign_uid

    async def stands(self) -> bool:
        """Tell whether the campaign is halted."""
        return await self._halts.find(self._campaign_uid) is not None

    async def pause(self, reason: str) -> None:
        """Halt the campaign, unless somebody else has."""
        halt = halts.Halt(CampaignState.PAUSED, reason)
        await self._halts.put_if_none(self._campaign_uid, halt)

    async def tell_php(self) -> None:
        """Have PHP keep that the campaign is halted and why, if it does not know. Raises
        ``BackendError``; then it is to be called again."""
        halt = await self._halts.find(self._campaign_uid)
        if halt is None or halt.acknowledged_at is not None:
            return
        cancelled = False
        try:
            await self._release.keep_state(halt.state, halt.reason)
        except BackendRefused as error:
            if error.code != ErrorCode.CAMPAIGN_CANCELLED:
                raise
            cancelled = True  # by a person, before the pause
        await self._halts.acknowledge(self._campaign_uid, halt, now_ms(), cancelled=cancelled)
