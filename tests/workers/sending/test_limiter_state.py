"""What is told of numbers: how fast they are, and why one is slow."""

from typing import Any

import pytest

from sidecar.redis.client import Redis
from sidecar.sending.numbers import NumberState, numbers
from tests.workers.rows import CAMPAIGN, NUMBER
from tests.workers.simulated_time import held_lease
from tests.workers.slots import limits, recipients
from workers.sending.holds import Hold, Pause, Scope
from workers.sending.limiter import Limiter


@pytest.fixture
def limiter(redis: Redis) -> Limiter:
    return Limiter(redis, jitter=lambda: 0.0)


async def asked(redis: Redis, limiter: Limiter, wanted: int = 1, **more: Any) -> NumberState:
    lease = await held_lease(redis, CAMPAIGN)
    await limiter.grant(lease, CAMPAIGN, limits(80.0, **more), recipients(wanted))
    state = await limiter.state(NUMBER)
    assert state is not None
    return state


async def test_nothing_is_known_of_a_number_that_was_never_asked_for(
    redis: Redis, limiter: Limiter
) -> None:
    assert await limiter.state(NUMBER) is None
    assert await numbers(redis) == []


async def test_a_number_that_is_as_fast_as_it_may(redis: Redis, limiter: Limiter) -> None:
    state = await asked(redis, limiter)
    assert (state.number, state.configured_rate, state.effective_rate) == (NUMBER, 80, 80)
    assert (state.held, state.account_held, state.app_held) == (None, None, None)
    assert (state.budget, state.campaigns_wanting, state.reason) == (None, 0, None)
    assert state.asked_at == pytest.approx(limiter.clock.now(), abs=5)
    assert await numbers(redis) == [NUMBER]


async def test_campaigns_that_would_send_faster_are_counted(redis: Redis, limiter: Limiter) -> None:
    assert (await asked(redis, limiter, wanted=100)).campaigns_wanting == 1


async def test_a_throttled_number_says_so(redis: Redis, limiter: Limiter) -> None:
    await asked(redis, limiter)
    await limiter.throttled(NUMBER, limiter.clock.now(), "130429 too fast")
    state = await asked(redis, limiter)
    assert state.held is not None
    assert state.held.until == pytest.approx(limiter.clock.now() + 1, abs=0.9)
    assert state.reason == "130429 too fast"
    assert state.effective_rate == pytest.approx(64)
    await redis.hdel("number:110", "until")
    assert (await asked(redis, limiter)).reason == "throttled not long ago; the rate is climbing"


@pytest.mark.parametrize("scope", [Scope.ACCOUNT, Scope.APP])
async def test_what_it_belongs_to_is_held(redis: Redis, limiter: Limiter, scope: Scope) -> None:
    hold = Hold(Pause(scope, 60, 60), "too many calls")
    await limiter.hold(limits(80.0), hold, sent_at=limiter.clock.now())
    state = await asked(redis, limiter)
    held = state.account_held if scope is Scope.ACCOUNT else state.app_held
    assert held is not None
    assert held.until == pytest.approx(limiter.clock.now() + 60, abs=5)
    assert [state.account_held, state.app_held].count(None) == 1
    assert state.reason == "too many calls"


async def test_the_budget(redis: Redis, limiter: Limiter) -> None:
    state = await asked(redis, limiter, wanted=3, daily_recipients=4)
    assert state.budget is not None
    assert (state.budget.used, state.budget.limit, state.budget.free_at) == (3, 4, None)
    assert state.reason is None
    state = await asked(redis, limiter, wanted=3, daily_recipients=4)
    assert state.budget is not None
    assert state.budget.used == 4
    assert state.budget.free_at == pytest.approx(limiter.clock.now() + 86_400, abs=5)
    assert state.reason == "4 recipients of the portfolio in 24 hours are used up"
