"""Noting what PHP handles: it costs the webhook nothing, and takes no more room than it may."""

import asyncio
from typing import Any, cast

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from sidecar.clock import now_ms
from sidecar.metrics import METRICS, SHADOW_WEBHOOKS
from sidecar.redis import keys
from sidecar.redis.client import Hash, Redis, connect
from sidecar.shadow import recorder as shadow
from sidecar.shadow.recorder import ShadowRecorder
from tests.eventually import eventually
from tests.sidecar.answering_php import Php
from tests.sidecar.conftest import MakeService
from tests.sidecar.payloads import message_webhook, status_webhook
from tests.sidecar.service import VENDOR

AT = 1_750_000_000_123


async def recorded(redis: Redis, vendor_uid: str = VENDOR) -> list[tuple[int, bytes]]:
    """Return what waits to be compared: when it was received, and the body."""
    command = cast(Any, redis).execute_command
    entries = await command("XRANGE", keys.shadow(vendor_uid), "-", "+")
    return [(int(at), body) for _, (at, body) in entries]


async def counts(redis: Redis, vendor_uid: str = VENDOR) -> dict[str, int]:
    """Return what was counted today."""
    day = keys.parity_day(vendor_uid, shadow.day_of(now_ms()))
    found = cast(Hash, await redis.hgetall(day))
    return {name.decode(): int(value) for name, value in found.items()}


def tallied(result: str) -> float:
    return METRICS.counter(SHADOW_WEBHOOKS, result).value


# -- noting --


async def test_what_is_recorded_is_there_as_it_came(redis: Redis) -> None:
    one = ShadowRecorder(redis)
    for body in (b"{}", b"\xff\x00", b""):
        one.record(VENDOR, body, AT)
    one.record("w", b"another's", AT + 1)
    assert await recorded(redis) == [], "a webhook must not wait for Redis"
    await one.close()
    assert await recorded(redis) == [(AT, b"{}"), (AT, b"\xff\x00"), (AT, b"")]
    assert await recorded(redis, "w") == [(AT + 1, b"another's")]
    assert await redis.get(keys.shadow_bytes(VENDOR)) == b"4"
    assert await redis.smembers(keys.SHADOWED) == {VENDOR.encode(), b"w"}
    assert await counts(redis) == {"recorded": 3}
    ttl = await redis.ttl(keys.parity_day(VENDOR, shadow.day_of(now_ms())))
    assert 0 < ttl <= 14 * 86_400


@pytest.mark.parametrize(
    ("bound", "value"), [("STREAM_WEBHOOKS", 2), ("STREAM_BYTES", 11)], ids=["webhooks", "bytes"]
)
async def test_a_vendors_stream_is_bounded(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(shadow, bound, value)
    before = tallied("dropped")
    one = ShadowRecorder(redis)
    for body in (b"first", b"second", b"third"):
        one.record(VENDOR, body, AT)
    one.record("w", b"other", AT)
    await one.close()
    assert [body for _, body in await recorded(redis)] == [b"first", b"second"]
    assert len(await recorded(redis, "w")) == 1, "one vendor's flood is not another's"
    assert await counts(redis) == {"recorded": 2, "dropped": 1}
    assert int(await redis.hget(keys.parity(VENDOR), "dropped_at") or 0) >= AT
    assert tallied("dropped") == before + 1


@pytest.mark.parametrize(
    ("bound", "value"), [("BUFFER_WEBHOOKS", 2), ("BUFFER_BYTES", 11)], ids=["webhooks", "bytes"]
)
async def test_the_memory_is_bounded(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(shadow, bound, value)
    one = ShadowRecorder(redis)
    for body in (b"first", b"second", b"third"):
        one.record(VENDOR, body, AT)
    await one.close()
    assert [body for _, body in await recorded(redis)] == [b"first", b"second"]
    assert await counts(redis) == {"recorded": 2, "dropped": 1}
    one.record(VENDOR, b"fourth", AT)
    await one.close()
    assert len(await recorded(redis)) == 3, "there is room again"


async def test_without_redis_it_is_dropped_and_counted_later(redis: Redis) -> None:
    away = connect("redis://127.0.0.1:9/0", timeout_s=0.5)
    one = ShadowRecorder(away)
    with capture_logs() as logs:
        for _ in range(3):
            one.record(VENDOR, b"lost", AT)
        await one.close()
    await away.aclose()
    assert [entry["event"] for entry in logs] == ["shadow.not_recorded"]
    assert "lost" not in str(logs)
    one._record = ShadowRecorder(redis)._record  # it is there again
    one.record(VENDOR, b"kept", AT)
    await one.close()
    assert [body for _, body in await recorded(redis)] == [b"kept"]
    assert await counts(redis) == {"recorded": 1, "dropped": 3}


async def test_webhooks_that_the_sidecar_handles_come_first(redis: Redis) -> None:
    """Redis may be filled to half of what webhooks may take."""
    used = int((await redis.info("memory"))["used_memory"])
    await redis.config_set("maxmemory", int(used * 1.5))
    try:
        one = ShadowRecorder(redis, memory_share=0.8)
        one.record(VENDOR, b"too much", AT)
        await one.close()
        assert await recorded(redis) == []
        await redis.config_set("maxmemory", int(used * 4))
        await eventually(lambda: _recorded_again(one, redis), every_s=0.05)
    finally:
        await redis.config_set("maxmemory", 0)


async def _recorded_again(one: ShadowRecorder, redis: Redis) -> bool:
    one.record(VENDOR, b"again", AT)
    await one.close()
    return bool(await recorded(redis))


async def test_whoever_is_cancelled_leaves_nothing_behind(redis: Redis) -> None:
    one = ShadowRecorder(redis)
    one.record(VENDOR, b"{}", AT)
    await asyncio.sleep(0)
    assert one._writer is not None
    one._writer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await one.close()
    one.record(VENDOR, b"{}", AT)
    await one.close()
    assert one._size == 0
    kept = await counts(redis)
    assert kept["recorded"] + kept.get("dropped", 0) >= 2


# -- what is compared --


@pytest.mark.parametrize(
    ("modes", "messages", "statuses"),
    [
        ({"webhooks": "shadow"}, True, True),
        ({"webhooks": "php", "bots": "shadow"}, True, False),
        ({"webhooks": "sidecar", "bots": "shadow"}, True, False),
        ({"webhooks": "sidecar", "bots": "sidecar"}, False, False),
        ({"webhooks": "php"}, False, False),
    ],
)
async def test_what_is_recorded_by_mode(
    make_service: MakeService,
    php: Php,
    modes: dict[str, str],
    messages: bool,
    statuses: bool,
) -> None:
    php.vendors[VENDOR]["modes"] = {"campaigns": "php", "bots": "php", **modes}
    php.override = lambda call: (
        web.Response(text="done") if call.target.startswith("/whatsapp-webhook") else None
    )
    service = await make_service()
    bodies = [message_webhook(1), status_webhook(2)]
    for body in bodies:
        assert (await service.webhook(body)).status_code == 200
    await service.app.state.shadow.close()
    expected = [body for body, wanted in zip(bodies, (messages, statuses), strict=True) if wanted]
    assert [body for _, body in await recorded(service.redis)] == expected
