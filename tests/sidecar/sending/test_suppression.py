"""Recipients that get nothing for a while."""

import pytest
from structlog.testing import capture_logs

from contracts.backend import SendError
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending import suppression
from sidecar.sending.suppression import Suppressed

BLOCKED = SendError(code=130403, message="the user has blocked this business")
DAY_S = 86_400


@pytest.fixture
def suppressed(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Suppressed:
    monkeypatch.setattr(suppression, "now_ms", lambda: 1_769_868_309_000)
    return Suppressed(redis, DAY_S)


async def test_what_their_messages_end_with(suppressed: Suppressed) -> None:
    await suppressed.add("v-1", {"991": BLOCKED})
    found = await suppressed.find("v-1", ["990", "991", "992"])
    assert list(found) == ["991"]
    assert found["991"].code == 130403
    assert found["991"].message == (
        "not sent: the recipient had this error on 2026-01-31 14:05:09Z: "
        "the user has blocked this business"
    )


async def test_it_is_of_one_vendor_and_for_a_while(suppressed: Suppressed, redis: Redis) -> None:
    await suppressed.add("v-1", {"991": BLOCKED, "992": BLOCKED})
    assert await suppressed.find("v-2", ["991", "992"]) == {}
    assert DAY_S - 60 < await redis.ttl(keys.suppressed("v-1", "991")) <= DAY_S


async def test_a_long_message_takes_no_room(suppressed: Suppressed) -> None:
    await suppressed.add("v-1", {"991": SendError(code=1, message="x" * 5000)})
    found = await suppressed.find("v-1", ["991"])
    assert found["991"].message.count("x") == 200


async def test_nobody_is_where_it_is_switched_off(redis: Redis) -> None:
    off = Suppressed(redis, 0)
    await off.add("v-1", {"991": BLOCKED})
    assert await redis.keys("*") == []
    await Suppressed(redis, DAY_S).add("v-1", {"991": BLOCKED})
    assert await off.find("v-1", ["991"]) == {}


async def test_no_recipients_no_round_trip(suppressed: Suppressed, redis: Redis) -> None:
    await redis.aclose()
    await suppressed.add("v-1", {})
    assert await suppressed.find("v-1", []) == {}


async def test_nobody_is_while_redis_is_away(
    suppressed: Suppressed, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await suppressed.add("v-1", {"991": BLOCKED})

    async def away(*_: object) -> None:
        raise ConnectionError("away")

    with capture_logs() as logs:
        with monkeypatch.context() as patch:
            patch.setattr(redis, "mget", away)
            for _ in range(3):
                assert await suppressed.find("v-1", ["991"]) == {}
        assert await suppressed.find("v-1", ["991"])
    assert [log["event"] for log in logs] == [
        "suppression.redis_unavailable",
        "suppression.redis_unavailable.resolved",
    ]
