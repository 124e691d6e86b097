import asyncio
from typing import Any

import aiohttp
import pytest

from simulator.cloud_api.config import DEFAULT_ACCESS_TOKEN, DEFAULT_PHONE_NUMBER_ID
from simulator.cloud_api.outage import OutageShape
from tests.simulator.cloud_api.helpers import Api, eventually, simulating

#: What an answered call gets.
ANSWERED = {
    "html_502": (502, "text/html"),
    "empty_502": (502, "text/html"),
    "html_200": (200, "text/html"),
    "empty_200": (200, "text/html"),
    "error_131000": (500, "application/json"),
    "http_503": (503, "text/html"),
    "flapping": (502, "text/html"),
}
WITHOUT_BODY = ("empty_502", "empty_200", "http_503")
BROKEN = ("reset", "reset_after_read")


async def _begin(api: Api, shape: str, **more: Any) -> dict[str, Any]:
    answer = await api.control("POST", "outages", {"shape": shape, **more})
    assert answer.status == 201
    begun: dict[str, Any] = answer.json
    return begun


def test_every_shape_is_tried_here() -> None:
    assert {*ANSWERED, *BROKEN, "black_hole", "slow"} == {shape.value for shape in OutageShape}


@pytest.mark.parametrize("shape", ANSWERED)
async def test_answered_and_not_accepted(shape: str) -> None:
    async with simulating() as api:
        await _begin(api, shape)
        for answer in (await api.send(), await api.number()):
            assert answer.status == ANSWERED[shape][0]
            assert answer.content_type.startswith(ANSWERED[shape][1])
            assert bool(answer.body) is (shape not in WITHOUT_BODY)
        await api.control("DELETE", "outages")
        assert (await api.send()).status == 200
        assert (await api.report())["accepted"] == 1


@pytest.mark.parametrize("shape", BROKEN)
async def test_broken_and_not_accepted(shape: str) -> None:
    async with simulating() as api:
        await _begin(api, shape, seconds=60)
        for call in (api.send, api.number):
            with pytest.raises(aiohttp.ClientConnectionError):
                await call()
        assert (await api.report())["accepted"] == 0


async def _send_badly(api: Api, shape: str, accepted: int) -> None:
    """Send a row that is the ``accepted``-th to be accepted, and get no good answer."""
    sending = asyncio.create_task(api.send(biz_opaque_callback_data="row-1"))
    if shape in ANSWERED:
        assert (await sending).status == ANSWERED[shape][0]
    elif shape == "black_hole":
        await eventually(lambda: len(api.simulator.engine.ledger.messages) == accepted)
        sending.cancel()
    else:
        with pytest.raises(aiohttp.ClientConnectionError):
            await sending


@pytest.mark.parametrize("shape", [*ANSWERED, "reset_after_read", "black_hole"])
async def test_accepted_before_the_answer_goes_wrong(shape: str) -> None:
    async with simulating() as api:
        await _begin(api, shape, accepted=True)
        await _send_badly(api, shape, 1)
        await _send_badly(api, shape, 2)
        assert api.simulator.engine.ledger.sent_twice == 1
        [outage] = (await api.control("GET", "outages")).json
        assert outage["hits"] == {"messages": 2}


async def test_the_report_and_the_mishaps_tell() -> None:
    async with simulating() as api:
        await _begin(api, "html_502")
        await api.send(biz_opaque_callback_data="row-1")
        await api.number()
        assert (await api.report())["outages"] == {"html_502": {"messages": 1, "number": 1}}
        [mishap] = await api.lines("mishaps")
        assert (mishap["what"], mishap["callback_data"]) == ("outage_html_502", "row-1")


async def test_a_read_gets_an_error_of_reads() -> None:
    async with simulating() as api:
        await _begin(api, "error_131000")
        assert (await api.send()).code == 131000
        answer = await api.number()
        assert answer.code == 2
        assert answer.json["error"]["is_transient"] is True


async def test_only_sending_is_out() -> None:
    async with simulating() as api:
        await _begin(api, "html_502", of=["messages"])
        assert (await api.send()).status == 502
        assert (await api.number()).status == 200


async def test_a_black_hole_is_read_and_not_answered() -> None:
    async with simulating() as api:
        await _begin(api, "black_hole")
        ledger = api.simulator.engine.ledger
        calls = [asyncio.create_task(call()) for call in (api.send, api.number)]
        await eventually(lambda: len(ledger.mishaps) == 1)
        await api.control("DELETE", "outages")
        assert (await api.send()).status == 200
        assert not any(call.done() for call in calls)
        for call in calls:
            call.cancel()


async def test_a_black_hole_does_not_keep_the_server_from_stopping() -> None:
    async with simulating() as api:
        await _begin(api, "black_hole")
        call = asyncio.create_task(api.number())
        outages = api.simulator.engine.outages
        await eventually(lambda: "black_hole" in outages.hits)
        api.simulator.server.stop()
        with pytest.raises(aiohttp.ClientConnectionError):
            await call


async def test_slow_is_accepted_at_once_and_answered_later() -> None:
    async with simulating() as api:
        await _begin(api, "slow", answer_after_s=0.2)
        ledger = api.simulator.engine.ledger
        sending = asyncio.create_task(api.send())
        await eventually(lambda: len(ledger.messages) == 1)
        assert not sending.done()
        assert (await sending).wamid == ledger.messages[0].wamid
        assert (await api.number()).json["id"] == DEFAULT_PHONE_NUMBER_ID


async def test_media_are_hit_too() -> None:
    async with simulating() as api:
        made = (await api.control("POST", "media", {"size": 10})).json
        other = await api.control("POST", "outages", {"shape": "html_502", "phone_number_id": "9"})
        headers = {"Authorization": f"Bearer {DEFAULT_ACCESS_TOKEN}"}
        url = f"{api.simulator.url}/v25.0/{made['id']}"
        async with api.session.get(url, headers=headers) as answer:
            address = (await answer.json())["url"]
        await api.control("DELETE", f"outages?id={other.json['id']}")
        await _begin(api, "http_503", phone_number_id=DEFAULT_PHONE_NUMBER_ID)
        for one in (url, address):
            async with api.session.get(one, headers=headers) as answer:
                assert answer.status == 503
        assert (await api.report())["outages"] == {"http_503": {"media": 1, "media_bytes": 1}}


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'{"to": 5}'])
async def test_any_body(body: bytes) -> None:
    async with simulating() as api:
        await _begin(api, "html_502", accepted=True)
        assert (await api.post(body)).status == 502
        assert (await api.report())["accepted"] == 0
