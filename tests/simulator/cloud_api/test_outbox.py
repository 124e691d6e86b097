from typing import Any

import orjson
import pytest

from simulator.cloud_api.config import CloudApiConfig
from tests.simulator.cloud_api.helpers import Api, Receiver, Webhook, eventually, simulating

_LAYOUTS = ("one_change", "several_changes", "several_entries")


def _size(webhook: Webhook) -> int:
    return len(webhook.updates("statuses")) + len(webhook.updates("messages"))


def _layout(name: str) -> dict[str, int]:
    return {one: int(one == name) for one in _LAYOUTS}


async def _send_many(api: Api, count: int) -> None:
    for at in range(count):
        await api.send(f"+49151{at:08d}")


async def test_updates_share_a_post(receiver: Receiver) -> None:
    async with simulating(receiver.url, batch_sizes={7: 1}, batch_wait_ms=10_000) as api:
        await _send_many(api, 14)
        await eventually(lambda: api.simulator.engine.delivery.acknowledged == 6)
        report = await api.report()
        assert [_size(webhook) for webhook in receiver.webhooks] == [7] * 6
        assert report["statuses_acknowledged"]["read"] == 14


async def test_a_batch_waits_for_a_moment_only(receiver: Receiver) -> None:
    async with simulating(receiver.url, batch_sizes={1000: 1}, batch_wait_ms=20) as api:
        await api.send()
        report = await api.idle()
        assert report["statuses_acknowledged"]["read"] == 1
        assert len(receiver.webhooks) <= 3


@pytest.mark.parametrize("layout", _LAYOUTS)
async def test_layouts(receiver: Receiver, layout: str) -> None:
    settings: dict[str, Any] = {
        "batch_sizes": {4: 1},
        "batch_wait_ms": 10_000,
        "batch_layout": _layout(layout),
        "delivered_share": 0,
    }
    async with simulating(receiver.url, **settings) as api:
        await _send_many(api, 4)
        await eventually(lambda: len(receiver.webhooks) == 1)
        await api.control("POST", "inbound", {"count": 4})
        await eventually(lambda: len(receiver.webhooks) == 2)
        statuses = next(one for one in receiver.webhooks if one.updates("statuses"))
        entries = orjson.loads(statuses.body)["entry"]
        assert len(entries) == (4 if layout == "several_entries" else 1)
        assert len(statuses.changes) == (1 if layout == "one_change" else 4)
        assert _size(statuses) == 4
        assert all(webhook.is_signed() for webhook in receiver.webhooks)


async def test_realistic_mix(receiver: Receiver) -> None:
    settings = {"batch_sizes": CloudApiConfig().batch_sizes}
    async with simulating(receiver.url, **settings) as api:
        await _send_many(api, 300)
        report = await api.idle()
        assert report["statuses_acknowledged"]["read"] == 300
        sizes = [_size(webhook) for webhook in receiver.webhooks]
        assert sum(sizes) == 900
        assert max(sizes) > 1
        assert sizes.count(1) > len(sizes) / 2


async def test_duplicates(receiver: Receiver) -> None:
    settings = {"duplicate_share": 1, "duplicate_delay_ms": (0, 10)}
    async with simulating(receiver.url, **settings) as api:
        await _send_many(api, 5)
        report = await api.idle()
        assert report["webhooks"]["duplicates"] == 15
        assert report["webhooks"]["acknowledged"] == 30
        # The same status is counted once, however often it was acknowledged.
        assert report["statuses_acknowledged"]["sent"] == 5
        bodies = [webhook.body for webhook in receiver.webhooks]
        assert all(bodies.count(body) == 2 for body in bodies)


async def test_numbers_with_the_same_url_share_posts(receiver: Receiver) -> None:
    numbers = [
        {"phone_number_id": "1", "account_id": "A"},
        {"phone_number_id": "2", "account_id": "B"},
    ]
    settings: dict[str, Any] = {"batch_sizes": {2: 1}, "batch_wait_ms": 10_000}
    async with simulating(receiver.url, phone_numbers=numbers, **settings) as api:
        for number in ("1", "2"):
            await api.control("POST", "inbound", {"phone_number_id": number})
        await eventually(lambda: bool(receiver.webhooks))
        (webhook,) = receiver.webhooks
        assert [one["id"] for one in orjson.loads(webhook.body)["entry"]] == ["A", "B"]


async def test_nowhere_to_go() -> None:
    async with simulating() as api:
        await api.send()
        report = await api.idle()
        assert report["webhooks"]["updates_without_url"] == 3
        assert report["webhooks"]["posts"] == 0
