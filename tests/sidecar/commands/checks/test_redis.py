"""Redis, as it should be and as it should not."""

from typing import Any

import pytest

from sidecar.commands.checks.redis import RedisFacts, judge_redis, read_redis
from sidecar.ops.processes import Process
from sidecar.redis.client import Redis
from tests.sidecar.commands.checks.lines import levels

MB = 1024**2
GOOD: dict[str, Any] = {
    "redis_version": "7.2.11",
    "used_memory": 10 * MB,
    "maxmemory": 512 * MB,
    "role": "master",
    "cluster_enabled": 0,
    "aof_last_write_status": "ok",
    "connected_clients": 12,
}


def process(role: str, **fields: Any) -> Process:
    return Process(id=role, role=role, host="h", pid=1, since=0, heartbeat_age_s=0.0, **fields)


def judged(
    maxclients: int | None = 10_000, processes: list[Process] | None = None, **info: Any
) -> dict[str, str]:
    facts = RedisFacts({**GOOD, **info}, maxclients)
    return levels(judge_redis(facts, 0.8, processes or []))


def test_all_is_well() -> None:
    assert judged() == dict.fromkeys(
        ["redis version", "redis disk", "redis memory", "redis connections"], "OK"
    )


@pytest.mark.parametrize(
    ("what", "level", "info"),
    [
        ("redis version", "FAIL", {"redis_version": "6.2.14"}),
        ("redis version", "OK", {"redis_version": "7.0.0"}),
        ("redis version", "WARN", {"redis_version": "9.0.0"}),
        ("redis version", "WARN", {"redis_version": "7.2.4", "valkey_version": "8.0.1"}),
        ("redis version", "OK", {"redis_version": "7.2.4", "valkey_version": "9.1.2"}),
        ("redis cluster", "FAIL", {"cluster_enabled": 1}),
        ("redis role", "FAIL", {"role": "slave"}),
        ("redis disk", "FAIL", {"aof_last_write_status": "err"}),
        ("redis disk", "FAIL", {"aof_last_bgrewrite_status": "err"}),
        ("redis disk", "FAIL", {"loading": 1}),
        ("redis memory", "WARN", {"maxmemory": 0, "total_system_memory": 1024 * MB}),
        ("redis memory", "OK", {"used_memory": 327 * MB}),
        ("redis memory", "WARN", {"used_memory": 328 * MB}),
        ("redis memory", "FAIL", {"used_memory": 410 * MB}),
        ("redis connections", "WARN", {"connected_clients": 8001}),
    ],
)
def test_what_redis_says_of_itself(what: str, level: str, info: dict[str, Any]) -> None:
    assert judged(**info)[what] == level


@pytest.mark.parametrize(("maxclients", "level"), [(None, "WARN"), (199, "FAIL"), (200, "OK")])
def test_connections_that_the_processes_may_open(maxclients: int | None, level: str) -> None:
    dead = Process(id="d", role="worker", host="h", pid=2, since=0, heartbeat_age_s=1000.0)
    running = [process("serve"), process("worker"), process("worker"), dead]
    assert judged(maxclients, running)["redis connections"] == level


async def test_a_real_one(redis: Redis) -> None:
    facts = await read_redis(redis)
    assert facts.maxclients
    found = levels(judge_redis(facts, 0.8, []))
    assert found["redis version"] == "OK"
    assert found["redis disk"] == "OK"
    assert found["redis connections"] == "OK"
