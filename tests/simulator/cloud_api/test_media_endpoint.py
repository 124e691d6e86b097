import base64
import hashlib
from typing import Any

import aiohttp
import pytest

from simulator.cloud_api.config import DEFAULT_ACCESS_TOKEN
from tests.simulator.cloud_api.helpers import Api, Receiver, simulating

AUTHORIZATION = {"Authorization": f"Bearer {DEFAULT_ACCESS_TOKEN}"}


async def get(
    api: Api, url: str, headers: dict[str, str] | None = None
) -> tuple[int, bytes, dict[str, str]]:
    async with api.session.get(url, headers=AUTHORIZATION if headers is None else headers) as got:
        return got.status, await got.read(), dict(got.headers)


async def make(api: Api, **order: Any) -> dict[str, Any]:
    answer = await api.control("POST", "media", {"size": 200_000, **order})
    assert answer.status == 201
    made: dict[str, Any] = answer.json
    return made


async def find(api: Api, media_id: str) -> tuple[int, dict[str, Any]]:
    url = f"{api.simulator.url}/v25.0/{media_id}"
    async with api.session.get(url, headers=AUTHORIZATION) as answer:
        return answer.status, await answer.json() if answer.content_length else {}


async def test_a_customers_media_can_be_fetched(receiver: Receiver) -> None:
    async with simulating(receiver.url) as api:
        order = {"type": "video", "media_bytes": 300_000}
        await api.control("POST", "inbound", order)
        await api.idle()
        [message] = receiver.updates("messages")
        video = message["video"]
        status, found = await find(api, video["id"])
        assert status == 200
        assert (found["mime_type"], found["file_size"]) == ("video/mp4", 300_000)
        assert (found["id"], video["mime_type"]) == (video["id"], "video/mp4")
        status, content, headers = await get(api, found["url"])
        assert (status, headers["Content-Type"]) == (200, "video/mp4")
        assert len(content) == 300_000
        digest = hashlib.sha256(content)
        assert base64.b64decode(video["sha256"]) == digest.digest()
        assert found["sha256"] == digest.hexdigest()
        [listed] = await api.lines("media")
        assert (listed["addresses"], listed["downloads"]) == (1, 1)


@pytest.mark.parametrize("type_", ["image", "audio", "document", "sticker"])
async def test_every_type_with_media(receiver: Receiver, type_: str) -> None:
    async with simulating(receiver.url, inbound_media_bytes=(7, 7)) as api:
        await api.control("POST", "inbound", {"type": type_})
        await api.idle()
        [message] = receiver.updates("messages")
        _, found = await find(api, message[type_]["id"])
        assert (found["file_size"], found["mime_type"]) == (7, message[type_]["mime_type"])


async def test_tokens_are_checked_on_both_calls() -> None:
    accounts = [{"account_id": "A", "access_token": "token-a"}]
    numbers = [{"phone_number_id": "1", "account_id": "A"}, {"phone_number_id": "2"}]
    async with simulating(accounts=accounts, phone_numbers=numbers) as api:
        media = await make(api, phone_number_id="2")
        url = f"{api.simulator.url}/v25.0/{media['id']}"
        _, found = await find(api, media["id"])
        for wrong in ({}, {"Authorization": "Bearer token-a"}):
            assert (await get(api, url, wrong))[0] == 401
            assert (await get(api, found["url"], wrong))[0] == 401
        [listed] = await api.lines("media")
        assert (listed["addresses"], listed["downloads"]) == (1, 0)


async def test_what_does_not_exist() -> None:
    async with simulating() as api:
        status, found = await find(api, "123")
        assert status == 400
        assert (found["error"]["code"], found["error"]["error_subcode"]) == (100, 33)
        url = f"{api.simulator.url}/whatsapp_business/attachments/?mid=1&ext=9&hash=x"
        assert (await get(api, url))[0] == 404


async def test_an_address_expires() -> None:
    async with simulating(media_url_s=0.001) as api:
        media = await make(api)
        _, found = await find(api, media["id"])
        assert (await get(api, found["url"]))[0] == 404


async def test_faults() -> None:
    async with simulating() as api:
        media = await make(api)

        async def fault(**spec: Any) -> None:
            answer = await api.control("POST", "media-faults", {"times": 1, **spec})
            assert answer.status == 201

        for status in (401, 404, 500, 503):
            await fault(kind="status", at="address", status=status)
            assert (await find(api, media["id"]))[0] == status
            await fault(kind="status", status=status)
            _, found = await find(api, media["id"])
            assert (await get(api, found["url"]))[0] == status
        await fault(kind="expired")
        _, expired = await find(api, media["id"])
        assert (await get(api, expired["url"]))[0] == 404
        await fault(kind="cut")
        with pytest.raises(aiohttp.ClientPayloadError):
            await get(api, found["url"])
        await fault(kind="wrong_bytes")
        _, wrong, _ = await get(api, found["url"])
        assert len(wrong) == media["file_size"]
        assert hashlib.sha256(wrong).hexdigest() != media["sha256_hex"]
        await fault(kind="slow", seconds=0.05)
        await fault(kind="slow", at="address", seconds=0.01)
        _, found = await find(api, media["id"])
        _, content, _ = await get(api, found["url"])
        assert hashlib.sha256(content).hexdigest() == media["sha256_hex"]
        rules = (await api.control("GET", "media-faults")).json
        assert {rule["hits"] for rule in rules} == {1}
        assert (await api.control("DELETE", "media-faults")).json == {"cleared": len(rules)}
