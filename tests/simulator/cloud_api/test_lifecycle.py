import time
from typing import Any

import pytest

from contracts.cloud_api.errors import RULES
from tests.simulator.cloud_api.helpers import Api, Receiver, simulating

_ALL = {"sent": 1, "delivered": 1, "read": 1, "failed": 0}


async def _send_many(api: Api, count: int) -> None:
    for at in range(count):
        assert (await api.send(f"+49151{at:08d}")).status == 200


async def test_sent_delivered_read(receiver: Receiver) -> None:
    async with simulating(receiver.url) as api:
        before = int(time.time())
        answer = await api.send("+5531987654321", biz_opaque_callback_data="row-1")
        report = await api.idle()
        assert report["statuses"] == report["statuses_acknowledged"] == _ALL
        statuses = receiver.updates("statuses")
        assert [one["status"] for one in statuses] == ["sent", "delivered", "read"]
        for one in statuses:
            assert one["id"] == answer.wamid
            assert one["recipient_id"] == "553187654321"
            assert one["biz_opaque_callback_data"] == "row-1"
            assert before <= int(one["timestamp"]) <= time.time()
        assert all(webhook.is_signed() for webhook in receiver.webhooks)


async def test_nothing_to_echo_without_callback_data(receiver: Receiver) -> None:
    async with simulating(receiver.url) as api:
        await api.send()
        await api.idle()
        assert all("biz_opaque_callback_data" not in one for one in receiver.updates("statuses"))


async def test_delays_are_kept(receiver: Receiver) -> None:
    delays: dict[str, Any] = {
        "sent_delay_ms": (40, 60),
        "delivered_delay_ms": (80, 90),
        "read_delay_ms": (0, 1),
    }
    async with simulating(receiver.url, **delays) as api:
        began = time.monotonic()
        await api.send()
        await api.idle()
        sent, delivered, read = [webhook.at - began for webhook in receiver.webhooks]
        assert sent >= 0.04
        assert delivered - sent >= 0.07
        assert read >= delivered


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"delivered_share": 0}, ["sent"]),
        ({"read_share": 0}, ["sent", "delivered"]),
        ({"delivered_omitted_share": 1}, ["sent", "read"]),
        ({"failed_shares": {131026: 1}, "failed_after_sent_share": 0}, ["failed"]),
        ({"failed_shares": {131026: 1}, "failed_after_sent_share": 1}, ["sent", "failed"]),
    ],
)
async def test_other_ways(
    receiver: Receiver, settings: dict[str, Any], expected: list[str]
) -> None:
    async with simulating(receiver.url, **settings) as api:
        await api.send()
        await api.idle()
        assert receiver.statuses() == expected


async def test_shares(receiver: Receiver) -> None:
    settings = {"delivered_share": 0.5, "failed_shares": {131026: 0.1, 131049: 0.2}}
    async with simulating(receiver.url, **settings) as api:
        await _send_many(api, 200)
        statuses = (await api.idle())["statuses"]
        codes = [
            one["errors"][0]["code"] for one in receiver.updates("statuses") if "errors" in one
        ]
        assert 5 < codes.count(131026) < 40
        assert 20 < codes.count(131049) < 60
        assert statuses["failed"] == len(codes)
        assert 40 < statuses["delivered"] < 100
        assert statuses["read"] == statuses["delivered"]


async def test_every_code_as_a_status(receiver: Receiver) -> None:
    async with simulating(receiver.url) as api:
        wamids = {}
        for code in RULES:
            answer = await api.send(f"+1888{code:07d}")
            assert answer.status == 200
            wamids[answer.wamid] = code
        await api.idle()
        failed = receiver.updates("statuses")
        assert {one["status"] for one in failed} == {"failed"}
        assert {one["id"]: one["errors"][0]["code"] for one in failed} == wamids
        codes = {line["wamid"]: line["failed_code"] for line in await api.lines("messages")}
        assert codes == wamids


async def test_a_status_can_be_overtaken_by_the_next(receiver: Receiver) -> None:
    settings = {"reorder_share": 1, "reorder_delay_ms": (10, 20)}
    async with simulating(receiver.url, **settings) as api:
        await api.send()
        report = await api.idle()
        assert receiver.statuses() == ["delivered", "read", "sent"] or receiver.statuses() == [
            "delivered",
            "sent",
            "read",
        ]
        assert report["statuses_acknowledged"] == _ALL


async def test_same_seed_same_ways() -> None:
    reports = []
    for _ in range(2):
        async with simulating(seed=7, failed_shares={131026: 0.5}) as api:
            await _send_many(api, 50)
            reports.append((await api.idle())["statuses"])
    assert reports[0] == reports[1]


async def test_deliveries_are_answered(receiver: Receiver) -> None:
    async with simulating(receiver.url, reply_share=1) as api:
        answer = await api.send()
        report = await api.idle()
        assert report["inbound"] == {"created": 1, "acknowledged": 1}
        (reply,) = receiver.updates("messages")
        assert reply["from"] == "4915112345678"
        assert reply["id"] != answer.wamid


async def test_replies_follow_a_proof_of_delivery() -> None:
    async with simulating(reply_share=1, delivered_omitted_share=1) as api:
        await api.send()
        assert (await api.idle())["inbound"]["created"] == 1
    async with simulating(reply_share=1, delivered_share=0) as api:
        await api.send()
        assert (await api.idle())["inbound"]["created"] == 0
