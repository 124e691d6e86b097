"""A vendor whose webhooks PHP handles, on a real installation whose parts fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from contracts.sidecar_api import INVALIDATE
from contracts.signing import Audience, Signer
from simulator.embedded import EmbeddedInstallation
from tests.eventually import eventually
from tests.nginx.installation import WAIT_S, Meta, Site
from tests.nginx.outage import back_at_the_sidecar, further


async def tell(site: Site, client: aiohttp.ClientSession) -> None:
    """Have the sidecar ask PHP again for what it knows."""
    key_id, secret = EmbeddedInstallation.SIGNING_KEY
    headers = Signer(Audience.SIDECAR, key_id, secret.encode()).headers("POST", INVALIDATE, b"{}")
    url = site.installation.processes["sidecar"].url + INVALIDATE
    async with client.post(url, data=b"{}", headers=headers) as answer:
        assert answer.status == 200, await answer.text()


@asynccontextmanager
async def handled_by_php(
    site: Site, meta: Meta, client: aiohttp.ClientSession
) -> AsyncIterator[None]:
    """Webhooks are passed on while the block runs; at its end PHP's cron has done its work."""

    async def passed_on() -> bool:
        before = site.stored_so_far()
        await meta.send_one()
        return site.stored_so_far() > before

    with site.left_to_php():
        await tell(site, client)
        await eventually(passed_on, WAIT_S, every_s=0.1)
        yield
        await site.run_cron(client)
    await tell(site, client)
    await back_at_the_sidecar(site, meta)


async def assert_applied_once(site: Site, meta: Meta) -> None:
    sent = meta.acknowledged
    await eventually(lambda: sent.keys() <= site.applied().keys(), WAIT_S, every_s=0.2)
    found = site.applied()
    assert {wamid: found[wamid] for wamid in sent} == dict.fromkeys(sent, 1)


async def test_everything_runs(site: Site, meta: Meta, client: aiohttp.ClientSession) -> None:
    async with handled_by_php(site, meta, client):
        before = site.stored_so_far()
        await meta.send(300)
        assert site.stored_so_far() == before + 300
    assert set(meta.answers) == {200}
    await assert_applied_once(site, meta)


async def test_php_is_killed_under_load(
    site: Site, meta: Meta, client: aiohttp.ClientSession
) -> None:
    """What it cannot take is kept, and handed over when it is back; what it had taken when it died,
    and what is kept of it too, is applied once."""
    async with handled_by_php(site, meta, client):
        before = site.stored_so_far()
        async with meta.sending(concurrency=16):
            for _ in range(2):
                await further(meta, 100)
                await asyncio.to_thread(site.installation.crash, "backend")
                await further(meta, 100)
                await asyncio.to_thread(site.installation.restart, "backend")
        assert 100 < site.stored_so_far() - before < len(meta.acknowledged) - 100
    assert set(meta.answers) == {200}
    await assert_applied_once(site, meta)


async def test_the_sidecar_is_killed_under_load(
    site: Site, meta: Meta, client: aiohttp.ClientSession
) -> None:
    """nginx gives PHP what was on its way, once more if need be."""
    async with handled_by_php(site, meta, client), meta.sending(concurrency=16):
        await further(meta, 100)
        await asyncio.to_thread(site.installation.crash, "sidecar")
        await further(meta, 100)
        await asyncio.to_thread(site.installation.restart, "sidecar")
        await further(meta, 100)
    await assert_applied_once(site, meta)


async def test_redis_is_down(site: Site, meta: Meta, client: aiohttp.ClientSession) -> None:
    """PHP's webhooks need none."""
    async with handled_by_php(site, meta, client):
        before = site.stored_so_far()
        site.installation.crash("redis")
        try:
            await meta.send(100)
        finally:
            site.installation.restart("redis")
        assert site.stored_so_far() == before + 100
    assert set(meta.answers) == {200}
    await assert_applied_once(site, meta)
