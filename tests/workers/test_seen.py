"""Marks of messages that PHP has."""

import pytest

from contracts.backend import UpdateKind
from sidecar.redis_client import Redis
from tests.workers.payloads import item
from workers.inbox.dedup import Dedup


async def test_a_mark_is_found_again(redis: Redis) -> None:
    seen = Dedup(redis, 60)
    known, other = item(wamid="wamid.1"), item(wamid="wamid.2")
    key = seen.key(known)
    assert key is not None
    await redis.set(key, 1)
    again = item(wamid="wamid.1")
    assert await seen.which([again, other]) == {again.id}


def test_every_vendor_kind_and_id_has_a_mark_of_its_own(redis: Redis) -> None:
    seen = Dedup(redis, 60)
    marks = [
        seen.key(one)
        for one in (
            item(wamid="wamid.1"),
            item(wamid="wamid.2"),
            item(wamid="wamid.1", vendor_uid="vendor-2"),
            item(UpdateKind.ECHO, wamid="wamid.1"),
        )
    ]
    assert None not in marks
    assert len(set(marks)) == 4


def test_what_cannot_be_recognised_has_no_mark(redis: Redis) -> None:
    seen = Dedup(redis, 60)
    nameless = item()
    nameless.wamid = None
    for one in (item(UpdateKind.STATUS), item(UpdateKind.CHANGE), item(None), nameless):
        assert seen.key(one) is None


async def test_nothing_is_recognised_where_that_is_switched_off(redis: Redis) -> None:
    seen = Dedup(redis, 0)
    assert seen.key(item()) is None
    assert await seen.which([item()]) == set()


@pytest.mark.parametrize("count", [0, 1])
async def test_redis_is_not_asked_for_nothing(redis: Redis, count: int) -> None:
    await redis.aclose()
    assert await Dedup(redis, 60).which([item(UpdateKind.CHANGE)] * count) == set()
