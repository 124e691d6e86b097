"""PHP names effects that cannot be passed on: the update is settled as PHP has said."""

import pytest

from contracts import backend as contract
from contracts.effects import EffectKind
from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.effects.outbox import make_outbox
from sidecar.redis import keys
from tests.contracts.odd_json import ODD
from tests.workers.conftest import MakeLane
from tests.workers.payloads import VENDOR, message, webhook
from tests.workers.php import Answer, Call, Php

GOOD = '{"kind": "forward", "id": "good", "body": {}}'


def naming(php: Php, path: str, effect: str) -> None:
    """Have PHP say ``done`` of each, and name effects for it."""

    def rule(call: Call) -> Answer:
        found = []
        for one in call.json.get("updates") or call.json["answers"]:
            effects = f"[{effect}, {GOOD}]"
            found.append(f'{{"id": "{one["id"]}", "result": "done", "effects": {effects}}}')
        return Answer(200, f'{{"results": [{", ".join(found)}]}}'.encode())

    php.when(path, rule)


@pytest.mark.parametrize("odd", ODD)
async def test_an_update_whose_effects_cannot_be_passed_on_is_done(
    make_lane: MakeLane, php: Php, odd: str
) -> None:
    bad = f'{{"kind": "send_message", "id": "x", "to": "1", "message": {{"a": {ODD[odd][0]}}}}}'
    naming(php, contract.PROCESS_WEBHOOKS, bad)
    lane = make_lane(Lane.MESSAGES)
    await lane.receive(webhook(messages=[message("1", "wamid.1"), message("2", "wamid.2")]))
    await lane.drain()
    assert await lane.waiting() == 0
    assert not await lane.deferred()
    assert not await lane.redis.exists(keys.DEAD)
    assert sorted(php.wamids) == ["wamid.1", "wamid.2"], "PHP was asked once about each"
    outbox = make_outbox(lane.settings, lane.redis)
    due = await outbox.due(EffectKind.FORWARD, VENDOR, now_ms(), 10)
    assert [queued.id for queued in due] == ["good"]
    assert not await outbox.due(EffectKind.SEND_MESSAGE, VENDOR, now_ms(), 10)


async def test_an_update_with_a_huge_integer_is_forwarded(make_lane: MakeLane, php: Php) -> None:
    naming(php, contract.PROCESS_WEBHOOKS, '{"kind": "forward", "id": "whole"}')
    lane = make_lane(Lane.MESSAGES)
    body = webhook(messages=[message("1", "wamid.1", n=77777)]).replace(b"77777", b"7" * 30)
    await lane.receive(body)
    await lane.drain()
    assert not await lane.deferred()
    outbox = make_outbox(lane.settings, lane.redis)
    due = await outbox.due(EffectKind.FORWARD, VENDOR, now_ms(), 10)
    assert {queued.id for queued in due} == {"whole", "good"}
