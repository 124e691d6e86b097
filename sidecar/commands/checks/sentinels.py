"""The Sentinels, and whether a replica can take the primary's place."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sidecar.commands.checks.basic import DURABLE, read_config
from sidecar.commands.checks.line import Line, fail, ok, warn
from sidecar.redis.client import AnyRedisError, Redis, connect, reason_of
from sidecar.redis.sentinel import Sighting, no_failover, primary_of
from sidecar.url import SentinelUrl, read_sentinel_url

WHAT = "sentinels"
_TIMEOUT_S = 2.0
#: With fewer a majority is gone with the first.
_FEWEST = 3
_MIN_REPLICAS = ("min-replicas-to-write", "min-replicas-max-lag")
#: A primary without a replica that is closer than this takes no writes, in seconds.
_MAX_LAG_S = 10


async def check_sentinels(
    urls: Sequence[str], *, deep: bool = False, in_sync: bool = False
) -> AsyncIterator[Line]:
    """Look at the groups that these addresses name; at none where they name servers. ``deep``: at
    their settings too. ``in_sync``: nothing counts that no replica has."""
    named = [found for url in urls if (found := read_sentinel_url(url)) is not None]
    for url in {primary_of(url): url for url in named}.values():
        seen, silent = await asyncio.to_thread(primary_of(url).sightings)
        yield judge_sentinels(seen, silent)
        if deep and seen:
            for line in judge_quorum(seen):
                yield line
            async for server in _servers(url, max(seen, key=lambda one: one.epoch)):
                yield judge_server(server, in_sync)


def judge_sentinels(seen: Sequence[Sighting], silent: Mapping[str, str]) -> Line:
    every = len(seen) + len(silent)
    quiet = "".join(f"; {sentinel}: {reason}" for sentinel, reason in silent.items())
    if (why := no_failover(seen, every)) is not None:
        return fail(WHAT, why + quiet, "start Sentinels and replicas that do not run")
    primaries = Counter(one.primary for one in seen)
    replicas = max(len(one.replicas) for one in seen)
    primary = " or ".join(primaries)
    text = f"{len(seen)} of {every} answer; {primary} is the primary, replicas: {replicas}"
    if silent:
        return warn(WHAT, text + quiet, "start the Sentinels that do not run")
    if len(primaries) > 1:
        return warn(WHAT, text, "wait until they agree; if they do not, look at their network")
    return ok(WHAT, text)


def judge_quorum(seen: Sequence[Sighting]) -> Iterator[Line]:
    """Tell whether they would agree on a failover when they should, and only then."""
    sentinels, quorum = max(one.sentinels for one in seen), min(one.quorum for one in seen)
    what, text = "sentinel quorum", f"{quorum} of {sentinels} must agree that the primary is down"
    if sentinels < _FEWEST:
        yield warn(what, text, "run at least three, on machines of their own")
    elif quorum < 2:
        yield warn(what, text, "set it to 2, or one Sentinel with a bad network starts failovers")
    elif quorum > sentinels // 2 + 1:
        yield warn(what, text, f"set it to {sentinels // 2 + 1}: more need not be there")
    else:
        yield ok(what, text)


@dataclass(frozen=True, slots=True)
class Server:
    """Some of the settings of one of the group's servers; ``error``: why they cannot be read."""

    address: str
    settings: Mapping[str, str | None]
    error: str | None = None


async def _servers(url: SentinelUrl, seen: Sighting) -> AsyncIterator[Server]:
    for address in (seen.primary, *seen.replicas):
        client = connect(url.server(address), timeout_s=_TIMEOUT_S)
        try:
            yield Server(address, await _read(client))
        except AnyRedisError as error:
            yield Server(address, {}, reason_of(error))
        finally:
            await client.aclose()


async def _read(client: Redis) -> dict[str, str | None]:
    return {name: await read_config(client, name) for name in (*DURABLE, *_MIN_REPLICAS)}


def judge_server(server: Server, in_sync: bool) -> Line:
    """Tell whether what it has acknowledged outlives it. Any of them may be the primary one day."""
    what, settings = f"redis {server.address}", server.settings
    if server.error is not None:
        return warn(what, server.error, "look at its settings there, if it is only out of reach")
    for name, (value, harm) in DURABLE.items():
        if settings[name] != value:
            return fail(what, f"{name} is {settings[name]}: {harm}", f"set it to {value}")
    enough, lag_s = (int(settings[name] or 0) for name in _MIN_REPLICAS)
    if not in_sync and not (enough and 0 < lag_s <= _MAX_LAG_S):
        return warn(
            what,
            "as a primary that is cut off it goes on taking writes, which are lost",
            "set redis_replicas_in_sync, or at least min-replicas-to-write 1 and "
            f"min-replicas-max-lag {_MAX_LAG_S}",
        )
    return ok(what, "durable, and takes no writes for long that no replica has")
