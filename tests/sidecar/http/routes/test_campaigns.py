"""Starting, pausing, resuming and cancelling a campaign."""

import asyncio
from dataclasses import replace

import orjson
import pytest
from aiohttp import web

from contracts.backend import CampaignState
from contracts.jobs import Queue
from sidecar.redis import keys
from sidecar.redis.client import Redis, connect
from sidecar.redis.lease import Leases
from sidecar.sending.campaigns import ErrorPath, campaign_lease
from sidecar.sending.halts import Halt, Halts
from sidecar.sending.pauses import Paused, Pauses
from tests.eventually import eventually
from tests.sidecar.answering_php import Call, Php, json_answer, refusal
from tests.sidecar.service import VENDOR, Service

UID = "5b1f0c1e-8d4c-4c39-9a55-0a1b2c3d4e5f"
PATH = f"/internal/campaigns/{UID}"
COUNTS = {"queued": 7, "read": 2}


@pytest.fixture(autouse=True)
def campaign(php: Php) -> None:
    php.add_campaign(UID, VENDOR, title="Spring", due=5, next_due_at=1767225600000, counts=COUNTS)


def overloaded(call: Call) -> web.Response | None:
    """Changes of the state fail."""
    return refusal(503, "overloaded") if "release" in call.target else None


async def still_cancelled(service: Service) -> None:
    halt = await Halts(service.redis).find(UID)
    assert halt is not None
    assert halt.state is CampaignState.CANCELLED


async def wake_ups(redis_url: str) -> list[tuple[str, ...]]:
    """Return the ids that the wake-ups for campaigns carry."""
    redis: Redis = connect(redis_url.removesuffix("/0") + "/1", timeout_s=5.0)
    messages = await redis.hvals(f"dramatiq:{Queue.CAMPAIGNS.value}.msgs")
    await redis.aclose()
    return [tuple(orjson.loads(message)["args"]) for message in messages]


async def test_how_a_campaign_stands(service: Service) -> None:
    answer = await service.call("GET", PATH)
    assert answer.status_code == 200
    told = answer.json()
    counts = told.pop("counts")
    assert told == {
        "campaign_uid": UID,
        "vendor_uid": VENDOR,
        "state": "running",
        "reason": None,
        "active": False,
        "waits_for": None,
        "due": 5,
        "next_due_at": 1767225600000,
    }
    assert {name: count for name, count in counts.items() if count} == COUNTS


@pytest.mark.parametrize("verb", ["", "/send", "/pause", "/resume", "/cancel"])
async def test_an_unknown_campaign(service: Service, verb: str) -> None:
    method = "POST" if verb else "GET"
    answer = await service.call(method, f"/internal/campaigns/nobody-knows{verb}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "campaign_unknown"
    assert await service.redis.keys("halt:*") == []
    assert await service.redis.keys(keys.CAMPAIGNS) == []


async def test_php_answers_for_another_campaign(service: Service, php: Php) -> None:
    other = {"campaign_uid": "other", "vendor_uid": VENDOR}
    php.override = lambda call: json_answer({"campaigns": [other]})
    assert (await service.call("GET", PATH)).status_code == 404


async def test_starting(service: Service, php: Php, redis_url: str) -> None:
    await Halts(service.redis).put(UID, VENDOR, Halt(CampaignState.PAUSED))
    answer = await service.call("POST", f"{PATH}/send")
    assert answer.status_code == 200
    assert answer.json()["state"] == "running"
    assert answer.json()["active"] is True
    assert await service.redis.hgetall(keys.CAMPAIGNS) == {UID.encode(): VENDOR.encode()}
    assert await service.redis.get(keys.halt(UID)) is None
    assert php.asked("/internal/release-messages") == []
    assert await eventually(lambda: wake_ups(redis_url)) == [(VENDOR, UID)]


async def test_why_it_waits_although_it_runs(service: Service) -> None:
    await service.redis.set(keys.wait(UID), "134101 template still syncing")
    answer = await service.call("GET", PATH)
    assert answer.json()["waits_for"] == "134101 template still syncing"


@pytest.mark.parametrize("verb", ["send", "resume"])
async def test_a_person_has_everything_tried_again(service: Service, verb: str) -> None:
    """What was paused for this vendor, and what was counted for this campaign."""
    pauses = Pauses(service.redis)
    mine = Paused("number", "110", VENDOR, 131048, "spam", 1, False)
    of_others = Paused("account", "waba-2", "another vendor", 131031, "locked", 1)
    alike = replace(mine, vendor_uid="another vendor")
    for paused in (mine, replace(mine, scope="account", id="waba-1"), of_others, alike):
        assert await pauses.put(paused)
    for key in (keys.errors(UID, "answer"), keys.errors(UID, "status"), keys.wait(UID)):
        await service.redis.set(key, "131009 19")
    await service.call("POST", f"{PATH}/{verb}")
    assert await pauses.all() == [of_others, alike]
    assert not await service.redis.exists(
        keys.errors(UID, "answer"), keys.errors(UID, "status"), keys.wait(UID)
    )
    assert await service.redis.exists(keys.lifted("campaign", UID)) == 1
    assert await pauses.put(mine) is False, "it happened before"


async def test_a_person_has_tried_again_what_another_vendor_has_paused(
    service: Service, php: Php
) -> None:
    """But only what Meta has confirmed to be this vendor's too, whatever else it names."""
    php.vendors[VENDOR] = {
        "vendor_uid": VENDOR,
        "whatsapp_business_account_id": "waba-3",
        "phone_numbers": [
            {"phone_number_id": "110", "verified": {"account_id": "waba-1"}},
            {"phone_number_id": "111", "verified": None},
        ],
    }
    pauses = Pauses(service.redis)
    names = [("number", "110"), ("account", "waba-1"), ("number", "111"), ("account", "waba-3")]
    for at, (scope, id_) in enumerate(names):
        await pauses.put(Paused(scope, id_, "another vendor", 1, "why", at))
    assert (await service.call("POST", f"{PATH}/resume")).status_code == 200
    assert [one.name for one in await pauses.all()] == ["number:111", "account:waba-3"]


async def test_both_ways_in_which_errors_are_counted_are_forgotten() -> None:
    assert set(ErrorPath) == {"answer", "status"}


async def test_starting_twice_answers_with_the_state(service: Service, php: Php) -> None:
    first = await service.call("POST", f"{PATH}/send")
    second = await service.call("POST", f"{PATH}/send")
    assert second.status_code == 200
    assert second.json() == first.json()
    assert php.asked("/internal/release-messages") == []


async def test_active_while_a_worker_holds_it(service: Service) -> None:
    async with Leases(service.redis, ttl_ms=5000).hold(campaign_lease(UID)):
        assert (await service.call("GET", PATH)).json()["active"] is True
    assert (await service.call("GET", PATH)).json()["active"] is False


@pytest.mark.parametrize(("verb", "state"), [("pause", "paused"), ("cancel", "cancelled")])
async def test_stopping(service: Service, php: Php, verb: str, state: str) -> None:
    answer = await service.call("POST", f"{PATH}/{verb}", b'{"reason": "wrong template"}')
    assert answer.status_code == 200
    assert answer.json()["state"] == state
    assert answer.json()["reason"] == "wrong template"
    halt = await Halts(service.redis).find(UID)
    assert halt is not None
    assert (halt.state, halt.reason) == (state, "wrong template")
    assert halt.acknowledged_at is not None
    assert php.campaigns[UID]["state"] == state
    [call] = php.asked("/internal/release-messages")
    assert call.json == {
        "vendor_uid": VENDOR,
        "campaign_uid": UID,
        "campaign_state": state,
        "reason": "wrong template",
    }
    again = await service.call("POST", f"{PATH}/{verb}")
    assert (again.status_code, again.json()["state"]) == (200, state)


@pytest.mark.parametrize("verb", ["send", "resume"])
async def test_a_campaign_that_the_crons_send_is_left_to_them(
    service: Service, php: Php, verb: str
) -> None:
    php.campaigns[UID]["on_sidecar"] = False
    answer = await service.call("POST", f"{PATH}/{verb}")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "vendor_not_on_sidecar"
    assert await service.redis.keys(keys.CAMPAIGNS) == []
    assert (await service.call("POST", f"{PATH}/pause")).status_code == 200


async def test_stopping_takes_effect_before_php_knows(service: Service, php: Php) -> None:
    """And a worker is to see to it that PHP is told."""
    php.override = overloaded
    answer = await service.call("POST", f"{PATH}/pause", b'{"reason": "lunch"}')
    assert answer.status_code == 503
    assert await Halts(service.redis).find(UID) == Halt(CampaignState.PAUSED, "lunch", None)
    assert await service.redis.hgetall(keys.CAMPAIGNS) == {UID.encode(): VENDOR.encode()}


async def test_starting_takes_effect_only_when_php_knows(service: Service, php: Php) -> None:
    await service.call("POST", f"{PATH}/cancel")

    php.override = overloaded
    assert (await service.call("POST", f"{PATH}/send")).status_code == 503
    await still_cancelled(service)


@pytest.mark.parametrize("verb", ["resume", "send"])
async def test_going_on_after_a_pause(
    service: Service, php: Php, redis_url: str, verb: str
) -> None:
    await service.call("POST", f"{PATH}/pause", b'{"reason": "lunch"}')
    answer = await service.call("POST", f"{PATH}/{verb}")
    assert answer.status_code == 200
    assert answer.json()["state"] == "running"
    assert answer.json()["reason"] is None
    assert php.campaigns[UID]["state"] == "running"
    assert await service.redis.get(keys.halt(UID)) is None
    assert await eventually(lambda: wake_ups(redis_url)) == [(VENDOR, UID)]


async def test_resuming_one_that_runs(service: Service, php: Php) -> None:
    answer = await service.call("POST", f"{PATH}/resume")
    assert (answer.status_code, answer.json()["state"]) == (200, "running")
    assert php.asked("/internal/release-messages") == []


@pytest.mark.parametrize("verb", ["send", "resume"])
async def test_a_person_may_have_it_look_again_whether_it_still_has_to_wait(
    service: Service, verb: str
) -> None:
    await service.redis.set(keys.wait(UID), "a hold")
    await service.call("POST", f"{PATH}/{verb}")
    assert not await service.redis.exists(keys.wait(UID))


async def test_resuming_one_that_was_cancelled(service: Service, php: Php) -> None:
    await service.call("POST", f"{PATH}/cancel")
    answer = await service.call("POST", f"{PATH}/resume")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "campaign_cancelled"
    await still_cancelled(service)
    assert php.campaigns[UID]["state"] == "cancelled"
    answer = await service.call("POST", f"{PATH}/send")
    assert (answer.status_code, answer.json()["state"]) == (200, "running")


@pytest.mark.parametrize("verb", ["send", "pause", "resume", "cancel"])
@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"null", b'{"reason": 5}', b'{"reason": "%s"}' % (b"x" * 501), b"\xff"]
)
async def test_a_body_of_another_shape(service: Service, php: Php, verb: str, body: bytes) -> None:
    answer = await service.call("POST", f"{PATH}/{verb}", body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "request_invalid"
    assert php.calls == []
    assert await service.redis.keys("halt:*") == []


async def test_the_state_is_phps_also_when_redis_was_wiped(service: Service) -> None:
    await service.call("POST", f"{PATH}/pause")
    await service.redis.flushall()
    first = await service.call("GET", PATH)
    assert first.json()["error"]["code"] == "nonces_lost", "it may have been made before"
    await asyncio.sleep(0.002)  # a call that is signed later
    answer = await service.call("GET", PATH)
    assert answer.json()["state"] == "paused"
    assert answer.json()["active"] is False
