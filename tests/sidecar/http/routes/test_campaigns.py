"""Starting, pausing, resuming and cancelling a campaign."""

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pytest
from aiohttp import web

from contracts.campaigns import TRANSITIONS, CampaignAction, CampaignState
from contracts.jobs import Queue
from sidecar.ops.audit import Audit, Who
from sidecar.php.client import Backend
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
        "warning": None,
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


@pytest.mark.parametrize(
    ("state", "verb", "status"),
    [
        ("paused", "send", 200),
        ("paused", "resume", 200),
        ("cancelled", "send", 200),
        ("cancelled", "resume", 409),
    ],
)
async def test_a_campaign_that_stayed_stopped_after_a_rollback_goes_on_by_the_crons(
    service: Service, php: Php, state: str, verb: str, status: int
) -> None:
    php.campaigns[UID] |= {"on_sidecar": False, "state": state}
    await Halts(service.redis).put(UID, VENDOR, Halt(CampaignState(state), acknowledged_at=1))
    await service.redis.delete(keys.CAMPAIGNS)
    answer = await service.call("POST", f"{PATH}/{verb}")
    assert answer.status_code == status
    runs = status == 200
    assert php.campaigns[UID]["state"] == ("running" if runs else state)
    assert (await Halts(service.redis).find(UID) is None) is runs
    assert await service.redis.keys(keys.CAMPAIGNS) == [], "workers are not asked for it"


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


async def call(service: Service, action: CampaignAction) -> tuple[int, str]:
    """Return the status, and the campaign's state or the refusal's code."""
    answer = await service.call("POST", f"{PATH}/{action}")
    told = answer.json()
    return answer.status_code, told["error"]["code"] if "error" in told else told["state"]


@pytest.mark.parametrize("action", list(CampaignAction))
@pytest.mark.parametrize("before", list(CampaignState))
async def test_actions_follow_the_table(
    service: Service, php: Php, before: CampaignState, action: CampaignAction
) -> None:
    php.campaigns[UID]["state"] = before.value
    after = TRANSITIONS.after(before, action)
    found = await call(service, action)
    assert found == ((409, "campaign_cancelled") if after is None else (200, after))
    assert php.campaigns[UID]["state"] == (after or before)
    halt = await Halts(service.redis).find(UID)
    stopped = after in (CampaignState.PAUSED, CampaignState.CANCELLED)
    assert (halt.state if halt else None) == (after if stopped else None)


async def test_only_a_restart_of_a_cancelled_campaign_is_told_as_one(
    service: Service, php: Php
) -> None:
    for before in ("paused", "cancelled"):
        php.campaigns[UID]["state"] = before
        await call(service, CampaignAction.SEND)
    paused, cancelled = php.asked("/internal/release-messages")
    assert ("restart" in paused.json, cancelled.json["restart"]) == (False, True)


@pytest.mark.parametrize("action", [CampaignAction.PAUSE, CampaignAction.RESUME])
async def test_a_cancellation_that_php_does_not_know_yet_counts(
    service: Service, php: Php, action: CampaignAction
) -> None:
    php.override = overloaded
    await call(service, CampaignAction.CANCEL)
    php.override = None
    assert await call(service, action) == (409, "campaign_cancelled")
    await still_cancelled(service)
    assert "state" not in php.campaigns[UID], "nobody has told it"
    assert await call(service, CampaignAction.SEND) == (200, "running")
    assert await Halts(service.redis).find(UID) is None


#: Where a person's cancel comes while another call is under way, and before what of it.
BETWEEN = [
    (CampaignAction.PAUSE, Halts, "put"),
    (CampaignAction.PAUSE, Backend, "call"),
    (CampaignAction.RESUME, Backend, "call"),
    (CampaignAction.RESUME, Halts, "lift_seen"),
    (CampaignAction.SEND, Backend, "call"),
    (CampaignAction.SEND, Halts, "lift_seen"),
]


@pytest.mark.parametrize("before", [CampaignState.RUNNING, CampaignState.PAUSED])
@pytest.mark.parametrize(("action", "owner", "step"), BETWEEN)
async def test_a_cancel_that_comes_between_wins(
    service: Service,
    php: Php,
    monkeypatch: pytest.MonkeyPatch,
    before: CampaignState,
    action: CampaignAction,
    owner: type,
    step: str,
) -> None:
    php.campaigns[UID]["state"] = before.value
    original = getattr(owner, step)
    come: list[bool] = []

    async def after_a_cancel(self: Any, *words: Any, **options: Any) -> Any:
        if not come and "/internal/due-campaigns" not in words:
            come.append(True)
            assert await call(service, CampaignAction.CANCEL) == (200, "cancelled")
        return await original(self, *words, **options)

    monkeypatch.setattr(owner, step, after_a_cancel)
    found = await call(service, action)
    if come:
        assert found in [(409, "campaign_cancelled"), (200, "cancelled")]
        assert php.campaigns[UID]["state"] == "cancelled"
        await still_cancelled(service)
    else:
        assert (before, owner) == (CampaignState.RUNNING, Backend), "PHP knows that it runs"


async def test_a_cancel_that_comes_between_and_that_php_does_not_hear_of_wins(
    service: Service, php: Php, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Halts.put

    async def after_a_cancel(self: Halts, *words: Any) -> bool:
        monkeypatch.setattr(Halts, "put", original)
        php.override = overloaded
        assert (await call(service, CampaignAction.CANCEL))[0] == 503
        php.override = None
        return await original(self, *words)

    monkeypatch.setattr(Halts, "put", after_a_cancel)
    assert await call(service, CampaignAction.PAUSE) == (409, "campaign_cancelled")
    await still_cancelled(service)
    assert await service.redis.hgetall(keys.CAMPAIGNS) == {UID.encode(): VENDOR.encode()}


async def test_another_refusal_of_phps_is_not_the_callers_fault(service: Service, php: Php) -> None:
    php.override = lambda call: refusal(409, "fence_stale") if "release" in call.target else None
    assert await call(service, CampaignAction.PAUSE) == (503, "backend_unavailable")
    halt = await Halts(service.redis).find(UID)
    assert halt == Halt(CampaignState.PAUSED), "a worker tells PHP"


@pytest.mark.parametrize("reason", [None, "lunch"])
async def test_a_pause_that_php_learns_of_meanwhile_is_lifted(
    service: Service, reason: str | None
) -> None:
    seen = Halt(CampaignState.PAUSED, reason)
    halts = Halts(service.redis)
    await halts.put(UID, VENDOR, seen)
    await halts.acknowledge(UID, seen, 5)
    assert await halts.lift_seen(UID, seen) is None
    assert await halts.find(UID) is None


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


async def test_what_php_has_done_is_recorded(service: Service, redis: Redis) -> None:
    for action in ("send", "pause", "cancel", "resume"):
        body = orjson.dumps({"reason": "wrong text"} if action == "pause" else {})
        await service.call("POST", f"{PATH}/{action}", body)
    await service.call("GET", PATH)
    found = await Audit(redis, 100).read()
    assert [(entry.action, entry.outcome) for entry in found[::-1]] == [
        ("campaign.send", "done"),
        ("campaign.pause", "done"),
        ("campaign.cancel", "done"),
        ("campaign.resume", "failed"),
    ]
    assert {(entry.who, entry.target) for entry in found} == {(Who("php"), UID)}
    await service.call("POST", f"{PATH}/pause", b'{"by": "Ada"}')
    assert (await Audit(redis, 100).read(count=1))[0].who == Who("php", "Ada")
    assert found[2].details == {"reason": "wrong text"}
    assert "cancelled" in found[0].details["reason"]
