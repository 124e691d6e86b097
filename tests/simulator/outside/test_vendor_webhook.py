"""The vendor's own webhook, over real connections."""

import aiohttp
import orjson
import pytest

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from simulator.vendor_webhook import receiving_forwards

BODY = b'{"object": "whatsapp_business_account"}'


async def _post(client: aiohttp.ClientSession, url: str, signature: str | None = None) -> int:
    headers = {} if signature is None else {SIGNATURE_HEADER: signature}
    async with client.post(url, data=BODY, headers=headers, allow_redirects=False) as answer:
        return answer.status


async def test_a_signed_post_is_kept(client: aiohttp.ClientSession) -> None:
    async with receiving_forwards(secret="s") as vendor:
        assert await _post(client, vendor.hook, sign(b"s", BODY)) == 200
        (kept,) = vendor.requests
        assert kept.body == BODY
        assert kept.json["object"] == "whatsapp_business_account"
        assert kept.headers[SIGNATURE_HEADER.lower()] == sign(b"s", BODY)


@pytest.mark.parametrize("signature", [None, "", sign(b"other", BODY), sign(b"s", BODY + b" ")])
async def test_a_wrong_signature_is_refused(
    client: aiohttp.ClientSession, signature: str | None
) -> None:
    async with receiving_forwards(secret="s") as vendor:
        assert await _post(client, vendor.hook, signature) == 401
        assert (vendor.requests, vendor.refused) == ([], 1)
        async with client.get(f"{vendor.url}/_simulator/report") as answer:
            assert (await answer.json())["refused"] == 1


async def test_without_a_secret_anything_is_taken(client: aiohttp.ClientSession) -> None:
    async with receiving_forwards() as vendor:
        assert await _post(client, vendor.hook) == 200
        async with client.get(f"{vendor.url}/_simulator/requests") as answer:
            assert [one["body"] for one in await answer.json()] == [BODY.decode()]


async def test_it_counts_what_it_is_told(client: aiohttp.ClientSession) -> None:
    def told(*wamids: str) -> bytes:
        value = {"messages": [{"id": wamid} for wamid in wamids]}
        return orjson.dumps({"entry": [{"changes": [{"field": "messages", "value": value}]}]})

    async with receiving_forwards() as vendor:
        for post, body in (("1", told("a", "b")), ("1", told("a", "b")), ("2", told("b", "c"))):
            async with client.post(vendor.hook, data=body, headers={"Webhook-Id": post}):
                pass
        assert vendor.facts == {"message a": 1, "message b": 2, "message c": 1}
        assert vendor.repeated == ["message b"]
        async with client.get(f"{vendor.url}/_simulator/report") as answer:
            report = await answer.json()
        assert [report[name] for name in ("facts", "repeated", "retried")] == [3, 1, 1]


async def test_it_fails_and_redirects(client: aiohttp.ClientSession) -> None:
    async with receiving_forwards() as vendor:
        vendor.faults.add("status", status=503, times=1)
        vendor.faults.add("redirect", location="http://127.0.0.1:1/", times=1)
        vendor.faults.add("redirect", status=302, location="/other", times=1)
        assert [await _post(client, vendor.hook) for _ in range(4)] == [503, 307, 302, 200]
        assert len(vendor.requests) == 1


async def test_it_takes_a_post_and_loses_the_answer(client: aiohttp.ClientSession) -> None:
    async with receiving_forwards() as vendor:
        vendor.faults.add("hang", seconds=0.05, handled=True, times=1)
        with pytest.raises(aiohttp.ClientConnectionError):
            await _post(client, vendor.hook)
        assert len(vendor.requests) == 1
        vendor.faults.add("slow", seconds=0.05)
        assert await _post(client, vendor.hook) == 200
        assert len(vendor.requests) == 2
