"""Webhooks through nginx while parts of a real installation fail: whatever was acknowledged is
applied once, also what Meta sent twice and what nginx gave to both. What PHP stored meanwhile the
sidecar takes over by itself."""

import asyncio

from tests.eventually import eventually
from tests.nginx.installation import WAIT_S, Meta, Site
from tests.nginx.outage import Complete, back_at_the_sidecar, further, stop


async def test_everything_runs(site: Site, meta: Meta, complete: Complete) -> None:
    before = site.sidecar_connections()
    await meta.send(300, concurrency=8)
    assert await complete() == (300, 0)
    # A connection for each webhook would make 300; nginx's two workers keep what they use.
    assert site.sidecar_connections() - before <= 16


async def test_the_sidecar_is_stopped_started_and_stopped(
    site: Site, meta: Meta, complete: Complete
) -> None:
    await meta.send(100)
    for _ in range(2):
        stop(site, "sidecar")
        await meta.send(100)
        site.installation.restart("sidecar")
        await back_at_the_sidecar(site, meta)
        await meta.send(100)
    assert set(meta.answers) == {200}
    by_sidecar, by_php = await complete()
    assert by_sidecar >= 300
    assert by_php >= 200


async def test_the_sidecar_is_stopped_and_started_under_load(
    site: Site, meta: Meta, complete: Complete
) -> None:
    """A clean stop loses and doubles nothing, though webhooks come all the time."""
    async with meta.sending(concurrency=16):
        await back_at_the_sidecar(site, meta)
        await further(meta, 300)
        await asyncio.to_thread(stop, site, "sidecar")
        await further(meta, 100)
        await asyncio.to_thread(site.installation.restart, "sidecar")
    assert set(meta.answers) == {200}
    by_sidecar, by_php = await complete()
    assert by_sidecar > 0
    assert by_php > 0


async def test_the_sidecar_is_killed_under_load(site: Site, meta: Meta, complete: Complete) -> None:
    kills, concurrency = 2, 20
    async with meta.sending(concurrency=concurrency):
        for _ in range(kills):
            await back_at_the_sidecar(site, meta)
            await further(meta, 400)
            site.installation.crash("sidecar")
            await further(meta, 400)
            await asyncio.to_thread(site.installation.restart, "sidecar")
    by_sidecar, by_php = await complete(again=kills * concurrency)
    assert by_sidecar > 0
    assert by_php > 0


async def test_the_sidecar_hangs(site: Site, meta: Meta, complete: Complete) -> None:
    await back_at_the_sidecar(site, meta)
    concurrency = 10
    site.installation.suspend("sidecar")
    try:
        await meta.send(200, concurrency=concurrency)
    finally:
        site.installation.resume("sidecar")
    assert set(meta.answers) == {200}
    await back_at_the_sidecar(site, meta)
    # What waited in the sidecar's sockets, one more for each time that nginx looked again.
    _, by_php = await complete(again=2 * concurrency)
    assert by_php >= 200


async def test_redis_is_down(site: Site, meta: Meta, complete: Complete) -> None:
    site.installation.crash("redis")
    try:
        await meta.send(100)
    finally:
        site.installation.restart("redis")
    assert set(meta.answers) == {200}
    await back_at_the_sidecar(site, meta)
    _, by_php = await complete()
    assert by_php >= 100


async def test_php_is_down(site: Site, meta: Meta, complete: Complete) -> None:
    site.installation.crash("backend")
    await meta.send(100)
    site.installation.restart("backend")
    assert await complete() == (100, 0)


async def test_both_are_down(site: Site, meta: Meta, complete: Complete) -> None:
    """Meta gets anything but 200, and comes again."""
    site.installation.crash("backend")
    stop(site, "sidecar")
    sending = asyncio.create_task(meta.send(50, concurrency=50))
    await eventually(lambda: meta.answers[502] >= 50, WAIT_S)
    assert not meta.acknowledged
    await asyncio.to_thread(site.installation.restart, "backend")
    await sending
    await asyncio.to_thread(site.installation.restart, "sidecar")
    assert await complete() == (0, 50)
