import asyncio

import aiohttp
import orjson
import pytest

from contracts.cloud_api.errors import RULES
from contracts.cloud_api.messages import SendResponse
from simulator.cloud_api.garbage import GARBAGE, WAMID
from tests.simulator.cloud_api.helpers import Receiver, eventually, message, simulating


async def test_accepted() -> None:
    async with simulating() as api:
        answer = await api.send("+49 151 12345678", biz_opaque_callback_data="row-1")
        assert answer.status == 200
        assert answer.content_type.startswith("application/json")
        assert answer.json == {
            "messaging_product": "whatsapp",
            "contacts": [{"input": "+49 151 12345678", "wa_id": "4915112345678"}],
            "messages": [{"id": answer.wamid}],
        }
        SendResponse.model_validate_json(answer.body)
        assert answer.wamid.startswith("wamid.")


async def test_wa_id_can_differ_from_the_input() -> None:
    async with simulating() as api:
        answer = await api.send("+5531987654321")
        assert answer.json["contacts"] == [{"input": "+5531987654321", "wa_id": "553187654321"}]


@pytest.mark.parametrize("token", [None, "", "wrong", "simulated-access-token2"])
async def test_token(token: str | None) -> None:
    async with simulating() as api:
        answer = await api.post(orjson.dumps(message()), token=token)
        assert (answer.status, answer.code) == (401, 190)


async def test_token_of_an_account() -> None:
    accounts = [{"account_id": "A", "access_token": "token-a"}]
    numbers = [{"phone_number_id": "1", "account_id": "A"}, {"phone_number_id": "2"}]
    async with simulating(accounts=accounts, phone_numbers=numbers) as api:
        body = orjson.dumps(message())
        assert (await api.post(body, "1", "token-a")).status == 200
        assert (await api.post(body, "1")).status == 401
        assert (await api.post(body, "2")).status == 200


async def test_unknown_number() -> None:
    async with simulating() as api:
        body = orjson.dumps(message())
        answer = await api.post(body, "nobody")
        assert (answer.status, answer.code) == (400, 100)
        assert answer.json["error"]["error_subcode"] == 33
        assert (await api.post(body, "nobody", token=None)).code == 190


async def test_body_is_checked() -> None:
    async with simulating() as api:
        assert (await api.post(b"not json")).code == 100
        assert (await api.post(b"{}")).code == 100
        body = {"messaging_product": "whatsapp", "to": "+4915112345678"}
        assert (await api.post(orjson.dumps(body))).code == 131008
        report = await api.report()
        assert report["refused"] == {"100": 2, "131008": 1}
        assert report["accepted"] == 0


async def test_body_in_pieces() -> None:
    async with simulating() as api:
        parameters = [{"type": "text", "text": "x" * 300_000}]
        components = [{"type": "body", "parameters": parameters}]
        template = {"name": "offer", "language": {"code": "en"}, "components": components}
        assert (await api.send(template=template)).status == 200


async def test_client_that_goes_before_it_has_said_all() -> None:
    async with simulating() as api:
        host, port = api.simulator.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v25.0/1/messages HTTP/1.1\r\nContent-Length: 9\r\n\r\n{")
        await writer.drain()
        connections = api.simulator.server.server_state.connections
        await eventually(lambda: bool(connections))
        writer.close()
        await writer.wait_closed()
        await eventually(lambda: not connections)
        assert (await api.report())["refused"] == {}


async def test_recipient_is_the_sender() -> None:
    numbers = [{"phone_number_id": "1", "display_phone_number": "15550001111"}]
    async with simulating(phone_numbers=numbers) as api:
        answer = await api.post(orjson.dumps(message("+15550001111")), "1")
        assert answer.code == 131021


async def test_read_receipt_is_no_message() -> None:
    async with simulating() as api:
        body = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x"}
        assert (await api.post(orjson.dumps(body))).json == {"success": True}
        assert (await api.report())["accepted"] == 0


async def test_other_paths_are_refused_like_metas() -> None:
    async with simulating() as api:
        url = f"{api.simulator.url}/v25.0/1/register"
        async with api.session.post(url) as answer:
            assert answer.status == 400
            assert (await answer.json())["error"]["code"] == 100


async def test_every_code_by_a_number_and_by_a_rule() -> None:
    async with simulating() as api:
        for code, rule in RULES.items():
            answer = await api.send(f"+1999{code:07d}")
            assert (answer.status, answer.code) == (rule.http_status, code)
            await api.control("POST", "faults", {"kind": "error", "code": code, "times": 1})
            answer = await api.send()
            assert (answer.status, answer.code) == (rule.http_status, code)
        report = await api.report()
        assert report["refused"] == {str(code): 2 for code in sorted(RULES)}
        assert report["accepted"] == 0


async def test_error_shares() -> None:
    async with simulating(error_shares={131000: 0.5, 131026: 0.2}) as api:
        codes = [(await api.send(f"+49151{at:08d}")).status for at in range(200)]
        refused = (await api.report())["refused"]
        assert codes.count(500) == refused["131000"]
        assert 70 < refused["131000"] < 130
        assert 20 < refused["131026"] < 65


async def test_throughput_is_limited() -> None:
    numbers = [{"phone_number_id": "1"}, {"phone_number_id": "2", "messages_per_s": 5}]
    async with simulating(messages_per_s=10, burst_s=0, phone_numbers=numbers) as api:
        answers = [await api.post(orjson.dumps(message(f"+4915{at:08d}")), "1") for at in (1, 2)]
        assert [one.status for one in answers] == [200, 429]
        assert answers[1].code == 130429
        # The other number has a limit of its own.
        assert (await api.post(orjson.dumps(message()), "2")).status == 200
        report = await api.report()
        assert report["refused"] == {"130429": 1}
        assert report["numbers"]["1"]["throttled"] == 1
        assert report["numbers"]["1"]["limit_per_s"] == 10
        assert report["numbers"]["2"]["limit_per_s"] == 5


async def test_never_more_than_rate_and_depth_in_a_second() -> None:
    async with simulating(messages_per_s=50, burst_s=0.2) as api:
        accepted = 0

        async def sender(first: int) -> None:
            nonlocal accepted
            for at in range(first, first + 1_000_000, 8):
                if done.is_set():
                    return
                answer = await api.send(f"+4915{at:010d}")
                accepted += answer.status == 200

        done = asyncio.Event()
        senders = [asyncio.create_task(sender(first)) for first in range(8)]
        await asyncio.sleep(1.5)
        done.set()
        await asyncio.gather(*senders)
        number = next(iter((await api.report())["numbers"].values()))
        assert number["accepted"] == accepted
        assert number["worst_second"] <= 60
        span_s = (number["last_accepted_at"] - number["first_accepted_at"]) / 1000
        assert accepted <= 10 + 50 * span_s + 1
        assert number["average_per_s"] == pytest.approx((accepted - 1) / span_s, rel=0.01)


async def test_pairs_are_limited() -> None:
    async with simulating(pair_burst=3) as api:
        answers = [await api.send("+4915112345678") for _ in range(4)]
        assert [one.status for one in answers] == [200, 200, 200, 429]
        assert answers[-1].code == 131056
        assert (await api.send("+4915187654321")).status == 200
        # What the pair is refused does not use up the number's throughput.
        assert api.simulator.engine.numbers.first().throttled == 0
        assert (await api.report())["accepted"] == 4


async def test_first_status_can_come_before_the_answer(receiver: Receiver) -> None:
    later = {"delivered_delay_ms": (300, 300)}
    async with simulating(receiver.url, early_share=1, **later) as api:
        receiver.delay_s = 0.05
        answer = await api.send()
        assert [one["id"] for one in receiver.updates("statuses")] == [answer.wamid]
        assert receiver.statuses() == ["sent"]
        report = await api.idle()
        assert report["statuses_acknowledged"] == {
            "sent": 1,
            "delivered": 1,
            "read": 1,
            "failed": 0,
        }


async def test_early_does_not_wait_for_ever(receiver: Receiver) -> None:
    async with simulating(receiver.url, early_share=1, early_wait_ms=20) as api:
        receiver.delay_s = 0.3
        await api.send()
        assert not api.simulator.engine.ledger.statuses_acknowledged[0]
        await api.idle()


async def test_early_without_anywhere_to_post() -> None:
    async with simulating(early_share=1) as api:
        assert (await api.send()).status == 200


async def test_held_for_quality(receiver: Receiver) -> None:
    async with simulating(receiver.url) as api:
        released = await api.send("+17770000000")
        dropped = await api.send("+17770132015")
        for answer in (released, dropped):
            held = answer.json["messages"][0]["message_status"]
            assert held == "held_for_quality_assessment"
        await api.idle()
        by_wamid = {
            answer.wamid: [
                one["status"] for one in receiver.updates("statuses") if one["id"] == answer.wamid
            ]
            for answer in (released, dropped)
        }
        assert sorted(by_wamid[released.wamid]) == ["delivered", "read", "sent"]
        assert by_wamid[dropped.wamid] == ["failed"]


async def test_held_by_chance() -> None:
    async with simulating(held_share=1) as api:
        assert "message_status" in (await api.send()).json["messages"][0]


async def test_error_before_acceptance() -> None:
    async with simulating() as api:
        await api.control("POST", "faults", {"kind": "http_500", "times": 1})
        await api.control("POST", "faults", {"kind": "html_500", "times": 1})
        await api.control("POST", "faults", {"kind": "throttle", "times": 1})
        await api.control("POST", "faults", {"kind": "http_503", "times": 1})
        empty, html, throttled, away, fine = [await api.send() for _ in range(5)]
        assert (empty.status, empty.body) == (500, b"")
        assert html.status == 500
        assert html.content_type.startswith("text/html")
        assert html.body.startswith(b"<!DOCTYPE html>")
        assert (throttled.status, throttled.code) == (429, 130429)
        assert (away.status, away.body) == (503, b"")
        assert fine.status == 200
        report = await api.report()
        assert report["faults"] == {"http_500": 1, "html_500": 1, "throttle": 1, "http_503": 1}
        assert report["accepted"] == 1


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage(name: str) -> None:
    garbage = GARBAGE[name]
    rule = {"kind": "garbage", "garbage": name, "times": 1, "seconds": 0.1}
    async with simulating(faults=[rule]) as api:
        answer = await api.send()
        sent = [message["wamid"].encode() for message in await api.lines("messages")]
        body = garbage.body.replace(WAMID, sent[0]) if sent else garbage.body
        assert (answer.status, answer.body) == (garbage.status, body)
        report = await api.report()
        assert report["faults"] == {"garbage": 1}
        assert report["accepted"] == (garbage.status < 400)
        assert (await api.send()).status == 200


async def test_fault_for_one_recipient() -> None:
    async with simulating() as api:
        await api.control("POST", "faults", {"kind": "error", "code": 1, "to": "+49 151 1"})
        assert (await api.send("+491511")).code == 1
        assert (await api.send("+491512")).status == 200


async def test_reset_before_read() -> None:
    async with simulating() as api:
        await api.control("POST", "faults", {"kind": "reset_before_read", "times": 1})
        with pytest.raises(aiohttp.ClientConnectionError):
            await api.send()
        assert (await api.report())["accepted"] == 0
        assert (await api.send()).status == 200


async def test_reset_after_accept(receiver: Receiver) -> None:
    async with simulating(receiver.url) as api:
        await api.control("POST", "faults", {"kind": "reset_after_accept", "times": 1})
        with pytest.raises(aiohttp.ClientConnectionError):
            await api.send(biz_opaque_callback_data="row-1")
        report = await api.idle()
        assert report["accepted"] == 1
        # The caller learns it from the statuses alone.
        found = {one["biz_opaque_callback_data"] for one in receiver.updates("statuses")}
        assert found == {"row-1"}
        assert len(receiver.statuses()) == 3


async def test_no_answer_after_accept(receiver: Receiver) -> None:
    async with simulating(receiver.url) as api:
        fault = {"kind": "timeout_after_accept", "seconds": 0.05, "times": 1}
        await api.control("POST", "faults", fault)
        with pytest.raises(aiohttp.ClientConnectionError):
            await api.send()
        assert (await api.idle())["accepted"] == 1
        assert len(receiver.statuses()) == 3


async def test_client_that_does_not_wait() -> None:
    async with simulating() as api:
        await api.control("POST", "faults", {"kind": "timeout_after_accept", "times": 1})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(api.send(), 0.05)
        assert (await api.report())["accepted"] == 1


async def test_hanging_answers_do_not_delay_the_end() -> None:
    async with simulating() as api:
        await api.control("POST", "faults", {"kind": "timeout_after_accept"})
        hanging = asyncio.create_task(api.send())
        await eventually(lambda: bool(api.simulator.engine.faults.hits))
        api.simulator.server.stop()
        with pytest.raises(aiohttp.ClientConnectionError):
            await asyncio.wait_for(hanging, 5)


async def test_slow_answer() -> None:
    async with simulating() as api:
        await api.control("POST", "faults", {"kind": "slow", "seconds": 0.1, "times": 1})
        sending = asyncio.create_task(api.send())
        await eventually(lambda: len(api.simulator.engine.ledger.messages) == 1)
        assert not sending.done()
        assert (await sending).status == 200
