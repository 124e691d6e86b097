"""``POST /internal/effects``: all effects of a call are taken or none."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from contracts.effects import EffectKind
from sidecar.redis import keys
from simulator.redis_pair import RedisPair
from tests.conftest import MakeSettings
from tests.contracts.odd_json import ODD
from tests.eventually import eventually
from tests.sidecar.answering_php import Php
from tests.sidecar.service import VENDOR, Service, running

PATH = "/internal/effects"
GOOD = '{"kind": "forward", "id": "good", "body": {"n": 1}}'


@pytest.fixture(autouse=True)
def vendor(php: Php) -> None:
    php.add_vendor(VENDOR)


async def post(service: Service, *effects: str, vendor: str = VENDOR) -> tuple[int, Any]:
    body = f'{{"vendor_uid": "{vendor}", "effects": [{", ".join(effects)}]}}'.encode()
    answer = await service.call("POST", PATH, body)
    return answer.status_code, answer.json()


async def waiting(service: Service) -> int:
    names = [keys.effects(kind, VENDOR) for kind in EffectKind]
    return sum([await service.redis.hlen(name) for name in names])


async def test_each_id_is_taken_once(service: Service) -> None:
    none = {"taken": 0, "known": 0, "left_out": 0, "forgotten": 0}
    assert await post(service, GOOD) == (200, {**none, "taken": 1})
    assert await post(service, GOOD) == (200, {**none, "known": 1})
    assert await waiting(service) == 1


async def test_they_are_taken_when_a_replica_has_them(
    make_settings: MakeSettings, php: Php, tmp_path: Path
) -> None:
    with RedisPair(tmp_path) as pair:
        url = pair.primary.url
        settings = make_settings(
            backend_url=php.url,
            redis_url=url,
            redis_replicas_in_sync=1,
            redis_replicas_timeout_ms=100,
        )
        async with running(settings, url) as service:
            pair.replica.suspend()
            status, answer = await post(service, GOOD)
            assert (status, answer["error"]["code"]) == (503, "redis_unavailable")
            pair.replica.resume()

            async def taken() -> bool:
                return (await post(service, GOOD))[0] == 200

            await eventually(taken)
            assert await waiting(service) == 1


async def test_one_that_may_have_been_sent_before_redis_was_wiped(service: Service) -> None:
    again = '{"kind": "send_message", "id": "x", "to": "49", "message": {}, "asked_at": 1}'
    none = {"taken": 0, "known": 0, "left_out": 0, "forgotten": 0}
    assert await post(service, again) == (200, {**none, "forgotten": 1})
    assert await waiting(service) == 0


async def test_a_vendor_that_php_does_not_know(service: Service) -> None:
    status, answer = await post(service, GOOD, vendor="nobody")
    assert (status, answer["error"]["code"]) == (404, "vendor_unknown")


EFFECTS = {
    "send_message": '{"kind": "send_message", "id": "x", "to": "49", "message": {"a": %s}}',
    "ai_reply": '{"kind": "ai_reply", "id": "x", "conversation": "c", "provider": "p", '
    '"messages": [{"role": "user", "content": "?"}], "options": {"a": %s}}',
    "forward": '{"kind": "forward", "id": "x", "body": {"a": %s}}',
    "broadcast": '{"kind": "broadcast", "channels": ["c"], "event": "e", "data": {"a": %s}}',
    "expiry": '{"kind": "send_message", "id": "x", "to": "49", "message": {}, "expires_at": %s}',
    "unknown field": '{"kind": "forward", "id": "x", "body": {}, "new": %s}',
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("kind", EFFECTS)
async def test_what_cannot_be_passed_on_is_refused_and_named(
    service: Service, kind: str, odd: str
) -> None:
    text, what = ODD[odd]
    status, answer = await post(service, GOOD, EFFECTS[kind] % text)
    assert (status, answer["error"]["code"]) == (400, "request_invalid")
    assert answer["error"]["message"].startswith("effects.1: ")
    assert what in answer["error"]["message"]
    assert await waiting(service) == 0


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"effects": [', b"\xff", b"9" * 10_000])
async def test_what_is_no_call_is_refused(service: Service, body: bytes) -> None:
    answer = await service.call("POST", PATH, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "request_invalid")


async def test_a_body_that_is_the_largest_number(service: Service) -> None:
    assert (await post(service, EFFECTS["forward"] % str(2**64 - 1)))[0] == 200
    name = keys.effects(EffectKind.FORWARD, VENDOR)
    kept = orjson.loads(await service.redis.hget(name, "x") or b"")
    assert kept["effect"]["body"] == {"a": 2**64 - 1}
