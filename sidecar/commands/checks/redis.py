"""Redis: its version, its memory, its disk, its connections."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from sidecar.commands.checks.basic import read_config
from sidecar.commands.checks.line import Line, fail, ok, warn
from sidecar.commands.checks.tested import TRY, untested
from sidecar.format import many, size, version_of
from sidecar.ops.processes import Process
from sidecar.redis.client import Redis

#: Connections that one process may have open, its wake-ups included.
CONNECTIONS = {"serve": 40, "worker": 80}

_OLDEST = (7,)


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """``info``: what INFO says. ``maxclients`` is None where Redis does not tell."""

    info: dict[str, Any]
    maxclients: int | None


async def read_redis(redis: Redis) -> RedisFacts:
    """Raises what redis-py raises."""
    try:
        maxclients = await read_config(redis, "maxclients")
    except ResponseError:
        maxclients = None
    return RedisFacts(await redis.info(), int(maxclients) if maxclients else None)


def judge_redis(facts: RedisFacts, share: float, processes: list[Process]) -> Iterator[Line]:
    """``share``: the part of maxmemory up to which webhooks are taken."""
    yield _version(facts.info)
    yield from _role(facts.info)
    yield _disk(facts.info)
    yield _memory(facts.info, share)
    yield _clients(facts, processes)


def _version(info: dict[str, Any]) -> Line:
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info.get("redis_version"))
    if version_of(version) < _OLDEST:
        return fail("redis version", f"is {version}", "the sidecar needs Redis 7 or newer")
    if (why := untested(name.lower(), version)) is not None:
        return warn("redis version", f"is {name} {version}, {why}", TRY)
    return ok("redis version", f"{name} {version}")


def _role(info: dict[str, Any]) -> Iterator[Line]:
    if info.get("cluster_enabled"):
        yield fail("redis cluster", "is on, which is not supported", "use a Redis without it")
    if info.get("role", "master") != "master":
        yield fail("redis role", "this is a replica", "set redis_url to its primary")


def _disk(info: dict[str, Any]) -> Line:
    for name, what in (
        ("aof_last_write_status", "the last write to the append-only file"),
        ("aof_last_bgrewrite_status", "the last rewrite of the append-only file"),
    ):
        if info.get(name, "ok") != "ok":
            return fail(
                "redis disk", f"{what} failed", "check Redis's log, and whether its disk is full"
            )
    if info.get("loading"):
        return fail("redis disk", "Redis is still loading its data", "wait until it has finished")
    return ok("redis disk", "writes succeed")


def _memory(info: dict[str, Any], share: float) -> Line:
    used, limit = int(info["used_memory"]), int(info.get("maxmemory", 0))
    what = "redis memory"
    if not limit:
        machine = int(info.get("total_system_memory", 0))
        return warn(
            what,
            f"{size(used)} used, with no limit: the kernel kills a process when the machine's "
            f"{size(machine)} are full",
            "set maxmemory to half of what the machine can spare",
        )
    text = f"{size(used)} of {size(limit)} used"
    if used >= share * limit:
        return fail(
            what,
            f"{text}: above {share:.0%} webhooks are answered with 503",
            "sidecar status says what fills it; raise maxmemory if there is room",
        )
    if used >= 0.8 * share * limit:
        return warn(
            what,
            f"{text}; above {share:.0%} webhooks are answered with 503",
            "see sidecar status",
        )
    return ok(what, f"{text}, {size(int(share * limit) - used)} left for webhooks")


def _clients(facts: RedisFacts, processes: list[Process]) -> Line:
    what = "redis connections"
    if facts.maxclients is None:
        return warn(what, "Redis does not say what maxclients is")
    alive = [process.role for process in processes if process.alive] or list(CONNECTIONS)
    need = sum(CONNECTIONS.get(role, 0) for role in alive)
    connected = int(facts.info.get("connected_clients", 0))
    of = many(len(alive), "process", "processes")
    text = (
        f"{connected} open; {of} of the sidecar may open {need}; maxclients is {facts.maxclients}"
    )
    if facts.maxclients < need:
        return fail(what, text, "raise maxclients, and Redis's open file limit")
    if connected > 0.8 * facts.maxclients:
        return warn(what, text, "raise maxclients, or find what opens so many")
    return ok(what, text)
