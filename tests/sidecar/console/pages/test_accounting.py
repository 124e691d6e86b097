"""The pages of the accounting."""

import re
from typing import Any

import pytest

from sidecar.console.pages import accounting
from sidecar.redis import keys
from sidecar.redis.client import Redis
from tests.sidecar.console.browser import Browser
from tests.sidecar.console.titles import call_vendors


async def count(redis: Redis, vendor_uid: str, **counters: int) -> None:
    await redis.sadd(keys.VENDORS, vendor_uid)
    values: dict[Any, Any] = dict(counters)
    await redis.hset(keys.counters(vendor_uid), mapping=values)


def vendors(page: str) -> list[str]:
    return re.findall(r'<a href="/sidecar/accounting/([^"]+)">', page.partition('id="vendors"')[2])


async def test_nothing_was_counted(viewer: Browser) -> None:
    page = await viewer.page("/accounting")
    assert "Nothing was counted yet." in page
    assert page.count("balances</span>") == 10
    assert "is accounted for" not in page


async def test_it_balances(viewer: Browser, redis: Redis) -> None:
    await count(redis, "v", webhooks_received=1200, webhooks_done=1200)
    await count(redis, "w", webhooks_received=34, webhooks_done=34)
    page = await viewer.page("/accounting")
    assert "Everything that came in is accounted for, of each of 2 vendors." in page
    assert "<strong>1,234</strong>" in page
    assert vendors(page) == ["v", "w"]
    assert "does not</span>" not in page


async def test_vendors_are_called_by_their_titles(
    viewer: Browser, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    call_vendors(monkeypatch, {"v": "Ada & Eva"})
    await count(redis, "v", webhooks_received=5, webhooks_done=3)
    page = await viewer.page("/accounting")
    assert vendors(page) == ["v"]
    assert page.count(">Ada &amp; Eva</a><br>") == 2, "in both tables"


async def test_it_does_not(viewer: Browser, redis: Redis) -> None:
    await count(redis, "v", webhooks_received=5, webhooks_done=3)
    await count(redis, "w", claimed=5, accepted=7)
    page = await viewer.page("/accounting")
    assert "webhooks: 2 missing" in page
    assert "sends: 2 too many" in page
    assert page.count("does not</span>") == 2
    page = await viewer.page("/accounting/v")
    assert "2 missing" in page
    assert page.count("balances</span>") == 9


async def test_vendors_by_pages_and_by_their_uid(
    viewer: Browser, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounting, "PAGE", 2)
    for uid in ("a1", "a2", "b1", "b2", "b3"):
        await count(redis, uid, webhooks_received=1, webhooks_done=1)
    page = await viewer.page("/accounting")
    assert vendors(page) == ["a1", "a2"]
    [more] = re.findall(r'<a href="/sidecar([^"]+)" rel="next">', page)
    page = await viewer.page(more)
    assert vendors(page) == ["b1", "b2"]
    assert "From the first" in page
    page = await viewer.page("/accounting?vendor=B")
    assert vendors(page) == ["b1", "b2"]
    assert "vendor=B&amp;after=b2" in page
    assert "Nothing was counted of such a vendor." in await viewer.page("/accounting?vendor=c")


async def test_an_odd_vendor(viewer: Browser, redis: Redis) -> None:
    await count(redis, "<b>&(others)", webhooks_received=1, webhooks_done=1)
    page = await viewer.page("/accounting")
    assert "&lt;b&gt;&amp;(others)" in page
    [link] = vendors(page)
    assert "<h1>Accounting of vendor &lt;b&gt;" in await viewer.page(f"/accounting/{link}")
    assert "balances" in await viewer.page("/accounting/nobody")


async def test_live(viewer: Browser, redis: Redis) -> None:
    await count(redis, "v", webhooks_received=5, webhooks_done=3)
    async with viewer.events("/accounting/v/live") as events:
        sent = await events.take(1)
    assert "2 missing" in sent["equations"]
