"""One timeline out of Redis and PHP; and one side alone."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from contracts import backend as contract
from contracts.jobs import Lane
from sidecar.inbox.status_times import record_of
from sidecar.ops import timeline
from sidecar.ops.event import Step, Thing
from sidecar.ops.timeline import Found, find
from sidecar.php.client import Backend, make_backend
from sidecar.redis import keys
from sidecar.redis.client import Redis, connect
from tests.conftest import MakeSettings
from tests.sidecar.answering_php import Answer, Call, Php, json_answer
from tests.sidecar.ops.test_dead_letters import add_dead_letter
from tests.sidecar.ops.test_found_in_inbox import receive, webhook
from tests.sidecar.service import VENDOR

UID = "11111111-2222-3333-4444-555555555555"
ROW = {"uid": UID, "vendor_uid": VENDOR, "campaign_uid": "c-1", "status": 1, "to": "999"}
MESSAGE = {
    "uid": "m",
    "vendor_uid": VENDOR,
    "incoming": False,
    "wamid": "wamid.1",
    "wa_id": "999700",
    "queue_row_uid": UID,
    "effects": [{"kind": "forward", "id": "e-1"}],
}


@pytest.fixture
async def backend(php: Php, make_settings: MakeSettings) -> AsyncIterator[Backend]:
    backend = make_backend(make_settings(backend_url=php.url))
    yield backend
    await backend.close()


def knows(php: Php, **answer: Any) -> None:
    """Have PHP answer every search like this."""

    def override(call: Call) -> Answer | None:
        return json_answer(answer) if call.target == contract.FIND else None

    php.override = override


async def test_both_sides_together(redis: Redis, backend: Backend, php: Php) -> None:
    knows(php, rows=[{**ROW, "created_at": 1000}], messages=[MESSAGE])
    php.add_campaign("c-1", VENDOR, reason="by hand", state="paused")
    await receive(redis, 5000, webhook("wamid.1"))
    facts: dict[str, Any] = {"received_at": 6000, "reason": "no", "payload": {"row": UID}}
    await add_dead_letter(redis, 1, given_up_at=8000, **facts)
    found = await find(redis, backend, " wamid.1 ")
    assert [event.kind for event in found.events] == [
        Step.QUEUED,
        Step.RECEIVED,
        Step.RECEIVED,
        Step.DEAD,
    ]
    assert "campaign c-1 is paused: by hand; 0 of 0 messages were sent" in found.where
    assert (found.query, found.lost, found.notes) == ("wamid.1", [], [])
    [call] = php.asked(contract.FIND)
    assert call.json == {"query": "wamid.1", "vendor_uid": None, "limit": 20}


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"read": 2, "error": 1}, "is finished; 2 of 3"),
        ({"read": 2, "queued": 1}, "is running: no worker runs for campaigns; 2 of 3"),
        ({"read": 2, "processing": 1}, "is running: no worker runs for campaigns; 2 of 3"),
        ({"read": 2, "unknown": 1}, "is running; 2 of 3"),
    ],
)
async def test_a_campaign_that_is_sent_is_not_called_running(
    redis: Redis, backend: Backend, php: Php, counts: dict[str, int], told: str
) -> None:
    knows(php, campaigns=[{"uid": "c-1", "vendor_uid": VENDOR, "title": "Spring"}])
    php.add_campaign("c-1", VENDOR, counts=counts)
    found = await find(redis, backend, "Spring")
    assert found.where == [f"campaign c-1 {told} messages were sent"]


async def test_redis_tells_when_statuses_were_set_that_php_does_not(
    redis: Redis, backend: Backend, php: Php
) -> None:
    for status, at in (("read", 9), ("sent", 7), ("delivered", 8)):
        for vendor in (VENDOR, "another"):
            found = record_of((vendor, "wamid.1"), status, at if vendor == VENDOR else 1)
            assert found is not None
            await redis.append(keys.status_times(found[0]), found[1])
    told = {"status": "read", "messaged_at": 8000, "updated_at": 9500}
    knows(php, messages=[{**MESSAGE, **told}])
    events = (await find(redis, backend, "wamid.1")).events
    assert [(event.at_ms, event.text) for event in events] == [
        *((7000, "sent"), (8000, "delivered"), (9000, "read"))
    ]
    knows(php, messages=[{**MESSAGE, **told, "statuses": {"read": 9100}}])
    events = (await find(redis, backend, "wamid.1")).events
    assert [event.at_ms for event in events] == [7000, 8000, 9100], "what PHP has kept counts"


async def test_what_php_does_not_know(redis: Redis, backend: Backend, php: Php) -> None:
    knows(php)
    await receive(redis, 5000, webhook("an-id-without-prefix"))
    await receive(redis, 5001, webhook("short"))
    assert len((await find(redis, backend, "an-id-without-prefix")).events) == 1
    assert (await find(redis, backend, "short")).nothing
    assert (await find(redis, backend, "an id with blanks")).nothing


async def test_a_person_in_every_spelling_of_the_number(
    redis: Redis, backend: Backend, php: Php
) -> None:
    knows(php)
    await receive(redis, 5000, b'{"from": "5511987654321"}', b'{"from":"551187654321"}')
    found = await find(redis, backend, "+55 (11) 98765-4321")
    assert len(found.events) == 2


async def test_a_message_does_not_bring_all_of_its_persons(
    redis: Redis, backend: Backend, php: Php
) -> None:
    knows(php, messages=[MESSAGE])
    await receive(redis, 5000, b'{"from": "999700"}')
    assert (await find(redis, backend, "wamid.1")).events == []
    contact = {"uid": "p", "vendor_uid": VENDOR, "wa_id": "999700", "name": "Ada"}
    knows(php, contacts=[contact])
    assert len((await find(redis, backend, "Ada")).events) == 1


async def test_a_vendor(redis: Redis, backend: Backend, php: Php) -> None:
    knows(php, vendors=[{"uid": VENDOR, "title": "Shop"}])
    await redis.hset(keys.waiting(Lane.STATUSES), VENDOR, 7)
    found = await find(redis, backend, "Shop", VENDOR)
    assert [thing.kind for thing in found.things] == [Thing.VENDOR]
    assert found.where == [f"vendor {VENDOR}: 7 webhooks in the inbox, 0 dead letters"]


async def test_of_many_campaigns_some_are_looked_at(
    redis: Redis, backend: Backend, php: Php, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "MAX_CAMPAIGNS", 1)
    knows(php, campaigns=[{"uid": uid, "vendor_uid": VENDOR} for uid in ("c-1", "c-2")])
    found = await find(redis, backend, "Spring")
    assert found.where == ["campaign c-1 is unknown to PHP"]
    assert found.notes == ["1 more campaigns: sidecar campaigns show UID"]


async def _lost(redis: Redis | None, backend: Backend) -> Found:
    found = await find(redis, backend, "wamid.1")
    assert len(found.lost) == 1
    return found


async def test_php_is_away(redis: Redis, backend: Backend, php: Php) -> None:
    await receive(redis, 5000, webhook("wamid.1"))
    await php.stop()
    found = await _lost(redis, backend)
    assert len(found.events) == 1
    assert found.lost[0].startswith("this is only what Redis knows: PHP call failed: ")


async def test_an_old_package(redis: Redis, backend: Backend, php: Php) -> None:
    await receive(redis, 5000, webhook("wamid.1"))
    php.override = lambda call: Answer(status=404, text="<html>Not Found</html>")
    found = await _lost(redis, backend)
    assert found.lost == [
        "this is only what Redis knows: PHP has no /internal/find: update the Laravel package to "
        "the sidecar's version"
    ]
    assert len(found.events) == 1


async def test_redis_is_away(backend: Backend, php: Php) -> None:
    knows(php, rows=[ROW])
    away = connect("redis://127.0.0.1:9/0", timeout_s=1)
    found = await _lost(away, backend)
    await away.aclose()
    assert found.lost[0].startswith("this is only what PHP knows: Redis is unavailable: ")
    assert len(found.things) == 1
    assert len((await find(None, backend, "wamid.1")).things) == 1


async def test_redis_is_away_and_a_title_leads_to_nothing_in_it(backend: Backend, php: Php) -> None:
    knows(php, campaigns=[{"uid": "c-1", "vendor_uid": VENDOR, "title": "wamid.1"}])
    php.add_campaign("c-1", VENDOR, counts={"queued": 1})
    away = connect("redis://127.0.0.1:9/0", timeout_s=1)
    found = await _lost(away, backend)
    await away.aclose()
    assert found.lost[0].startswith("this is only what PHP knows: Redis is unavailable: ")
    assert len(found.things) == 1


async def test_php_fails_once_it_has_found_a_campaign(
    redis: Redis, backend: Backend, php: Php
) -> None:
    found_one = json_answer(
        {"campaigns": [{"uid": "c-1", "vendor_uid": VENDOR, "title": "wamid.1"}]}
    )
    php.override = lambda call: found_one if call.target == contract.FIND else Answer(status=500)
    found = await _lost(redis, backend)
    assert found.lost[0].startswith("PHP call failed: ")
    assert len(found.things) == 1


@pytest.mark.parametrize("query", ["", " x ", "y" * 301])
async def test_a_search_that_cannot_be_made(redis: Redis, backend: Backend, query: str) -> None:
    with pytest.raises(ValueError, match="2 to 300 characters"):
        await find(redis, backend, query)
