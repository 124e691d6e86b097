"""``POST /internal/modes``: PHP's admin moves vendors."""

from typing import Any

import orjson
import pytest
from httpx import Response

from contracts import sidecar_api as api
from sidecar.ops.audit import Audit, Who
from sidecar.redis import keys
from sidecar.redis.client import Redis
from tests.eventually import eventually
from tests.sidecar.answering_php import Call, Php, refusal
from tests.sidecar.conftest import MakeService
from tests.sidecar.service import VENDOR, Service


@pytest.fixture
async def service(make_service: MakeService) -> Service:
    return await make_service(cron_settle_s=0)


async def change(service: Service, **asked: Any) -> Response:
    body = {"vendor_uids": [VENDOR], "by": "Ada", "timeout_s": 0.2, **asked}
    return await service.call("POST", api.MODES, orjson.dumps(body))


async def test_a_vendor_is_moved(service: Service, php: Php) -> None:
    answer = await change(service, webhooks="sidecar", campaigns="sidecar", reason="why")
    assert answer.status_code == 200
    moved = {"webhooks": "sidecar", "campaigns": "sidecar", "bots": "php"}
    assert answer.json() == {
        "version": 2,
        "vendors": [{"vendor_uid": VENDOR, "modes": moved, "waits_for": None}],
    }
    assert {(past["by"], past["reason"]) for past in php.histories[VENDOR]} == {("Ada", "why")}


async def test_other_processes_learn_of_it(
    service: Service, make_service: MakeService, php: Php
) -> None:
    """A webhook goes to PHP, or into the inbox, as the vendor's mode says by then."""
    other = await make_service()
    php.vendors[VENDOR]["modes"] = php.modes_of(VENDOR)
    await other.webhook(b'{"first": 1}')
    assert len(php.webhooks) == 1
    # Before: the other process may ask as soon as it has learnt of the change.
    php.vendors[VENDOR]["modes"] = {**php.modes_of(VENDOR), "webhooks": "sidecar"}
    await change(service, webhooks="sidecar")

    async def taken() -> bool:
        await other.webhook(b'{"more": 1}')
        return bool(await other.bodies())

    await eventually(taken)


async def test_what_is_waited_for_is_in_the_answer(
    service: Service, redis: Redis, php: Php
) -> None:
    await change(service, campaigns="sidecar")
    await redis.hset(keys.LEDGERS, "c1", VENDOR)
    await redis.hset(keys.ledger("c1"), "row", "c:x")
    [moved] = (await change(service, campaigns="php")).json()["vendors"]
    assert moved["modes"]["campaigns"] == "held"
    assert moved["waits_for"] == "campaign c1: 1 row to be settled; no worker has it"


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"vendor_uids": [VENDOR, "nobody"], "bots": "php"}, 404, "vendor_unknown"),
        ({"webhooks": "held"}, 400, "request_invalid"),
        ({"bots": "held"}, 400, "request_invalid"),
        ({"bots": "both"}, 400, "request_invalid"),
        ({"bots": "php", "by": None}, 400, "request_invalid"),
        ({"bots": "php", "timeout_s": 301}, 400, "request_invalid"),
    ],
)
async def test_what_is_refused_changes_nothing(
    service: Service, php: Php, asked: dict[str, Any], status: int, code: str
) -> None:
    answer = await change(service, **asked)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert php.histories == {}


async def test_somebody_else_is_always_faster(service: Service, php: Php) -> None:
    def override(call: Call) -> Any:
        return refusal(409, "fence_stale") if b'"changes":[{' in call.body else None

    php.override = override
    answer = await change(service, bots="shadow")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "fence_stale")


async def test_php_is_down(service: Service, php: Php) -> None:
    php.override = lambda _call: refusal(503, "down")
    answer = await change(service, bots="shadow")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "backend_unavailable")


async def test_it_is_recorded(service: Service, redis: Redis, php: Php) -> None:
    await change(service, bots="shadow", reason="to see")
    await change(service, vendor_uids=[], bots="sidecar")
    await change(service, vendor_uids=["nobody"], bots="php")
    await change(service, webhooks="held")
    nobody, everybody, one = await Audit(redis, 100).read()
    assert (one.who, one.action, one.target) == (Who("php", "Ada"), "modes.change", VENDOR)
    assert (one.outcome, one.details) == (
        "done",
        {"bots": "shadow", "reason": "to see", "vendors": 1},
    )
    assert (everybody.target, everybody.outcome) == ("all vendors", "done")
    assert (nobody.target, nobody.outcome) == ("nobody", "failed")
