"""``sidecar check --deep``: what is checked before each migration step."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass

from contracts import backend as contract
from contracts.diagnosis import DiagnosisAnswer, DiagnosisRequest
from contracts.modes import ModesAnswer, ModesRequest
from sidecar.clock import now_ms
from sidecar.commands.checks.basic import read_config
from sidecar.commands.checks.clocks import Reading, judge_clock, judge_time_zone
from sidecar.commands.checks.crons import judge_crons
from sidecar.commands.checks.line import Line, fail
from sidecar.commands.checks.machine import judge_disk, judge_open_files, read_disk, read_open_files
from sidecar.commands.checks.media import judge_media
from sidecar.commands.checks.modes import judge_modes
from sidecar.commands.checks.php import judge_call_back, judge_php
from sidecar.commands.checks.public import check_public
from sidecar.commands.checks.redis import judge_redis, read_redis
from sidecar.commands.checks.schema import judge_schema
from sidecar.commands.checks.workers import judge_processes
from sidecar.http.routes.ping import TOKEN_TTL_S
from sidecar.ops.processes import Process, read_processes
from sidecar.php.client import Backend, BackendError
from sidecar.redis import keys
from sidecar.redis.client import AnyRedisError, Redis
from sidecar.redis.clock import redis_now_us
from sidecar.settings import Settings

#: PHP calls the sidecar meanwhile.
_TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Public:
    """Where Meta posts webhooks, and the vendor whose verification is tried there."""

    url: str
    vendor_uid: str | None = None


async def check_deep(
    settings: Settings, redis: Redis | None, backend: Backend | None, public: Public | None
) -> AsyncIterator[Line]:
    """``redis`` and ``backend`` are None where they are known not to answer."""
    processes: list[Process] = []
    token = secrets.token_hex(16)
    if redis is not None:
        try:
            # The sidecar on this Redis knows it when PHP brings it.
            await redis.set(keys.check(token), 1, ex=TOKEN_TTL_S)
            processes = await read_processes(redis)
            async for line in _redis(settings, redis, processes):
                yield line
        except AnyRedisError as error:
            yield fail("redis", str(error), "check that it runs, and that redis_url is right")
    for line in judge_open_files(read_open_files(processes), settings):
        yield line
    if backend is not None:
        async for line in _php(settings, token, backend):
            yield line
    if public is not None:
        async for line in check_public(public.url, public.vendor_uid):
            yield line


async def _redis(settings: Settings, redis: Redis, processes: list[Process]) -> AsyncIterator[Line]:
    for line in judge_redis(await read_redis(redis), settings.inbox_memory_share, processes):
        yield line
    asked = now_ms()
    theirs = await redis_now_us(redis) // 1000
    yield judge_clock(Reading("Redis", theirs, asked, now_ms()), settings.signing_window_s)
    yield judge_disk(read_disk(settings, await read_config(redis, "dir")))
    for line in judge_processes(processes):
        yield line


async def _php(settings: Settings, token: str, backend: Backend) -> AsyncIterator[Line]:
    asked = now_ms()
    try:
        answer = await backend.call(
            contract.DIAGNOSIS,
            DiagnosisRequest(call_back=token),
            DiagnosisAnswer,
            timeout_s=_TIMEOUT_S,
        )
        answered = now_ms()
        modes = await backend.call(
            contract.MODES, ModesRequest(history=True), ModesAnswer, timeout_s=_TIMEOUT_S
        )
    except BackendError as error:
        yield fail(
            "php's side",
            str(error),
            "update the Laravel package to the sidecar's version, or check PHP's log",
        )
        return
    window_s = min(settings.signing_window_s, answer.php.signing_window_s)
    # Its answer came when its own call of the sidecar had ended.
    answered -= 0 if answer.call_back is None else answer.call_back.took_ms
    for whose, theirs in (("PHP", answer.now), ("the database", answer.database.now)):
        yield judge_clock(Reading(whose, theirs, asked, max(asked, answered)), window_s)
    for line in judge_time_zone(answer.php):
        yield line
    for line in judge_php(answer, settings.signing_secrets):
        yield line
    yield judge_call_back(answer.call_back, answer.php)
    for line in judge_media(settings, answer.php):
        yield line
    for line in judge_schema(answer.tables):
        yield line
    for line in judge_modes(modes, answer.now):
        yield line
    for line in judge_crons(answer, modes):
        yield line
