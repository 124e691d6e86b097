"""Webhooks through nginx while parts of a real installation fail: whatever was acknowledged is
applied or in PHP's own table, and what Meta sent twice or nginx gave to both is applied once."""

import asyncio
from collections.abc import Iterator

import aiohttp
import pytest

from contracts.cloud_api.webhook import sign
from simulator.installation import Installation
from tests.eventually import eventually
from tests.nginx.installation import Meta, Site, running_site

WAIT_S = 20.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The installation, which the tests share; each leaves everything running."""
    with running_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def meta(site: Site, client: aiohttp.ClientSession) -> Meta:
    return Meta(site, client)


async def assert_complete(meta: Meta, *, taken_by_both: int = 0) -> tuple[int, int]:
    """Check that every acknowledged webhook has arrived, and in the end is applied once. Return
    how many were the sidecar's, and how many PHP's. Up to so many may have been taken by both:
    those that were at the sidecar when it failed, since nobody could know what became of them."""
    site, sent = meta.site, meta.acknowledged
    await eventually(
        lambda: sent.keys() <= site.applied().keys() | site.stored().keys(), WAIT_S, every_s=0.2
    )
    stored = {wamid: row for wamid, row in site.stored().items() if wamid in sent}
    for wamid, row in stored.items():
        assert row == (sent[wamid], sign(Installation.APP_SECRET.encode(), sent[wamid]))
    applied = site.applied().keys() & sent.keys()
    assert len(applied & stored.keys()) <= taken_by_both
    await site.run_cron(meta.session, set(stored))
    found = site.applied()
    assert {wamid: found[wamid] for wamid in sent} == dict.fromkeys(sent, 1)
    return len(applied), len(stored)


async def further(meta: Meta, count: int) -> None:
    """Wait until so many more are acknowledged."""
    least = len(meta.acknowledged) + count
    await eventually(lambda: len(meta.acknowledged) >= least, WAIT_S)


def stop(site: Site, name: str) -> None:
    assert site.installation.processes[name].stop() == 0


async def back_at_the_sidecar(meta: Meta) -> None:
    """Wait until nginx gives webhooks to the sidecar again."""

    async def taken_by_sidecar() -> bool:
        return not meta.site.is_stored(await meta.send_one())

    await eventually(taken_by_sidecar, WAIT_S, every_s=0.2)


async def test_everything_runs(site: Site, meta: Meta) -> None:
    before = site.sidecar_connections()
    await meta.send(300, concurrency=8)
    assert await assert_complete(meta) == (300, 0)
    # A connection for each webhook would make 300; nginx's two workers keep what they use.
    assert site.sidecar_connections() - before <= 16


async def test_the_sidecar_is_stopped_started_and_stopped(site: Site, meta: Meta) -> None:
    await meta.send(100)
    for _ in range(2):
        stop(site, "sidecar")
        await meta.send(100)
        site.installation.restart("sidecar")
        await back_at_the_sidecar(meta)
        await meta.send(100)
    assert set(meta.answers) == {200}
    by_sidecar, by_php = await assert_complete(meta)
    assert by_sidecar >= 300
    assert by_php >= 200


async def test_the_sidecar_is_stopped_and_started_under_load(site: Site, meta: Meta) -> None:
    """A clean stop loses and doubles nothing, though webhooks come all the time."""
    async with meta.sending(concurrency=16):
        await back_at_the_sidecar(meta)
        await further(meta, 300)
        await asyncio.to_thread(stop, site, "sidecar")
        await further(meta, 100)
        await asyncio.to_thread(site.installation.restart, "sidecar")
    assert set(meta.answers) == {200}
    by_sidecar, by_php = await assert_complete(meta)
    assert by_sidecar > 0
    assert by_php > 0


async def test_the_sidecar_is_killed_under_load(site: Site, meta: Meta) -> None:
    kills, concurrency = 2, 20
    async with meta.sending(concurrency=concurrency):
        for _ in range(kills):
            await back_at_the_sidecar(meta)
            await further(meta, 400)
            site.installation.crash("sidecar")
            await further(meta, 400)
            await asyncio.to_thread(site.installation.restart, "sidecar")
    by_sidecar, by_php = await assert_complete(meta, taken_by_both=kills * concurrency)
    assert by_sidecar > 0
    assert by_php > 0


async def test_the_sidecar_hangs(site: Site, meta: Meta) -> None:
    await back_at_the_sidecar(meta)
    concurrency = 10
    site.installation.suspend("sidecar")
    try:
        await meta.send(200, concurrency=concurrency)
    finally:
        site.installation.resume("sidecar")
    assert set(meta.answers) == {200}
    await back_at_the_sidecar(meta)
    # What waited in the sidecar's sockets, one more for each time that nginx looked again.
    _, by_php = await assert_complete(meta, taken_by_both=2 * concurrency)
    assert by_php >= 200


async def test_redis_is_down(site: Site, meta: Meta) -> None:
    site.installation.crash("redis")
    try:
        await meta.send(100)
    finally:
        site.installation.restart("redis")
    assert set(meta.answers) == {200}
    await back_at_the_sidecar(meta)
    _, by_php = await assert_complete(meta)
    assert by_php >= 100


async def test_php_is_down(site: Site, meta: Meta) -> None:
    site.installation.crash("backend")
    await meta.send(100)
    site.installation.restart("backend")
    assert await assert_complete(meta) == (100, 0)


async def test_both_are_down(site: Site, meta: Meta) -> None:
    """Meta gets anything but 200, and comes again."""
    site.installation.crash("backend")
    stop(site, "sidecar")
    sending = asyncio.create_task(meta.send(50, concurrency=50))
    await eventually(lambda: meta.answers[502] >= 50, WAIT_S)
    assert not meta.acknowledged
    await asyncio.to_thread(site.installation.restart, "backend")
    await sending
    await asyncio.to_thread(site.installation.restart, "sidecar")
    assert await assert_complete(meta) == (0, 50)
