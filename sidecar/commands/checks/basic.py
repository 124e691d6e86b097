"""Settings, Redis, PHP and the signature: what is always checked."""

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

from redis.exceptions import OutOfMemoryError

from contracts import backend as contract
from sidecar.commands.checks.line import Line, fail, ok, warn
from sidecar.commands.checks.media import check_media
from sidecar.commands.checks.redis_access import judge_access, read_access
from sidecar.php.client import IN_MAINTENANCE, Backend, BackendError, BackendRefused
from sidecar.redis import keys
from sidecar.redis.client import AnyRedisError, Redis, ResponseError, reason_of
from sidecar.settings import Settings

#: A vendor that cannot exist: PHP has to say so, and needs the right key to be asked.
NOBODY = "00000000-0000-0000-0000-000000000000"

DRAMATIQ = "dramatiq's database"

#: What Redis must be set to, and what happens otherwise.
DURABLE = {
    "appendonly": ("yes", "an acknowledged webhook is lost if Redis dies"),
    "appendfsync": ("always", "the last second is lost if the machine dies"),
    "maxmemory-policy": ("noeviction", "Redis may evict webhooks when full"),
}


def check_settings(settings: Settings) -> Iterator[Line]:
    yield ok("settings", "valid")
    if not settings.app_secrets:
        yield warn("app secrets", "none are set here, so PHP must have one for each vendor")
    yield from check_media(settings)


async def check_redis(redis: Redis, dramatiq: Redis) -> AsyncIterator[Line]:
    """Look at the Redis of the inbox, and at the database that Dramatiq has."""
    try:
        yield ok("redis", await _write(redis))
        yield judge_access(await read_access(redis))
        for name, (value, harm) in DURABLE.items():
            yield await _durable(redis, name, value, harm)
    except AnyRedisError as error:
        yield fail("redis", *_why(error, "redis_url"))
    try:
        yield ok(DRAMATIQ, await _write(dramatiq))
    except AnyRedisError as error:
        yield fail(DRAMATIQ, *_why(error, "dramatiq_redis_url, or else redis_url's next database,"))


async def _write(redis: Redis) -> str:
    started = time.perf_counter()
    await redis.set(keys.PROBE, 1, ex=60)
    return f"a write took {(time.perf_counter() - started) * 1000:.1f} ms"


async def _durable(redis: Redis, name: str, value: str, harm: str) -> Line:
    try:
        found = await read_config(redis, name)
    except ResponseError:  # of a managed one, CONFIG is the provider's
        return warn(f"redis {name}", "Redis refuses CONFIG", f"make sure that it is {value}")
    if found == value:
        return ok(f"redis {name}", value)
    return fail(f"redis {name}", f"is {found}: {harm}", f"set it to {value}")


def _why(error: Exception, setting: str) -> tuple[str, str]:
    """Return what is wrong with a Redis, and what to do."""
    reason = reason_of(error)
    if isinstance(error, OutOfMemoryError):
        return f"is full: {reason}", "sidecar status says what fills it; raise maxmemory"
    if reason.startswith("MISCONF"):
        return f"cannot write to its disk: {reason}", "check Redis's log, and whether it is full"
    return reason, f"check that it runs, and that {setting} is right"


async def read_config(redis: Redis, name: str) -> str | None:
    """Return one of Redis's own settings; None if it does not have it."""
    answer = cast("dict[Any, Any]", await redis.config_get(name))
    return {_text(key): _text(value) for key, value in answer.items()}.get(name)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def what_to_do(error: BackendError) -> str:
    """Return what a person may do about a call of PHP that fails."""
    if str(error).startswith(IN_MAINTENANCE):
        return "run php artisan up when the work on it is done; nothing is lost meanwhile"
    return "check that backend_url is right, and that PHP runs"


async def check_backend(backend: Backend, settings: Settings) -> AsyncIterator[Line]:
    """Make a call that PHP must accept, and that concerns nobody."""
    try:
        started = time.perf_counter()
        answer = await backend.call(
            contract.VENDOR_CONFIG,
            contract.VendorConfigRequest(vendor_uids=[NOBODY]),
            contract.VendorConfigAnswer,
            timeout_s=5.0,
        )
    except BackendRefused as error:
        yield fail("signature", f"PHP refused the call: {error}")
    except BackendError as error:
        yield fail("backend", str(error), what_to_do(error))
    else:
        took_ms = (time.perf_counter() - started) * 1000
        yield ok("backend", f"{settings.backend_url} answered in {took_ms:.0f} ms")
        yield ok("signature", f"PHP accepted a call signed with key {settings.signing_key_id!r}")
        if NOBODY not in answer.unknown:
            yield warn("contract", "PHP did not report a vendor that does not exist as unknown")
