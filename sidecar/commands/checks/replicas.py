"""Whether Redis's replicas have a write in time, if they must (``redis_replicas_in_sync``)."""

import time
from collections.abc import AsyncIterator

from sidecar.commands.checks.line import Line, fail, ok, warn
from sidecar.redis.client import AnyRedisError, Redis, reason_of
from sidecar.redis.replicas import with_replicas
from sidecar.settings import Settings

WHAT = "redis replicas"


async def check_replicas(redis: Redis, settings: Settings) -> AsyncIterator[Line]:
    replicas = with_replicas(redis, settings)
    if replicas is None:
        return
    started = time.perf_counter()
    try:
        reason = await replicas.look()
    except AnyRedisError as error:
        reason = reason_of(error)
    took = f"{(time.perf_counter() - started) * 1000:.1f} ms"
    if reason is not None:
        yield fail(
            WHAT,
            reason,
            "check with INFO replication that as many are online, and that they have appendonly "
            "yes and appendfsync always, as the primary has",
        )
    elif replicas.know_disks:
        yield ok(WHAT, f"{settings.redis_replicas_in_sync} had a write on disk within {took}")
    else:
        yield warn(
            WHAT,
            f"{settings.redis_replicas_in_sync} had a write within {took}, in memory: Redis does "
            "not say whether it is on their disks",
            "set appendonly yes, and use Redis 7.2 or newer, or Valkey",
        )
