"""``sidecar find``: what is printed, and how it ends."""

import orjson

from contracts import backend as contract
from sidecar.commands.find import time_text
from sidecar.redis.client import Redis
from tests.sidecar.answering_php import Answer, Call, Php, json_answer
from tests.sidecar.commands.conftest import RunBesidePhp
from tests.sidecar.service import VENDOR

ROW = {
    "uid": "row-1",
    "vendor_uid": VENDOR,
    "campaign_uid": "c-1",
    "status": 2,
    "created_at": 1_700_000_000_000,
    "results": ["failed:1700000005250"],
    "error_status": "131026",
    "to": "999700000001",
}
MESSAGE = {
    "uid": "m-1",
    "vendor_uid": VENDOR,
    "incoming": True,
    "wamid": "wamid.1",
    "wa_id": "999700000001",
    "created_at": 1_700_000_009_000,
}


def knows(php: Php, **answer: object) -> None:
    def override(call: Call) -> Answer | None:
        return json_answer(answer) if call.target == contract.FIND else None

    php.override = override


async def test_a_timeline(run_beside_php: RunBesidePhp, php: Php, redis: Redis) -> None:
    contact = {"uid": "p", "vendor_uid": VENDOR, "wa_id": "999700000001", "name": "A\x1bda"}
    knows(php, rows=[ROW], messages=[MESSAGE], contacts=[contact], more=["messages"])
    result = await run_beside_php("find", "999700000001", "--vendor", VENDOR)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        f'contact   p  "A da"  999700000001  of vendor {VENDOR}',
        f"message   wamid.1  999700000001  of vendor {VENDOR}",
        f"message   row-1  of vendor {VENDOR}",
        "",
        "NOW",
        "  message row-1: it has failed, and stays in PHP's queue",
        "  campaign c-1 is unknown to PHP",
        "",
        "WHAT HAPPENED",
        "AT                        SAYS     OF       WHAT",
        "2023-11-14 22:13:20Z      php      row-1    queued for campaign c-1",
        "2023-11-14 22:13:25.250Z  sidecar  row-1    the send failed: message undeliverable "
        "(131026); what to do: these people do not get messages from this business; leave it at "
        "that",
        "2023-11-14 22:13:29Z      php      wamid.1  handed to PHP, which stored it",
    ]
    assert result.stderr == (
        "NOTE: there are more messages in PHP than are shown; the newest are\n"
    )
    assert php.asked(contract.FIND)[0].json["vendor_uid"] == VENDOR


async def test_of_one_message_it_is_not_named_in_each_line(
    run_beside_php: RunBesidePhp, php: Php, redis: Redis
) -> None:
    knows(php, messages=[MESSAGE])
    result = await run_beside_php("find", "wamid.1")
    assert "SAYS  WHAT" in result.stdout
    assert "NOW" not in result.stdout


async def test_as_json(run_beside_php: RunBesidePhp, php: Php, redis: Redis) -> None:
    knows(php, rows=[ROW])
    result = await run_beside_php("find", "row-1", "--json")
    assert result.exit_code == 0, result.output
    found = orjson.loads(result.stdout)
    assert [event["kind"] for event in found["events"]] == ["row.queued", "send.failed"]
    assert found["things"] == [
        {"kind": "message", "uid": "row-1", "vendor_uid": VENDOR, "title": None, "phone": None}
    ]


async def test_nothing_is_found(run_beside_php: RunBesidePhp, php: Php, redis: Redis) -> None:
    knows(php)
    result = await run_beside_php("find", "wamid.nobody")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "nothing was found for wamid.nobody\n"


async def test_php_is_too_old(run_beside_php: RunBesidePhp, php: Php, redis: Redis) -> None:
    php.override = lambda call: Answer(status=404, text="Not Found")
    result = await run_beside_php("find", "wamid.1")
    assert result.exit_code == 1
    assert "update the Laravel package" in result.stderr
    assert "nothing was found" not in result.stderr, "nobody knows"


async def test_redis_is_away(run_beside_php: RunBesidePhp, php: Php) -> None:
    knows(php, rows=[ROW])
    away = "redis://127.0.0.1:9/0"
    result = await run_beside_php("find", "row-1", SIDECAR_REDIS_URL=away)
    assert result.exit_code == 1
    assert "queued for campaign c-1" in result.stdout
    assert "this is only what PHP knows: Redis is unavailable" in result.stderr


async def test_a_search_of_one_letter(run_beside_php: RunBesidePhp, redis: Redis) -> None:
    result = await run_beside_php("find", "x")
    assert result.exit_code == 2
    assert "2 to 300 characters" in result.stderr


def test_milliseconds_are_shown_where_they_are_known() -> None:
    assert time_text(1_700_000_000_000) == "2023-11-14 22:13:20Z"
    assert time_text(1_700_000_000_007) == "2023-11-14 22:13:20.007Z"
