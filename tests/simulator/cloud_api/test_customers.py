import time
from random import Random
from typing import Any

import orjson
import pytest

from contracts.cloud_api.webhook import Webhook
from simulator.cloud_api.inbound_content import MESSAGE_TYPES, Answered, text
from tests.simulator.cloud_api.helpers import Receiver, simulating


@pytest.mark.parametrize("type_", MESSAGE_TYPES)
def test_content_is_named_after_its_type(type_: str) -> None:
    content = MESSAGE_TYPES[type_](Random(1), Answered("wamid.x", "1555"))
    assert content["type"] == type_
    assert type_ == "unsupported" or content[type_]
    orjson.dumps(content)


def test_there_is_nothing_to_react_to() -> None:
    assert MESSAGE_TYPES["reaction"](Random(1), None)["type"] == "text"


def test_text() -> None:
    assert text("Hi") == {"type": "text", "text": {"body": "Hi"}}


@pytest.mark.parametrize("type_", MESSAGE_TYPES)
async def test_every_type_arrives(receiver: Receiver, type_: str) -> None:
    async with simulating(receiver.url, inbound_types={type_: 1}, reply_share=1) as api:
        answer = await api.send()
        await api.idle()
        (reply,) = receiver.updates("messages")
        assert reply["type"] == type_
        assert abs(int(reply["timestamp"]) - time.time()) < 60
        (contact,) = receiver.updates("contacts")
        assert contact["wa_id"] == reply["from"] == "4915112345678"
        assert contact["profile"]["name"]
        answering = type_ in ("button", "interactive")
        assert ("context" in reply) is answering
        if answering:
            assert reply["context"]["id"] == answer.wamid
        if type_ == "reaction":
            assert reply["reaction"]["message_id"] == answer.wamid
        for webhook in receiver.webhooks:
            assert webhook.is_signed()
            Webhook.model_validate_json(webhook.body)


async def test_non_ascii_is_escaped_and_signed(receiver: Receiver) -> None:
    async with simulating(receiver.url) as api:
        await api.control("POST", "inbound", {"from": "49151", "text": "Grüße 😀 / ü"})
        await api.idle()
        (webhook,) = receiver.webhooks
        assert b"Gr\\u00fc\\u00dfe \\ud83d\\ude00 / \\u00fc" in webhook.body
        assert webhook.body.isascii()
        assert webhook.is_signed()
        assert webhook.headers["Content-Type"] == "application/json"
        assert webhook.updates("messages")[0]["text"] == {"body": "Grüße 😀 / ü"}


async def test_unprompted_messages_come_to_an_end(receiver: Receiver) -> None:
    settings: dict[str, Any] = {"inbound_per_s": 200, "inbound_total": 20, "inbound_customers": 3}
    async with simulating(receiver.url, **settings) as api:
        assert not api.simulator.engine.is_idle()
        report = await api.idle()
        assert report["inbound"] == {"created": 20, "acknowledged": 20}
        assert {one["from"] for one in receiver.updates("messages")} == {
            "15550000000",
            "15550000001",
            "15550000002",
        }
        lines = await api.lines("inbound")
        assert [line["wamid"] for line in lines] == [
            one["id"] for one in receiver.updates("messages")
        ]
        assert all(line["acknowledged"] for line in lines)


async def test_unprompted_messages_without_an_end() -> None:
    async with simulating(inbound_per_s=1000) as api:
        report = await api.idle()
        while report["inbound"]["created"] < 10:
            report = await api.report()
        assert report["webhooks"]["updates_without_url"] >= 10


async def test_none_are_to_come() -> None:
    async with simulating(inbound_per_s=1000, inbound_total=0) as api:
        assert (await api.idle())["inbound"]["created"] == 0


async def test_customers_can_use_up_throughput() -> None:
    for counts, status in ((False, 200), (True, 429)):
        settings: dict[str, Any] = {"messages_per_s": 1, "burst_s": 2, "inbound_counts": counts}
        async with simulating(**settings) as api:
            await api.control("POST", "inbound", {"count": 2})
            assert (await api.send()).status == status
