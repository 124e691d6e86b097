"""The halt of a campaign: it stands in Redis at once, and PHP is told of it until it knows.

A person's halt (``paused`` or ``cancelled``, set by the sidecar) PHP knows already. One of our own
carries its reason (``paused:`` and the reason) for as long as PHP does not know it.
"""

from typing import cast

from contracts.backend import CampaignState
from sidecar import keys
from sidecar.redis_client import Redis
from workers.release import Release

_UNTOLD = f"{CampaignState.PAUSED}:".encode()


class Halt:
    def __init__(self, redis: Redis, release: Release, campaign_uid: str) -> None:
        self._redis = redis
        self._release = release
        self._key = keys.halt(campaign_uid)

    async def stands(self) -> bool:
        """Tell whether the campaign is halted."""
        return bool(await self._redis.exists(self._key))

    async def pause(self, reason: str) -> None:
        """Halt the campaign, unless somebody else has."""
        await self._redis.set(self._key, _UNTOLD + reason.encode(), nx=True)

    async def tell_php(self) -> None:
        """Have PHP keep that the campaign is paused and why, if it does not know. Raises
        ``BackendError``; then it is to be called again."""
        value = cast("bytes | None", await self._redis.get(self._key))
        if value is None or not value.startswith(_UNTOLD):
            return
        await self._release.pause_campaign(value.removeprefix(_UNTOLD).decode())
        await self._redis.set(self._key, CampaignState.PAUSED.value, xx=True)
