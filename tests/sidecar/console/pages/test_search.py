"""The page of the search: the same as ``sidecar find``, masked for those who may only look."""

import asyncio
import base64
from typing import Any

import pytest

from contracts import backend as contract
from sidecar.console.pages import search
from sidecar.redis.client import Redis
from tests.sidecar.answering_php import Answer, Call, Php, json_answer
from tests.sidecar.console.browser import Browser
from tests.sidecar.console.pages.test_campaigns import words
from tests.sidecar.ops.test_dead_letters import add_dead_letter
from tests.sidecar.ops.test_found_in_inbox import receive, webhook
from tests.sidecar.service import VENDOR

PHONE = "999700000001"
ROW = {
    "uid": "row-1",
    "vendor_uid": VENDOR,
    "campaign_uid": "c-1",
    "status": 1,
    "created_at": 1_700_000_000_000,
    "to": PHONE,
}
CONTACT = {"uid": "p-1", "vendor_uid": VENDOR, "wa_id": PHONE, "name": "Ada <b>Stone</b>"}
CAMPAIGN = {"uid": "c-1", "vendor_uid": VENDOR, "title": "Spring & more"}


def knows(php: Php, **answer: Any) -> None:
    def override(call: Call) -> Answer | None:
        return json_answer(answer) if call.target == contract.FIND else None

    php.override = override


async def test_before_anything_was_searched(viewer: Browser, php: Php) -> None:
    page = await viewer.page("/search")
    assert "a phone number" in words(page)
    assert "What happened" not in page
    assert php.asked(contract.FIND) == []


async def test_every_page_has_the_field(viewer: Browser) -> None:
    assert 'action="/sidecar/search"' in await viewer.page("/numbers")


async def test_what_is_found(operator: Browser, php: Php, redis: Redis) -> None:
    knows(php, rows=[ROW], contacts=[CONTACT], campaigns=[CAMPAIGN], more=["rows"])
    php.add_campaign("c-1", VENDOR, state="paused", reason="by hand")
    await receive(redis, 1_700_000_009_000, webhook(PHONE, "read"))
    letter = await add_dead_letter(redis, 1, payload={"from": PHONE})
    page = await operator.page(f"/search?q={PHONE}")
    shown = words(page)
    for text in (
        f"contact p-1 of vendor {VENDOR} Ada <b>Stone</b> {PHONE}",
        f"campaign c-1 of vendor {VENDOR} Spring & more",
        "campaign c-1 is paused: by hand",
        "2023-11-14 22:13:20Z php queued for campaign c-1 row-1",
        "a customer's message was given up: the routine failed",
        "There are more rows in PHP than are shown; the newest are",
    ):
        assert text in shown, text
    for link in (f"/dead-letters/letter?id={letter}", "/campaigns/c-1", f"/vendors/{VENDOR}"):
        assert f'href="/sidecar{link}"' in page
    assert f'value="{PHONE}"' in page
    assert shown.index("queued for campaign c-1") < shown.index("received: status read")


async def test_who_may_only_look_sees_neither_names_nor_numbers(
    viewer: Browser, php: Php, redis: Redis
) -> None:
    encoded = base64.b64encode(PHONE.encode()).decode()
    sent = {
        "uid": "m",
        "vendor_uid": VENDOR,
        "incoming": False,
        "status": "accepted",
        "accepted_at": 1_700_000_000_000,
        "wa_id": PHONE,
        "wamid": f"wamid.HBgM{encoded}FQIAERgSQTM3",
    }
    knows(php, rows=[ROW], contacts=[CONTACT], messages=[sent])
    page = await viewer.page("/search?q=Ada")
    assert encoded not in page
    assert "accepted it as wamid…ERgSQTM3" in page
    assert PHONE not in page
    assert "Stone" not in page
    assert "•••• 01" in page


async def test_what_an_event_says_is_not_repeated_below_it(operator: Browser, php: Php) -> None:
    sent = {"uid": "m", "vendor_uid": VENDOR, "incoming": False, "status": "accepted"}
    sent |= {"accepted_at": 1_700_000_000_000, "wamid": "wamid.1"}
    knows(php, rows=[ROW], messages=[sent])
    page = await operator.page("/search?q=abc")
    assert 'queued for campaign c-1<br><span class="muted">row-1</span>' in page
    assert "accepted it as wamid.1</td>" in page


async def test_nothing_is_found(viewer: Browser, php: Php) -> None:
    knows(php)
    assert "Nothing was found." in await viewer.page("/search?q=nobody")


async def test_of_one_vendor(viewer: Browser, php: Php) -> None:
    knows(php)
    page = await viewer.page(f"/search?q=nobody&vendor={VENDOR}")
    assert php.asked(contract.FIND)[0].json["vendor_uid"] == VENDOR
    assert f'name="vendor" value="{VENDOR}"' in page


async def test_a_search_that_cannot_be_made(viewer: Browser, php: Php) -> None:
    assert "a search needs 2 to 300 characters" in await viewer.page("/search?q=x")


async def test_php_is_away(viewer: Browser, php: Php, redis: Redis) -> None:
    await receive(redis, 5000, webhook("wamid.1"))
    await php.stop()
    page = await viewer.page("/search?q=wamid.1")
    assert "this is only what Redis knows" in page
    assert "waits in the inbox" in page


async def test_few_search_at_once(viewer: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = 0, 0

    async def slow(*_: object) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _turn in range(5):
            await asyncio.sleep(0)
        running -= 1
        raise ValueError("nothing")

    monkeypatch.setattr(search, "find", slow)
    await asyncio.gather(*(viewer.page("/search?q=abc") for _ in range(6)))
    assert most == search.AT_ONCE
