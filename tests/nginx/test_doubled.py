"""A webhook that reaches the sidecar and PHP at the same moment, as after a time-out of nginx."""

import asyncio

import aiohttp
import pytest

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from simulator.embedded import EmbeddedInstallation
from tests.nginx.installation import Meta, Site, wamid_of
from tests.nginx.outage import Complete
from tests.sidecar.payloads import message_webhook

COUNT = 40


@pytest.mark.parametrize("php_first", [False, True])
async def test_it_is_applied_once(
    site: Site, meta: Meta, client: aiohttp.ClientSession, complete: Complete, php_first: bool
) -> None:
    """Each goes to both, a little apart, and PHP's table is taken over while they come."""
    path = f"/whatsapp-webhook/{site.vendor.uid}"
    ways = [site.nginx.url + path, site.nginx.internal_url + path]
    if php_first:
        ways.reverse()

    async def post(url: str, body: bytes) -> None:
        headers = {SIGNATURE_HEADER: sign(EmbeddedInstallation.APP_SECRET.encode(), body)}
        async with client.post(url, data=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()

    async def twice(number: int) -> None:
        body = message_webhook(10_000_000 + 1000 * php_first + number, "doubled")
        first = asyncio.create_task(post(ways[0], body))
        await asyncio.sleep(number % 4 * 0.005)
        await asyncio.gather(first, post(ways[1], body))
        meta.acknowledged[wamid_of(body)] = body

    await asyncio.gather(*(twice(number) for number in range(COUNT)))
    by_sidecar, by_php = await complete(again=COUNT)
    assert (by_sidecar, by_php) == (COUNT, COUNT)
