import time
from contextlib import suppress

import aiohttp
import pytest

from tests.simulator.cloud_api.helpers import Receiver, receiving, simulating


async def test_report_of_nothing() -> None:
    async with simulating() as api:
        report = await api.report()
        number_id = api.simulator.engine.numbers.first().phone_number_id
        assert report["idle"]
        assert report["accepted"] == report["recipients"] == report["sent_twice"] == 0
        assert report["refused"] == report["faults"] == {}
        assert report["numbers"][number_id]["first_accepted_at"] is None


async def test_what_was_sent_twice() -> None:
    async with simulating() as api:
        for to, data in [("+491511", "a"), ("+491511", "a"), ("+491512", "a"), ("+491512", "b")]:
            await api.send(to, biz_opaque_callback_data=data)
        # Without callback data, the recipient tells.
        for to in ("+491513", "+491514", "+491513"):
            await api.send(to)
        report = await api.report()
        assert (report["accepted"], report["recipients"], report["sent_twice"]) == (7, 4, 2)
        lines = await api.lines("messages")
        assert [line["accepts"] for line in lines] == [3, 3, 3, 1, 2, 1, 2]


async def test_messages(receiver: Receiver) -> None:
    async with simulating(receiver.url) as api:
        before = time.time() * 1000
        answer = await api.send("+5531987654321", biz_opaque_callback_data="row-é")
        await api.idle()
        (line,) = await api.lines("messages")
        assert before - 1 <= line.pop("accepted_at") <= time.time() * 1000 + 1
        times = line.pop("status_times")
        assert list(times) == ["sent", "delivered", "read"]
        assert before // 1000 <= times["sent"] <= times["read"] <= time.time()
        assert line == {
            "wamid": answer.wamid,
            "callback_data": "row-é",
            "to": "+5531987654321",
            "wa_id": "553187654321",
            "user_id": None,
            "type": "template",
            "product_policy": None,
            "lite": False,
            "phone_number_id": api.simulator.engine.numbers.first().phone_number_id,
            "statuses": {"sent": True, "delivered": True, "read": True},
            "failed_code": None,
            "accepts": 1,
        }


async def test_messages_that_are_not_acknowledged() -> None:
    async with simulating() as api:
        await api.send()
        await api.idle()
        (line,) = await api.lines("messages")
        assert line["statuses"] == {"sent": False, "delivered": False, "read": False}


async def test_mishaps() -> None:
    async with simulating() as api:
        faults = ("http_500", "throttle", "reset_after_accept", "reset_before_read")
        before = time.time() * 1000
        assert (await api.send("+1 999 0131026", biz_opaque_callback_data="refused")).code == 131026
        assert (await api.send(biz_opaque_callback_data="fine")).status == 200
        for kind in faults:
            await api.control("POST", "faults", {"kind": kind, "times": 1})
            with suppress(aiohttp.ClientConnectionError):
                await api.send(biz_opaque_callback_data=kind)
            await api.control("DELETE", "faults")
        lines = await api.lines("mishaps")
        assert all(before - 1 <= line["at"] <= time.time() * 1000 + 1 for line in lines)
        assert [(line["callback_data"], line["what"]) for line in lines] == [
            ("refused", "131026"),
            ("http_500", "http_500"),
            ("throttle", "130429"),
            ("reset_after_accept", "reset_after_accept"),
            (None, "reset_before_read"),
        ]


async def test_many_lines() -> None:
    async with simulating() as api:
        await api.control("POST", "inbound", {"count": 1234})
        lines = await api.lines("inbound")
        assert len({line["wamid"] for line in lines}) == 1234


async def test_inbound_to_order(receiver: Receiver) -> None:
    async with simulating(receiver.url) as api:
        order = {"from": "4915112345678", "text": "Hallo", "count": 2}
        answer = await api.control("POST", "inbound", order)
        await api.idle()
        messages = receiver.updates("messages")
        assert answer.json == {"count": 2, "wamids": [one["id"] for one in messages]}
        assert [one["from"] for one in messages] == ["4915112345678"] * 2
        await api.control("POST", "inbound", {"type": "location"})
        await api.idle()
        assert receiver.updates("messages")[-1]["type"] == "location"
        lines = await api.lines("inbound")
        assert [line["type"] for line in lines] == ["text", "text", "location"]


async def test_inbound_spread_over_time(receiver: Receiver) -> None:
    async with simulating(receiver.url) as api:
        answer = await api.control("POST", "inbound", {"count": 5, "per_s": 50})
        assert answer.json == {"count": 5, "wamids": []}
        report = await api.idle()
        assert report["inbound"] == {"created": 5, "acknowledged": 5}
        assert receiver.webhooks[-1].at - receiver.webhooks[0].at >= 0.07


async def test_faults_can_be_seen_and_cleared() -> None:
    async with simulating(faults=[{"kind": "slow", "seconds": 0.01}]) as api:
        answer = await api.control("POST", "faults", {"kind": "error", "code": 131026, "times": 3})
        assert answer.status == 201
        assert answer.json["id"] == 2
        await api.send()
        slow, error = (await api.control("GET", "faults")).json
        assert (slow["kind"], slow["hits"]) == ("slow", 1)
        assert (error["kind"], error["code"], error["times"]) == ("error", 131026, 3)
        assert (await api.control("DELETE", "faults")).json == {"cleared": 2}
        assert (await api.control("GET", "faults")).json == []


@pytest.mark.parametrize(
    ("path", "order", "status"),
    [
        ("faults", {"kind": "error"}, 400),
        ("faults", {"kind": "unheard_of"}, 400),
        ("faults", b"not json", 400),
        ("inbound", {"count": 0}, 400),
        ("inbound", {"type": "telegram"}, 400),
        ("inbound", {"phone_number_id": "nobody"}, 404),
        ("webhook-url", {}, 400),
        ("webhook-url", {"url": "nowhere"}, 400),
        ("webhook-url", {"url": "http://127.0.0.1/", "phone_number_id": "nobody"}, 404),
        ("webhook?phone_number_id=nobody", b"", 404),
        ("webhook", b"", 409),
        ("report", None, 405),
        ("nothing", None, 404),
    ],
)
async def test_orders_that_make_no_sense(
    path: str, order: dict[str, object] | bytes | None, status: int
) -> None:
    async with simulating() as api:
        answer = await api.control("POST", path, order)
        assert answer.status == status
        assert answer.json["error"]


async def test_any_webhook(receiver: Receiver) -> None:
    async with simulating(receiver.url) as api:
        for body in (b'{"object":"x"}', b"{broken", b"", b"\xff\x00", b"x" * 3_000_000):
            answer = await api.control("POST", "webhook", body)
            assert answer.json == {"status": 200}
            assert receiver.webhooks[-1].body == body
            assert receiver.webhooks[-1].is_signed()
        assert (await api.report())["webhooks"]["acknowledged"] == 5


async def test_signature_of_a_webhook(receiver: Receiver) -> None:
    async with simulating(receiver.url) as api:
        receiver.answer = 401
        answer = await api.control("POST", "webhook?signature=wrong", b"{}")
        assert answer.json == {"status": 401}
        assert "X-Hub-Signature-256" in receiver.webhooks[-1].headers
        assert not receiver.webhooks[-1].is_signed()
        await api.control("POST", "webhook?signature=missing", b"{}")
        assert "X-Hub-Signature-256" not in receiver.webhooks[-1].headers
        assert (await api.control("POST", "webhook?signature=odd", b"")).status == 400
        # They are tried once.
        assert (await api.idle())["webhooks"]["abandoned"] == 2


async def test_webhook_that_is_tried_again(receiver: Receiver) -> None:
    async with simulating(receiver.url) as api:
        receiver.answers = [500]
        answer = await api.control("POST", "webhook?retry=true", b"{}")
        assert answer.json == {"status": 500}
        assert (await api.idle())["webhooks"]["acknowledged"] == 1
        assert [webhook.body for webhook in receiver.webhooks] == [b"{}", b"{}"]


async def test_no_webhook_while_paused(receiver: Receiver) -> None:
    async with simulating(receiver.url) as api:
        await api.control("POST", "pause-webhooks")
        assert (await api.control("POST", "webhook", b"{}")).status == 409


async def test_webhook_url_is_verified_as_meta_does(receiver: Receiver) -> None:
    async with simulating() as api:
        wrong = {"url": receiver.url, "verify_token": "wrong"}
        assert (await api.control("POST", "webhook-url", wrong)).status == 422
        assert (await api.control("POST", "webhook", b"{}")).status == 409
        right = {"url": receiver.url, "verify_token": "token"}
        assert (await api.control("POST", "webhook-url", right)).status == 200
        assert (await api.control("POST", "webhook", b"{}")).json == {"status": 200}


async def test_webhook_url_that_does_not_answer() -> None:
    async with receiving() as gone:
        url = gone.url
    async with simulating() as api:
        order = {"url": url, "verify_token": "token"}
        answer = await api.control("POST", "webhook-url", order)
        assert answer.status == 422
        assert (await api.control("POST", "webhook-url", {"url": url})).status == 200
        # Nobody listens there: no answer at all.
        assert (await api.control("POST", "webhook", b"{}")).json == {"status": None}


async def test_webhook_url_for_some_numbers(receiver: Receiver) -> None:
    numbers = [
        {"phone_number_id": "1", "account_id": "A"},
        {"phone_number_id": "2", "account_id": "A"},
        {"phone_number_id": "3", "account_id": "B"},
    ]
    async with simulating(phone_numbers=numbers) as api:
        for order, expected in [
            ({"phone_number_id": "2"}, ["2"]),
            ({"account_id": "A"}, ["1", "2"]),
            ({}, ["1", "2", "3"]),
        ]:
            answer = await api.control("POST", "webhook-url", {"url": receiver.url, **order})
            assert answer.json["numbers"] == expected
