"""Trying the answers of ``sidecar init`` at once: PHP, Redis, and whether the sidecar runs."""

from collections.abc import AsyncIterator
from enum import StrEnum

import httpx

from contracts import backend as contract
from contracts.signing import Refusal
from sidecar.commands.checks.basic import check_redis
from sidecar.commands.checks.line import Level, Line, fail, ok, warn
from sidecar.commands.checks.redis import judge_redis, read_redis
from sidecar.commands.checks.sentinels import check_sentinels
from sidecar.redis import keys
from sidecar.redis.client import AnyRedisError, Redis, connect, reason_of
from sidecar.url import next_database

_TIMEOUT_S = 3.0

_OF_ITS_OWN = (
    "take two databases of its own, redis://127.0.0.1:6379/4 say: whatever empties the other's, as "
    "php artisan cache:clear may, loses webhooks"
)
#: What Dramatiq's database holds, and our look at it.
_DRAMATIQS = (b"dramatiq", keys.PROBE.encode())

#: What of ``sidecar check --deep`` decides whether a Redis can be used at all.
_DECISIVE = ("redis version", "redis cluster", "redis role")


class Php(StrEnum):
    """What is at PHP's address."""

    PACKAGE = "package"
    OTHER = "other"
    NOTHING = "nothing"


async def probe_php(url: str) -> tuple[Php, Line]:
    """Make a call that the Laravel package refuses because it is not signed."""
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT_S) as client:
            answer = await client.post(f"{url}{contract.VENDOR_CONFIG}", content=b"{}")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        return Php.NOTHING, warn(
            "php", f"{url} does not answer yet: {reason}", "nginx makes this address, see below"
        )
    if answer.status_code == 401 and Refusal.SIGNATURE_MISSING in answer.text:
        return Php.PACKAGE, ok("php", f"the Laravel package answers at {url}")
    if answer.status_code == 503 and "maintenance" in answer.text:
        what = "the application is in maintenance"
        return Php.OTHER, warn("php", f"{url} says that {what}", "run php artisan up")
    what = f"{url} answers {answer.status_code}, and not as the Laravel package does"
    return Php.OTHER, warn("php", what, "install the package, see below; or is it another address?")


async def probe_redis(url: str) -> AsyncIterator[Line]:
    """Look whether it is there, takes writes, is new enough, and keeps what it has answered."""
    redis = connect(url, timeout_s=_TIMEOUT_S)
    dramatiq = connect(next_database(url), timeout_s=_TIMEOUT_S)
    try:
        answers = True
        async for line in check_redis(redis, dramatiq):
            answers &= line.what != "redis" or line.level != Level.FAIL
            yield line
        async for line in check_sentinels([url]):
            yield line
        if answers:
            for line in judge_redis(await read_redis(redis), 1.0, []):
                if line.what in _DECISIVE:
                    yield line
            yield await _shared(redis, dramatiq)
    except AnyRedisError as error:
        yield fail("redis", reason_of(error), "check that it runs, and that redis_url is right")
    finally:
        await redis.aclose()
        await dramatiq.aclose()


async def _shared(redis: Redis, dramatiq: Redis) -> Line:
    """Look whether another application uses these databases."""
    others = await redis.dbsize() - await redis.exists(keys.PROBE)
    if others and not await redis.exists(keys.NONCES_SINCE, keys.PROCESSES, keys.METRICS):
        return warn("redis database", f"holds {others} keys of something else", _OF_ITS_OWN)
    async for key in dramatiq.scan_iter(count=100):
        if not key.startswith(_DRAMATIQS):
            return warn("redis database", "the next one holds keys of something else", _OF_ITS_OWN)
    return ok("redis database", "this one and the next are the sidecar's alone")


def serves(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether a sidecar answers there."""
    try:
        answer = httpx.get(f"http://{host}:{port}/healthz", trust_env=False, timeout=_TIMEOUT_S)
    except httpx.HTTPError:
        return False
    return answer.status_code == 200 and '"status"' in answer.text
