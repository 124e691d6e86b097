"""When statuses were set is recorded with the batch that they came in, or not at all."""

from collections.abc import Callable, Iterator

import pytest

from contracts.backend import UpdateKind
from contracts.jobs import Lane
from sidecar.inbox import status_times
from sidecar.inbox.status_times import BUCKETS, KEEP_S, read_status_times
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease, LeaseLost
from tests.workers.payloads import VENDOR, make_update
from workers.inbox.commit import Commit
from workers.inbox.status_times import StatusTimes
from workers.inbox.update import Update

AT = 1_750_000_000
MakeCommit = Callable[[], Commit]


@pytest.fixture
def new_commit(redis: Redis, drain_lease_held: Lease) -> MakeCommit:
    return lambda: Commit(redis, Lane.STATUSES, drain_lease_held)


def said(wamid: str, name: str = "sent", at: int | None = AT, vendor: str = VENDOR) -> Update:
    status = UpdateKind.STATUS
    return make_update(status, wamid=wamid, status_name=name, status_at=at, vendor_uid=vendor)


async def known(redis: Redis, wamid: str, vendor: str = VENDOR) -> dict[str, int]:
    [found] = await read_status_times(redis, [(vendor, wamid)])
    return found


async def test_nothing_is_recorded_before_the_commit(redis: Redis, new_commit: MakeCommit) -> None:
    commit = new_commit()
    StatusTimes(1000).record([said("w"), said("w", "read", AT + 2)], commit)
    assert await known(redis, "w") == {}
    await commit.commit()
    assert await known(redis, "w") == {"sent": 1000 * AT, "read": 1000 * (AT + 2)}
    assert await known(redis, "w", "vendor-2") == {}


async def test_nothing_is_recorded_when_the_lease_is_lost(
    redis: Redis, new_commit: MakeCommit, drain_lease_held: Lease
) -> None:
    commit = new_commit()
    StatusTimes(1000).record([said("w")], commit)
    await redis.set(drain_lease_held.key, "another's")
    with pytest.raises(LeaseLost):
        await commit.commit()
    assert await known(redis, "w") == {}


async def test_what_says_nothing_of_the_kind(redis: Redis, new_commit: MakeCommit) -> None:
    commit = new_commit()
    others = [said("w", at=None), said("w", "of the future"), make_update(), make_update(None)]
    StatusTimes(1000).record(others, commit)
    await commit.commit()
    assert await redis.keys(keys.status_times(0).replace("0", "*")) == []


async def test_none_are_kept(redis: Redis, new_commit: MakeCommit) -> None:
    commit = new_commit()
    StatusTimes(0).record([said("w")], commit)
    await commit.commit()
    assert await known(redis, "w") == {}


async def test_what_comes_twice_in_a_batch_is_recorded_once(
    redis: Redis, new_commit: MakeCommit
) -> None:
    commit = new_commit()
    StatusTimes(1000).record([said("w"), said("w"), said("w", at=AT + 1)], commit)
    await commit.commit()
    [bucket] = await redis.keys(keys.status_times(0).replace("0", "*"))
    assert await redis.strlen(bucket) == 2 * 13
    assert KEEP_S - 5 <= await redis.ttl(bucket) <= KEEP_S


async def test_the_newer_half_stays(
    redis: Redis, new_commit: MakeCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one bucket, in batches of every size: of the last so many, half at least and not more."""
    monkeypatch.setattr(status_times, "BUCKETS", 1)
    times, most = StatusTimes(20), 20
    number = 0
    for size in (1, 7, 13, 1, 20, 3, 45, 9, 1, 1):
        commit = new_commit()
        times.record([said(f"w{number + one}") for one in range(size)], commit)
        await commit.commit()
        number += size
        names = [(VENDOR, f"w{one}") for one in range(number)]
        found = [bool(one) for one in await read_status_times(redis, names)]
        kept = sum(found)
        assert min(number, most // 2) <= kept <= most
        assert found == [False] * (number - kept) + [True] * kept, "the newest"
        assert 0 < await redis.ttl(keys.status_times(0)) <= KEEP_S


def _batches(count: int) -> Iterator[list[Update]]:
    for first in range(0, count, 1000):
        yield [said(f"wamid.{number}") for number in range(first, first + 1000)]


async def test_what_a_status_takes_of_redis(redis: Redis, new_commit: MakeCommit) -> None:
    """However many there were, and when the buckets are about to lose half of themselves too."""
    limit = 20_000
    times, kept = StatusTimes(limit), []
    for batch in _batches(60_000):
        commit = new_commit()
        times.record(batch, commit)
        await commit.commit()
        sizes = [await redis.memory_usage(keys.status_times(one)) for one in range(BUCKETS)]
        kept.append(sum(size or 0 for size in sizes))
    assert max(kept) < 40 * limit, "what is stored takes that for each that may be"
    assert kept[-1] > 13 * limit / 2
