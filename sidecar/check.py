"""``sidecar check``: does everything that the sidecar needs work, and what to do if not."""

import asyncio
import time
from typing import Any, cast

import click

from contracts import backend as contract
from sidecar import embedded, keys, logs
from sidecar.app import make_backend
from sidecar.backend import BackendError, BackendRefused
from sidecar.redis_client import UNAVAILABLE, RedisError, connect
from sidecar.settings import InvalidSettings, Settings, dramatiq_url

#: A vendor that cannot exist: PHP has to say so, and needs the right key to be asked.
_NOBODY = "00000000-0000-0000-0000-000000000000"


class _Report:
    def __init__(self) -> None:
        self.failed = False

    def ok(self, what: str, detail: str) -> None:
        click.echo(f"OK    {what}: {detail}")

    def warn(self, what: str, detail: str) -> None:
        click.echo(f"WARN  {what}: {detail}")

    def fail(self, what: str, detail: str) -> None:
        self.failed = True
        click.echo(f"FAIL  {what}: {detail}")


def check() -> int:
    """Print a line for each thing that was looked at, and return the exit code."""
    report = _Report()
    try:
        settings = Settings.load()
    except InvalidSettings as error:
        report.fail("settings", str(error))
        return 1
    logs.configure("error", "console", "check")
    report.ok("settings", "read, and each of them makes sense")
    if not settings.app_secrets:
        report.warn(
            "app secrets", "none are set here, so each vendor's own must come from PHP's settings"
        )
    try:
        with embedded.redis_url(settings) as redis_url:
            asyncio.run(_check_all(settings, redis_url, report))
    except embedded.EmbeddedFailed as error:
        report.fail("redis", str(error))
    return 1 if report.failed else 0


async def _check_all(settings: Settings, redis_url: str, report: _Report) -> None:
    await _check_redis(settings, redis_url, report)
    await _check_backend(settings, report)


async def _check_redis(settings: Settings, redis_url: str, report: _Report) -> None:
    client = connect(redis_url, timeout_s=2.0)
    other = connect(dramatiq_url(settings, redis_url), timeout_s=2.0)
    try:
        started = time.perf_counter()
        await client.set(keys.PROBE, 1, ex=60)
        took_ms = (time.perf_counter() - started) * 1000
        report.ok("redis", f"a write took {took_ms:.1f} ms")
        await other.execute_command("PING")  # type: ignore[no-untyped-call]
        report.ok("dramatiq's database", "answers")
        wanted = {
            "appendonly": ("yes", "an acknowledged webhook is lost if Redis dies"),
            "appendfsync": ("always", "the last second is lost if the machine dies"),
            "maxmemory-policy": ("noeviction", "Redis may throw webhooks away when full"),
        }
        for name, (value, harm) in wanted.items():
            answer = cast("dict[str, Any]", await client.config_get(name))
            found = {str(_text(k)): str(_text(v)) for k, v in answer.items()}.get(name)
            if found == value:
                report.ok(f"redis {name}", value)
            else:
                report.fail(f"redis {name}", f"is {found}: {harm}; set it to {value}")
    except (*UNAVAILABLE, RedisError) as error:
        report.fail("redis", f"{error}; is it running, and is redis_url right?")
    finally:
        await client.aclose()
        await other.aclose()


def _text(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value


async def _check_backend(settings: Settings, report: _Report) -> None:
    backend = make_backend(settings)
    try:
        started = time.perf_counter()
        answer = await backend.call(
            contract.VENDOR_CONFIG,
            contract.VendorConfigRequest(vendor_uids=[_NOBODY]),
            contract.VendorConfigAnswer,
            timeout_s=5.0,
        )
    except BackendRefused as error:
        report.fail("signature", f"PHP was reached and refused the call: {error}")
    except BackendError as error:
        report.fail("backend", f"{error}; is backend_url right, and does PHP run?")
    else:
        took_ms = (time.perf_counter() - started) * 1000
        report.ok("backend", f"{settings.backend_url} answered in {took_ms:.0f} ms")
        report.ok("signature", f"PHP accepted a call signed with key {settings.signing_key_id!r}")
        if _NOBODY not in answer.unknown:
            report.warn("contract", "PHP did not list a vendor that does not exist as unknown")
    finally:
        await backend.close()
