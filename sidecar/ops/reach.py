"""What ``sidecar status`` tries to reach by itself: Dramatiq's Redis, the public address, and the
Sentinels."""

import asyncio

import aiohttp
from yarl import URL

from sidecar.ops.report import Reached
from sidecar.redis.client import AnyRedisError, connect, reason_of
from sidecar.redis.sentinel import no_failover, primary_of
from sidecar.settings import Settings, dramatiq_url
from sidecar.url import read_sentinel_url

TIMEOUT_S = 1.5

#: How the reason begins if there is no room for wake-ups.
FULL = "it is full"

#: What anybody may ask, and nobody counts: the route is there, and takes other methods.
_PATH = "/webhook/status"


async def read_reached(settings: Settings, redis_url: str) -> Reached:
    """Try all. Without a public address, or Sentinels, there is nothing to say of them."""
    dramatiq, public, failover = await asyncio.gather(
        dramatiq_problem(settings, redis_url),
        _public(settings.public_url),
        failover_problem(redis_url),
    )
    return Reached(dramatiq, public, failover)


async def failover_problem(redis_url: str) -> str | None:
    """Return why nothing would take the place of Redis's primary if it died, or None."""
    if (named := read_sentinel_url(redis_url)) is None:
        return None
    seen, silent = await asyncio.to_thread(primary_of(named).sightings)
    return no_failover(seen, len(seen) + len(silent))


async def _public(url: str | None) -> str | None:
    return None if url is None else await public_problem(url)


async def dramatiq_problem(settings: Settings, redis_url: str) -> str | None:
    """Return why the wake-ups' Redis cannot be used, or None. Writes nothing."""
    client = connect(dramatiq_url(settings, redis_url), timeout_s=TIMEOUT_S)
    try:
        await client.ping()
        memory = await client.info("memory")
        persistence = await client.info("persistence")
    except AnyRedisError as error:
        return reason_of(error)
    finally:
        await client.aclose()
    limit = memory.get("maxmemory", 0)
    if limit and memory["used_memory"] >= limit and memory["maxmemory_policy"] == "noeviction":
        return f"{FULL}: it uses all of its maxmemory, {limit / 1e6:.0f} MB"
    if persistence.get("aof_last_write_status", "ok") != "ok":
        return "it cannot write its append-only file"
    return None


async def public_problem(url: str) -> str | None:
    """Return why Meta's webhooks cannot come in at this address, as far as can be told from here.
    The answer to a method that nobody takes shows that nginx and what it leads to run."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    asked = URL(url.rstrip("/") + _PATH, encoded=True)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as client,
            client.request("OPTIONS", asked, allow_redirects=False) as answer,
        ):
            return f"it answers {answer.status}" if answer.status >= 500 else None
    except TimeoutError:
        return f"no answer within {TIMEOUT_S:g} s"
    except (aiohttp.ClientError, ValueError) as error:
        return str(error) or type(error).__name__
