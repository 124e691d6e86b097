"""How long halts of campaigns stand."""

import pytest

from contracts.campaigns import CampaignState
from sidecar.clock import now_ms
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.halts import KEEP_S, Halt, Halts, state_of


@pytest.mark.parametrize("state", [CampaignState.PAUSED, CampaignState.CANCELLED])
async def test_a_halt_goes_some_time_after_php_has_it(redis: Redis, state: CampaignState) -> None:
    """PHP gives no rows out for such a campaign, and Redis is not filled with those of long ago."""
    halts, halt = Halts(redis), Halt(state, "lunch")
    await halts.put("c", "v", halt)
    assert await redis.ttl(keys.halt("c")) == -1, "PHP may not know"
    await halts.acknowledge("c", halt, now_ms())
    assert KEEP_S[state] - 60 <= await redis.ttl(keys.halt("c")) <= KEEP_S[state]
    await halts.put("c", "v", halt)
    assert await redis.ttl(keys.halt("c")) == -1


@pytest.mark.parametrize("by_person", [False, True])
async def test_it_is_kept_whether_a_person_wanted_it(redis: Redis, by_person: bool) -> None:
    halts, halt = Halts(redis), Halt(CampaignState.PAUSED, "lunch", by_person=by_person)
    await halts.put("c", "v", halt)
    await halts.acknowledge("c", halt, 5)
    found = await halts.find("c")
    assert found is not None
    assert (found.by_person, found.acknowledged_at) == (by_person, 5)
    assert await halts.lift("c", found)


async def test_one_that_an_earlier_version_has_stored_can_be_lifted(redis: Redis) -> None:
    stored = b'{"state":"paused","reason":"132015","acknowledged_at":5}'
    await redis.set(keys.halt("c"), stored)
    halts = Halts(redis)
    halt = await halts.find("c")
    assert halt == Halt(CampaignState.PAUSED, "132015", 5)
    assert halt.dump() == stored
    assert await halts.lift("c", halt)


async def test_a_pause_does_not_replace_a_cancellation_that_php_does_not_know(
    redis: Redis,
) -> None:
    halts, cancelled = Halts(redis), Halt(CampaignState.CANCELLED, "stop it")
    assert await halts.put("c", "v", cancelled)
    assert not await halts.put("c", "v", Halt(CampaignState.PAUSED, "lunch"))
    assert await halts.find("c") == cancelled
    assert await halts.put("c", "v", Halt(CampaignState.CANCELLED, "really"))
    await halts.acknowledge("c", Halt(CampaignState.CANCELLED, "really"), 5)
    assert await halts.put("c", "v", Halt(CampaignState.PAUSED)), "it is PHP that says no now"


async def test_what_php_knows_is_said_of_the_halt_that_it_was_told_of(redis: Redis) -> None:
    halts, first = Halts(redis), Halt(CampaignState.PAUSED, "lunch")
    await halts.put("c", "v", first)
    later = Halt(CampaignState.CANCELLED, "stop it")
    await halts.put("c", "v", later)
    await halts.acknowledge("c", first, 5)
    assert await halts.find("c") == later
    assert await halts.lift_seen("c", first) == later
    assert await halts.lift_seen("c", None) == later
    assert await halts.lift_seen("other", later) is None


async def test_a_halt_is_lifted_though_php_learns_of_it_at_that_moment(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    halts, halt = Halts(redis), Halt(CampaignState.PAUSED, "lunch")
    await halts.put("c", "v", halt)
    original = Halts.lift

    async def as_php_learns_of_it(self: Halts, uid: str, found: Halt) -> bool:
        await self.acknowledge(uid, halt, 5)
        return await original(self, uid, found)

    monkeypatch.setattr(Halts, "lift", as_php_learns_of_it)
    assert await halts.lift_seen("c", halt) is None
    assert await halts.find("c") is None


@pytest.mark.parametrize(
    ("kept", "halt", "state"),
    [
        ("running", None, "running"),
        ("running", Halt(CampaignState.PAUSED), "paused"),
        ("running", Halt(CampaignState.PAUSED, acknowledged_at=5), "running"),
        ("paused", Halt(CampaignState.CANCELLED), "cancelled"),
        ("cancelled", Halt(CampaignState.PAUSED), "cancelled"),
    ],
)
def test_whose_word_counts(kept: str, halt: Halt | None, state: str) -> None:
    assert state_of(CampaignState(kept), halt) == state
