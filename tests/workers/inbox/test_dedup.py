"""Recognising messages that PHP has."""

import pytest

from contracts.backend import UpdateKind
from contracts.jobs import Lane
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease, LeaseLost
from tests.workers.payloads import make_update
from workers.inbox.commit import Commit
from workers.inbox.dedup import Dedup


@pytest.fixture
def commit(redis: Redis, drain_lease_held: Lease) -> Commit:
    return Commit(redis, Lane.STATUSES, drain_lease_held)


async def test_what_php_has_is_recognised(redis: Redis, commit: Commit) -> None:
    dedup = Dedup(redis, 60)
    dedup.remember(make_update(wamid="wamid.1"), commit)
    again, other = make_update(wamid="wamid.1"), make_update(wamid="wamid.2")
    assert await dedup.known([again, other]) == set(), "before it is recorded"
    await commit.commit()
    assert await dedup.known([again, other]) == {again.id}


async def test_nothing_is_recognised_that_was_not_recorded(
    redis: Redis, commit: Commit, drain_lease_held: Lease
) -> None:
    dedup = Dedup(redis, 60)
    dedup.remember(make_update(wamid="wamid.1"), commit)
    await redis.set(drain_lease_held.key, "another's")
    with pytest.raises(LeaseLost):
        await commit.commit()
    assert await dedup.known([make_update(wamid="wamid.1")]) == set()


async def test_every_vendor_kind_and_id_is_recognised_by_itself(
    redis: Redis, commit: Commit
) -> None:
    dedup = Dedup(redis, 60)
    dedup.remember(make_update(wamid="wamid.1"), commit)
    await commit.commit()
    others = [
        make_update(wamid="wamid.2"),
        make_update(wamid="wamid.1", vendor_uid="vendor-2"),
        make_update(UpdateKind.ECHO, wamid="wamid.1"),
    ]
    assert await dedup.known(others) == set()


async def test_the_message_itself_reaches_php_after_what_stands_for_it(
    redis: Redis, commit: Commit
) -> None:
    dedup = Dedup(redis, 60)
    dedup.remember(make_update(wamid="wamid.1", provisional=True), commit)
    dedup.remember(make_update(wamid="wamid.2"), commit)
    await commit.commit()
    again, text = make_update(wamid="wamid.1", provisional=True), make_update(wamid="wamid.1")
    late = make_update(wamid="wamid.2", provisional=True)
    other = make_update(wamid="wamid.3", provisional=True)
    assert await dedup.known([again, text, late, other]) == {again.id, late.id}


async def test_ids_are_compared_by_case(redis: Redis, commit: Commit) -> None:
    dedup = Dedup(redis, 60)
    dedup.remember(make_update(wamid="wamid.CaSe"), commit)
    await commit.commit()
    assert await dedup.known([make_update(wamid="wamid.cAsE")]) == set()


async def test_what_cannot_be_recognised_is_not_marked(redis: Redis, commit: Commit) -> None:
    dedup = Dedup(redis, 60)
    nameless = make_update()
    nameless.wamid = None
    for one in (
        make_update(UpdateKind.STATUS),
        make_update(UpdateKind.CHANGE),
        make_update(None),
        nameless,
    ):
        assert dedup.name(one) is None
        dedup.remember(one, commit)
    await commit.commit()
    assert await redis.keys(keys.dedup(0, "*").replace("0", "*")) == []


async def test_nothing_is_recognised_where_that_is_switched_off(
    redis: Redis, commit: Commit
) -> None:
    dedup = Dedup(redis, 0)
    dedup.remember(make_update(wamid="wamid.1"), commit)
    await commit.commit()
    assert await dedup.known([make_update(wamid="wamid.1")]) == set()


@pytest.mark.parametrize("count", [0, 1])
async def test_redis_is_not_asked_for_nothing(redis: Redis, count: int) -> None:
    await redis.aclose()
    assert await Dedup(redis, 60).known([make_update(UpdateKind.CHANGE)] * count) == set()
