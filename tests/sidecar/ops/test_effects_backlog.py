"""Effects that wait, and why."""

import orjson
import pytest

from contracts.effects import EffectKind
from sidecar.ops import effects_backlog
from sidecar.ops.effects_backlog import WaitingEffects, read_effects
from sidecar.redis import keys
from sidecar.redis.client import Redis

NOW = 1_000_000
KIND = EffectKind.FORWARD


async def put(
    redis: Redis, vendor_uid: str, id_: str, due_at: int, reason: str | None = None
) -> None:
    await redis.sadd(keys.outbox(KIND), vendor_uid)
    await redis.zadd(keys.outbox_of(KIND, vendor_uid), {id_: due_at})
    body = {"reason": reason} if reason else {}
    await redis.hset(keys.effects(KIND, vendor_uid), id_, orjson.dumps(body))


async def read(redis: Redis) -> WaitingEffects:
    [found] = [one for one in await read_effects(redis, NOW) if one.kind is KIND]
    return found


async def test_every_kind_is_read_though_nothing_waits(redis: Redis) -> None:
    found = await read_effects(redis, NOW)
    assert [one.kind for one in found] == list(EffectKind)
    assert found[0] == WaitingEffects(found[0].kind, 0, 0, 0, 0.0, {})


async def test_how_many_wait_and_for_how_long(redis: Redis) -> None:
    await put(redis, "v-1", "a", NOW - 5000)
    await put(redis, "v-1", "b", NOW)
    await put(redis, "v-1", "c", NOW + 1)
    await put(redis, "v-2", "d", NOW - 2000)
    assert await read(redis) == WaitingEffects(KIND, 4, 2, 3, 5.0, {})


async def test_what_is_not_due_is_not_overdue(redis: Redis) -> None:
    await put(redis, "v-1", "a", NOW + 60_000)
    found = await read(redis)
    assert (found.waiting, found.due, found.overdue_s) == (1, 0, 0.0)


async def test_why_the_first_of_each_vendor_has_not_worked(redis: Redis) -> None:
    for vendor_uid, reason in (("v-1", "502"), ("v-2", "timeout"), ("v-3", "502"), ("v-4", None)):
        await put(redis, vendor_uid, "a", NOW - 1, reason)
        await put(redis, vendor_uid, "b", NOW, "not looked at")
    assert list((await read(redis)).reasons.items()) == [("502", 2), ("timeout", 1)]


async def test_an_effect_that_ends_meanwhile(redis: Redis) -> None:
    await put(redis, "v-1", "a", NOW, "502")
    await redis.delete(keys.effects(KIND, "v-1"))
    assert (await read(redis)).reasons == {}
    await redis.delete(keys.outbox_of(KIND, "v-1"))
    assert (await read(redis)).waiting == 0


async def test_all_vendors_are_counted_and_some_looked_at(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effects_backlog, "MAX_VENDORS", 2)
    for number in range(3):
        await put(redis, f"v-{number}", "a", NOW)
    found = await read(redis)
    assert (found.vendors, found.waiting) == (3, 2)
