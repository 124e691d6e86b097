"""The page of the inbox: what waits and why, a vendor's webhooks, and what was ignored."""

import html
import re
from typing import Any

import orjson
import pytest

from contracts.backend import UpdateKind
from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.console.pages import inbox
from sidecar.inbox.ignored import Ignored
from sidecar.inbox.partitions import drain_lease
from sidecar.ops import inbox as ops_inbox
from sidecar.redis import keys
from sidecar.redis.client import Redis
from tests.sidecar.console.browser import Browser
from tests.sidecar.console.titles import call_vendors
from tests.sidecar.console.walk import faults
from tests.sidecar.ops.test_inbox import put, put_old, work
from tests.sidecar.payloads import message_webhook, status_webhook

PATH = "/inbox"


async def ignore(redis: Redis, vendor_uid: str, reason: str, payload: bytes = b"{}") -> None:
    """Count an update as ignored, as a commit does."""
    at = now_ms()
    last = Ignored(at, vendor_uid, "u", UpdateKind.MESSAGE, "wamid.1", reason, payload)
    await redis.zadd(keys.IGNORED, {vendor_uid: at})
    await redis.hset(keys.ignored(vendor_uid), mapping={reason: 1, f"@{reason}": at})
    await redis.hset(keys.ignored_last(vendor_uid), reason, last.dump())


async def test_nothing_waits(operator: Browser) -> None:
    page = await operator.page(PATH)
    for text in ("empty", "nothing waits", "Nothing was ignored"):
        assert text in page
    assert faults(page) == []


async def test_what_waits_and_why(
    operator: Browser, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    call_vendors(monkeypatch, {"v": "Ada & <Sons>"})
    await put(redis, "v", message_webhook(1), message_webhook(2))
    await put_old(redis, "w")
    await put(redis, "v", status_webhook(), lane=Lane.STATUSES)
    await work(redis, breakers={"messages": "PHP <500>"}, isolated={"statuses": {"v": "slow"}})
    await redis.rpush(
        keys.deferred_updates(Lane.MESSAGES, "v/1"),
        orjson.dumps({"reason": "locked", "vendor_uid": "v", "received_at": 1, "kind": "message"}),
    )
    await redis.zadd(keys.deferred(Lane.MESSAGES), {"v/1": 10**13})
    await redis.sadd(keys.begun(Lane.MESSAGES), 1, 2, 3)
    page = await operator.page(PATH)
    for text in (
        ">nobody<",
        "PHP &lt;500&gt;",
        "Vendor Ada &amp; &lt;Sons&gt; is isolated",
        "locked",
        "Workers died 2 times in a row",
        "PHP has not been reached yet: PHP &lt;500&gt;",
        "next in",
    ):
        assert text in page, text
    assert faults(page) == []
    assert "Inbox of Ada &amp;" in await operator.page(f"{PATH}/vendor?vendor=v")
    async with operator.events(f"{PATH}/live") as events:
        assert "&lt;Sons&gt; is isolated" in (await events.take(1))["lanes"]


async def test_who_drains(operator: Browser, redis: Redis) -> None:
    await redis.set(keys.partitions(Lane.MESSAGES), "2 5 17")
    await redis.set(keys.lease(drain_lease(Lane.MESSAGES, 1)), now_ms() - 30_000)
    await redis.zadd(keys.deferred(Lane.MESSAGES), {"v/1": 1})
    page = await operator.page(PATH)
    for text in ("part 1 of 2", "part 2 of 2", "somebody, for 3", "1 due now"):
        assert text in page


async def test_more_vendors_than_are_shown(
    operator: Browser, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops_inbox, "MAX_VENDORS", 1)
    await put(redis, "v", b"{}", b"{}")
    await put(redis, "w", b"{}")
    assert "and 1 more vendor" in await operator.page(PATH)


async def test_a_vendors_webhooks(
    operator: Browser, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops_inbox, "PAGE", 2)
    await put(redis, "v", *(message_webhook(number) for number in range(4)), b"<script>no")
    found, link = list[str](), "?vendor=v"
    while True:
        page = await operator.page(f"{PATH}/vendor{link}")
        assert faults(page) == []
        found += re.findall(r"wamid\.message-(\d+)", page)
        later = re.search(r'<a href="([^"]+)" rel="next">', page)
        if later is None:
            break
        link = html.unescape(later[1])
    assert [int(number) for number in found] == [0, 1, 2, 3]
    assert "&lt;script&gt;no" in page
    assert "← The oldest" in page
    assert "something else" in page
    assert "None waits" in await operator.page(f"{PATH}/vendor?vendor=v&lane=statuses")
    for query in ("lane=odd", "after=odd", "vendor=v&lane=messages&after=1-1"):
        assert (await operator.get(f"{PATH}/vendor?{query}")).status_code == 400


async def test_one_webhook(operator: Browser, redis: Redis) -> None:
    body = orjson.dumps({"messages": [{"text": "x" * 6000}], "access_token": "hidden-1"})
    await put(redis, "v", body, status_webhook())
    page = await operator.page(f"{PATH}/vendor?vendor=v")
    assert "Only its beginning is shown" in page
    [first, second] = [
        html.unescape(link) for link in re.findall(r'href="/sidecar(/inbox/webhook\?[^"]+)"', page)
    ]
    page = await operator.page(first)
    assert "Webhook: a customer&#39;s message" in page
    assert "hidden-1" not in page
    assert "2,000 more characters" in page
    entry = ops_inbox.WebhookPage(*(await _first_page(redis))).webhooks[0].entry_id
    await redis.hset(keys.cursor(Lane.MESSAGES), "v", f"{entry} 2 0")
    page = await operator.page(second)
    assert "Webhook: statuses" in page
    assert "PHP has it; others" in page
    assert "· PHP has it" in await operator.page(f"{PATH}/vendor?vendor=v")
    await redis.delete(keys.inbox(Lane.MESSAGES, "v"))
    assert (await operator.get(first)).status_code == 404
    assert (await operator.get(f"{PATH}/webhook?lane=messages&at=odd")).status_code == 404


async def _first_page(redis: Redis) -> tuple[Any, Any]:
    page = await ops_inbox.read_webhooks(redis, Lane.MESSAGES, "v")
    return page.webhooks, page.after


async def test_a_viewer_sees_no_person(viewer: Browser, redis: Redis) -> None:
    await put(redis, "v", message_webhook(1, "Meet me at four"), b"Meet me, no JSON")
    await ignore(redis, "v", "own_number", message_webhook(2, "Meet me again"))
    for path in ("/vendor?vendor=v", "/ignored?reason=own_number"):
        page = await viewer.page(PATH + path)
        for personal in ("Meet", "Ada", "9990000"):
            assert personal not in page, personal
    assert "•••• 02" in page


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"a":"' + b"x" * 3_000_000, "Only its beginning is shown"),
        (b"[" * 100_000, "Only its beginning is shown"),
        ('{"a":"مرحبا\u202e"}'.encode(), '<bdi class="text">مرحبا\\u202e</bdi>'),
        (b"\x00\x01 not JSON", "\\u0000\\u0001 not JSON"),
        (b"", "0 B"),
    ],
)
async def test_bodies_of_any_kind(operator: Browser, redis: Redis, body: bytes, shown: str) -> None:
    await put(redis, "v", body)
    assert shown in await operator.page(f"{PATH}/vendor?vendor=v")


async def test_what_was_ignored(
    operator: Browser, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for vendor_uid in ("v", "w"):
        await ignore(redis, vendor_uid, "phone_number_unknown", b'{"a":"b"}')
    await ignore(redis, "v", "odd_reason")
    page = await operator.page(PATH)
    assert "they were sent to a number that is not the vendor&#39;s" in page
    assert "odd_reason" in page
    page = await operator.page(f"{PATH}/ignored?reason=phone_number_unknown")
    assert "They were sent to a number" in page
    assert page.count("<h2>Vendor ") == 2
    assert faults(page) == []
    page = await operator.page(f"{PATH}/ignored?reason=phone_number_unknown&vendor=w")
    assert page.count("<h2>Vendor ") == 1
    assert "Nothing was ignored for" in await operator.page(f"{PATH}/ignored?reason=none")
    assert "odd_reason" in await operator.page(f"{PATH}/vendor?vendor=v")
    monkeypatch.setattr(inbox, "MAX_VENDORS", 1)
    monkeypatch.setattr(inbox, "MAX_REASONS", 1)
    assert "and 1 more vendor" in await operator.page(f"{PATH}/ignored?reason=phone_number_unknown")
    assert "and 1 more reason." in await operator.page(PATH)
    await redis.hset(keys.ignored("v"), "@odd_reason", 1)
    page = await operator.page(f"{PATH}/ignored?reason=odd_reason&vendor=v")
    assert "1970-01-01" in page
    assert "<details>" not in page
