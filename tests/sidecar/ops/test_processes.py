"""Which processes run, by what they have written."""

from typing import Any

import orjson
import pytest

from sidecar.ops.processes import SET_BACK_MS, SILENT_S, Process, holder_of, read_processes
from sidecar.ops.publisher import KEEP_MS
from sidecar.redis import keys
from sidecar.redis.client import Redis


async def write(redis: Redis, id_: str, *, heartbeat_age_s: float = 0.0, **values: Any) -> None:
    state = {"role": "worker", "host": "h", "pid": 1, "since": 1, **values}
    await redis.sadd(keys.PROCESSES, id_)
    left_ms = KEEP_MS - int(heartbeat_age_s * 1000)
    await redis.set(keys.process(id_), orjson.dumps(state), px=left_ms)


async def test_none(redis: Redis) -> None:
    assert await read_processes(redis) == []


async def test_the_oldest_comes_first(redis: Redis) -> None:
    for id_, since in (("a", 30), ("b", 10), ("c", 20)):
        await write(redis, id_, since=since)
    assert [one.id for one in await read_processes(redis)] == ["b", "c", "a"]


async def test_what_a_later_version_says_is_left_out(redis: Redis) -> None:
    await write(redis, "a", queues=["messages"], of_a_later_version=1)
    [process] = await read_processes(redis)
    assert (process.id, process.name, process.queues) == ("a", "h:1", ["messages"])
    assert process.alive


async def test_one_that_has_expired_is_left_out(redis: Redis) -> None:
    await redis.sadd(keys.PROCESSES, "gone")
    assert await read_processes(redis) == []


@pytest.mark.parametrize(
    ("heartbeat_age_s", "alive"),
    [
        (SILENT_S - 1, True),
        (SILENT_S, False),
        (3600.0, False),
        # Redis's clock was set back, by little and by much.
        (1 - SET_BACK_MS / 1000, True),
        (-1 - SET_BACK_MS / 1000, False),
    ],
)
async def test_who_is_silent_is_not_alive(
    redis: Redis, heartbeat_age_s: float, alive: bool
) -> None:
    await write(redis, "a", heartbeat_age_s=heartbeat_age_s)
    [process] = await read_processes(redis)
    assert process.alive is alive
    assert process.heartbeat_age_s >= 0


def test_the_holder_of_a_lease_is_alive() -> None:
    dead = Process("a", "worker", "h", 1, 1, heartbeat_age_s=SILENT_S, leases=["drain:messages"])
    living = Process("b", "worker", "h", 2, 1, heartbeat_age_s=0.0, leases=["drain:messages"])
    assert holder_of([dead, living], "drain:messages") == "h:2"
    assert holder_of([dead], "drain:messages") is None
    assert holder_of([living], "drain:statuses") is None
