"""No slots for what a person must resume, nor for a campaign that rests."""

import pytest

from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.pauses import Paused, Pauses
from tests.workers.rows import CAMPAIGN, NUMBER
from tests.workers.simulated_time import held_lease
from tests.workers.slots import limits, recipients
from workers.sending.limiter import CampaignRests, Grant, Limiter, NumberPaused

VENDOR = "vendor-1"


@pytest.fixture
def limiter(redis: Redis) -> Limiter:
    return Limiter(redis, jitter=lambda: 0.0)


async def ask(redis: Redis, limiter: Limiter, campaign: str = CAMPAIGN) -> Grant:
    lease = await held_lease(redis, campaign)
    return await limiter.grant(lease, campaign, limits(80.0), recipients(1))


@pytest.mark.parametrize(
    "paused",
    [
        Paused("number", NUMBER, VENDOR, 131048, "131048 spam limit", 5),
        Paused("account", "account-1", VENDOR, 131031, "131031 locked", 5),
        Paused("token", VENDOR, VENDOR, 190, "190 expired", 5, shared=False),
    ],
    ids=lambda paused: paused.scope,
)
async def test_nothing_until_a_person_resumes_it(
    redis: Redis, limiter: Limiter, paused: Paused
) -> None:
    await Pauses(redis).put(paused)
    with pytest.raises(NumberPaused) as told:
        await ask(redis, limiter)
    assert str(told.value) == str(paused)
    await Pauses(redis).lift([paused])
    assert (await ask(redis, limiter)).count == 1


async def test_a_campaign_that_rests_alone(redis: Redis, limiter: Limiter) -> None:
    await redis.set(keys.wait(CAMPAIGN), "134101 template still syncing")
    with pytest.raises(CampaignRests, match=CAMPAIGN):
        await ask(redis, limiter)
    assert (await ask(redis, limiter, "another campaign")).count == 1
