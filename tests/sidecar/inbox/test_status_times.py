"""When statuses were set: what a record holds, and what is found of it."""

from typing import Any

import pytest

from contracts.cloud_api.webhook import STATUS_RANK
from sidecar.inbox.status_times import (
    BUCKETS,
    NAMES,
    bucket_bytes,
    read_status_times,
    record_of,
    second_of,
)
from sidecar.redis import keys
from sidecar.redis.client import Redis

V, W = "vendor-1", "wamid.1"
AT = 1_750_000_000
RECORD_BYTES = 13


async def put(redis: Redis, message: tuple[str, str], *statuses: tuple[str, int]) -> None:
    for status, at in statuses:
        found = record_of(message, status, at)
        assert found is not None
        await redis.append(keys.status_times(found[0]), found[1])


def test_every_status_that_has_a_rank_has_a_place_and_keeps_it() -> None:
    """What is in Redis says which it is by its place alone."""
    assert set(NAMES) == set(STATUS_RANK)
    in_order = ("accepted", "held_for_quality_assessment", "sent", "failed")
    assert NAMES[:7] == (*in_order, "delivered", "read", "played")


@pytest.mark.parametrize(
    ("timestamp", "second"),
    [
        ("1750000000", AT),
        (AT, AT),
        ("0", 0),
        (2**32 - 1, 2**32 - 1),
        (2**32, None),
        ("9999999999", None),
        ("1" * 11, None),
        ("1" * 5000, None),
        ("-1", None),
        (-1, None),
        ("1.5", None),
        (1.5, None),
        ("१२", None),
        ("", None),
        (True, None),
        (None, None),
        ([AT], None),
    ],
)
def test_when_a_status_was_set(timestamp: Any, second: int | None) -> None:
    assert second_of(timestamp) == second


async def test_each_message_has_its_own(redis: Redis) -> None:
    messages = [(V, f"wamid.{number}") for number in range(500)]
    for number, message in enumerate(messages):
        await put(redis, message, ("read", AT + number), ("sent", AT))
    assert await read_status_times(redis, messages[::50]) == [
        {"read": 1000 * (AT + number), "sent": 1000 * AT} for number in range(0, 500, 50)
    ]
    assert len(await redis.keys("*")) > BUCKETS / 2
    others = [("vendor-2", "wamid.1"), (V, "wamid.500"), (V, "")]
    assert await read_status_times(redis, others) == [{}, {}, {}]
    assert await read_status_times(redis, []) == []


async def test_of_one_that_was_said_more_than_once_the_earliest_counts(redis: Redis) -> None:
    await put(redis, (V, W), ("sent", AT + 5), ("sent", AT), ("sent", AT + 9), ("read", AT + 7))
    [found] = await read_status_times(redis, [(V, W)])
    assert found == {"sent": 1000 * AT, "read": 1000 * (AT + 7)}


async def test_only_a_whole_record_is_one(redis: Redis) -> None:
    """A message's mark may stand across two records of others."""
    found = record_of((V, W), "sent", AT)
    assert found is not None
    bucket, record = found
    across = b"\0" * 9 + record[:4] + record[4:] + b"\0" * 4
    assert len(across) == 2 * RECORD_BYTES
    await redis.set(keys.status_times(bucket), across)
    assert await read_status_times(redis, [(V, W)]) == [{}]
    await redis.append(keys.status_times(bucket), record)
    assert await read_status_times(redis, [(V, W)]) == [{"sent": 1000 * AT}]


async def test_a_status_of_a_later_version_is_passed_over(redis: Redis) -> None:
    assert record_of((V, W), "of the future", AT) is None
    assert record_of((V, W), None, AT) is None
    found = record_of((V, W), "sent", AT)
    assert found is not None
    unknown = found[1][:8] + bytes((len(NAMES),)) + found[1][9:]
    await redis.set(keys.status_times(found[0]), unknown + found[1])
    assert await read_status_times(redis, [(V, W)]) == [{"sent": 1000 * AT}]


@pytest.mark.parametrize("limit", [1, 256, 1000, 1_000_000])
def test_a_bucket_has_room_for_its_share(limit: int) -> None:
    size = bucket_bytes(limit)
    assert size % (2 * RECORD_BYTES) == 0
    assert size <= max(2 * BUCKETS, limit) * RECORD_BYTES / BUCKETS
    assert size > limit * RECORD_BYTES / BUCKETS - 2 * RECORD_BYTES
