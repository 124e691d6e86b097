"""``POST /match-bot``: which bots answer, for whom, and what is said where that is not known."""

from typing import Any

import orjson
import pytest

from tests.eventually import eventually
from tests.sidecar.answering_php import Php, refusal
from tests.sidecar.service import VENDOR, Service


@pytest.fixture(autouse=True)
def bots(php: Php) -> None:
    php.add_bots(VENDOR, "", "hello", "hell*", "good bye", vendor_id=7)


async def match(service: Service, message: str, **more: Any) -> dict[str, Any]:
    body = orjson.dumps({"message": message, **more})
    answer = await service.call("POST", "/match-bot", body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def refused(service: Service, **question: Any) -> tuple[int, str]:
    answer = await service.call("POST", "/match-bot", orjson.dumps(question))
    return answer.status_code, answer.json()["error"]["code"]


async def test_all_that_match_in_their_order(service: Service) -> None:
    hello = {"bot_uid": "bot-hello", "trigger_type": "is", "trigger": "hello"}
    hell = {"bot_uid": "bot-hell*", "trigger_type": "is", "trigger": "hell*"}
    for vendor in ({"vendor_uid": VENDOR}, {"vendorId": 7}):
        assert await match(service, " Hello\n", **vendor) == {
            "bot": hello,
            "matches": [hello, hell],
        }
        assert await match(service, "help", **vendor) == {"bot": None, "matches": []}


async def test_php_is_asked_once(service: Service, php: Php) -> None:
    for _ in range(3):
        await match(service, "hello", vendorId=7)
        await match(service, "hello", vendor_uid=VENDOR)
    assert [call.target for call in php.calls] == ["/internal/bots"]


async def test_what_the_contacts_state_decides(service: Service) -> None:
    async def uids(**contact: Any) -> list[str]:
        found = await match(service, "good bye", vendor_uid=VENDOR, contact=contact)
        return [one["bot_uid"] for one in found["matches"]]

    assert await uids() == ["bot-good bye"]
    assert await uids(incoming_24h=1) == ["bot-", "bot-good bye"]
    assert await uids(incoming_24h=2) == ["bot-good bye"]
    assert await uids(incoming_24h=1, disable_reply_bot=True) == []
    assert await uids(disable_reply_bot=True, quick_reply=True) == ["bot-good bye"]


async def test_a_vendor_that_there_is_not(service: Service, php: Php) -> None:
    for vendor in ({"vendor_uid": "nobody"}, {"vendorId": 8}):
        assert await refused(service, message="hello", **vendor) == (404, "vendor_unknown")
    assert len(php.calls) == 2


@pytest.mark.parametrize(
    "vendor",
    [
        {"vendor_uid": ""},
        {"vendor_uid": "a/b"},
        {"vendor_uid": "x" * 65},
        {"vendorId": 0},
        {"vendorId": -1},
        {"vendorId": 2**63},
    ],
)
async def test_what_can_be_no_vendor_is_not_asked_for(
    service: Service, php: Php, vendor: dict[str, Any]
) -> None:
    assert await refused(service, message="hello", **vendor) == (404, "vendor_unknown")
    assert php.calls == []


@pytest.mark.parametrize(
    "question",
    [{"message": "hello"}, {"vendorId": 7}, {"message": 5, "vendorId": 7}, {"vendor_uid": VENDOR}],
)
async def test_a_question_that_is_none(service: Service, question: dict[str, Any]) -> None:
    assert await refused(service, **question) == (400, "request_invalid")


async def test_without_php_nothing_is_known(service: Service, php: Php) -> None:
    await php.stop()
    for vendor in ({"vendor_uid": VENDOR}, {"vendorId": 7}):
        assert await refused(service, message="x", **vendor) == (503, "backend_unavailable")


async def test_what_is_known_serves_on_without_php(service: Service, php: Php) -> None:
    await match(service, "hello", vendorId=7)
    await php.stop()
    assert (await match(service, "hello", vendorId=7))["bot"] is not None
    assert (await match(service, "hello", vendor_uid=VENDOR))["bot"] is not None


@pytest.mark.parametrize("status", [401, 403, 404, 500])
async def test_what_is_between_php_and_us_is_not_the_callers_fault(
    service: Service, php: Php, status: int
) -> None:
    """404: a PHP that has no such endpoint, and not one that has no such vendor."""
    php.override = lambda call: refusal(status, "not_found")
    assert await refused(service, message="x", vendor_uid=VENDOR) == (503, "backend_unavailable")


async def test_a_change_is_used_at_once(service: Service, php: Php) -> None:
    await match(service, "hello", vendor_uid=VENDOR)
    php.add_bots(VENDOR, "good morning", vendor_id=7)
    body = orjson.dumps({"vendor_uids": [VENDOR], "scopes": ["bots"]})
    assert (await service.call("POST", "/internal/invalidate", body)).status_code == 200

    async def used() -> bool:
        found = await match(service, "good morning", vendor_uid=VENDOR)
        return found["bot"] is not None

    await eventually(used)
