"""How long halts of campaigns stand."""

import pytest

from contracts.backend import CampaignState
from sidecar.clock import now_ms
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.halts import KEEP_S, Halt, Halts


@pytest.mark.parametrize("state", [CampaignState.PAUSED, CampaignState.CANCELLED])
async def test_a_halt_goes_some_time_after_php_has_it(redis: Redis, state: CampaignState) -> None:
    """PHP gives no rows out for such a campaign, and Redis is not filled with those of long ago."""
    halts, halt = Halts(redis), Halt(state, "lunch")
    await halts.put("c", "v", halt)
    assert await redis.ttl(keys.halt("c")) == -1, "PHP may not know"
    await halts.told("c", halt, now_ms())
    assert KEEP_S[state] - 60 <= await redis.ttl(keys.halt("c")) <= KEEP_S[state]
    await halts.put("c", "v", halt)
    assert await redis.ttl(keys.halt("c")) == -1
