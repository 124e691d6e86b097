"""What PHP has stored while the sidecar was down is taken over by the sidecar when it is back. Of a
vendor that is not on the sidecar it is the cron's."""

import asyncio
from functools import partial

import aiohttp
import httpx

from contracts.cloud_api.webhook import sign
from simulator.installation import Installation
from tests.eventually import eventually
from tests.nginx.installation import WAIT_S, Meta, Site
from tests.nginx.outage import Complete, back_at_the_sidecar, stop
from workers.inbox.php_backlog import PAGE

#: Fewer than ``crash_loop_threshold``, after which the inbox is drained one by one.
KILLS = 2


def _faults(site: Site, method: str, fault: dict[str, str] | None = None) -> None:
    url = f"{site.installation.processes['backend'].url}/_simulator/faults"
    httpx.request(method, url, json=fault, timeout=10).raise_for_status()


def _assert_stored_as_sent(site: Site, meta: Meta) -> None:
    secret = Installation.APP_SECRET.encode()
    assert site.stored() == {
        wamid: (body, sign(secret, body)) for wamid, body in meta.acknowledged.items()
    }


def _fewer_stored(site: Site, than: int) -> bool:
    return len(site.stored()) < than


async def test_the_cron_has_what_is_its_own(
    site: Site, meta: Meta, client: aiohttp.ClientSession
) -> None:
    """Unchanged, so that Meta's signature fits."""
    with site.left_to_php():
        stop(site, "sidecar")
        await meta.send(100)
        asked = site.installation.backend_requests()["due-campaigns"]
        await eventually(
            lambda: site.installation.backend_requests()["due-campaigns"] > asked + 2, WAIT_S
        )
        _assert_stored_as_sent(site, meta)
        await site.run_cron(client)
    site.installation.restart("sidecar")
    await back_at_the_sidecar(site, meta)
    await eventually(lambda: meta.acknowledged.keys() <= site.applied().keys(), WAIT_S)
    found = site.applied()
    assert {wamid: found[wamid] for wamid in meta.acknowledged} == dict.fromkeys(
        meta.acknowledged, 1
    )


async def test_the_whole_machine_is_down(site: Site, meta: Meta, complete: Complete) -> None:
    """PHP's table has exactly what was acknowledged, and then nothing more."""
    stop(site, "worker")
    stop(site, "sidecar")
    await meta.send(1200)
    _assert_stored_as_sent(site, meta)
    site.installation.start("worker")
    site.installation.start("sidecar")
    assert await complete() == (0, 1200)
    await back_at_the_sidecar(site, meta)


async def test_the_sidecar_alone_is_down(site: Site, meta: Meta, complete: Complete) -> None:
    """The worker takes over what is stored while it is being stored."""
    stop(site, "sidecar")
    for _ in range(3):
        await meta.send(100)
        await eventually(lambda: not site.stored(), WAIT_S)
    site.installation.start("sidecar")
    assert await complete() == (0, 300)
    await back_at_the_sidecar(site, meta)


async def test_what_comes_compressed(site: Site, meta: Meta, complete: Complete) -> None:
    """To the sidecar, and to PHP while that is down: it is the same webhook."""
    meta.packed = True
    await meta.send(20)
    stop(site, "sidecar")
    await eventually(lambda: meta.acknowledged.keys() <= site.applied().keys(), WAIT_S)
    stop(site, "worker")
    before = meta.acknowledged.copy()
    await meta.send(20)
    secret = Installation.APP_SECRET.encode()
    assert site.stored() == {
        wamid: (body, sign(secret, body))
        for wamid, body in meta.acknowledged.items()
        if wamid not in before
    }
    await asyncio.to_thread(site.installation.start, "worker")
    await asyncio.to_thread(site.installation.start, "sidecar")
    assert await complete() == (20, 20)
    await back_at_the_sidecar(site, meta)


async def test_a_worker_is_killed_before_it_can_say_what_it_has_taken(
    site: Site, meta: Meta, complete: Complete
) -> None:
    """All is in the inbox, and all is in PHP's table."""
    stop(site, "worker")
    stop(site, "sidecar")
    await meta.send(300)
    hang = {"kind": "hang", "endpoint": "pending-webhooks", "body_contains": "taken"}
    _faults(site, "POST", hang)
    await asyncio.to_thread(site.installation.start, "worker")
    await eventually(lambda: len(site.applied().keys() & meta.acknowledged.keys()) > 50, WAIT_S)
    site.installation.crash("worker")
    assert len(site.stored()) == 300
    _faults(site, "DELETE")
    await asyncio.to_thread(site.installation.start, "worker")
    await asyncio.to_thread(site.installation.start, "sidecar")
    # Each has come into the inbox twice: once more than it came to PHP.
    assert await complete(again=300) == (300, 300)
    await back_at_the_sidecar(site, meta)


async def test_workers_are_killed_while_they_take_over(
    site: Site, meta: Meta, complete: Complete
) -> None:
    stop(site, "worker")
    stop(site, "sidecar")
    await meta.send(2000)
    await asyncio.to_thread(site.installation.start, "sidecar")
    for _ in range(KILLS):
        left = len(site.stored())
        assert left, "the pages are larger than this test thinks"
        await asyncio.to_thread(site.installation.start, "worker")
        await eventually(partial(_fewer_stored, site, left), WAIT_S)
        await asyncio.to_thread(site.installation.crash, "worker")
    await asyncio.to_thread(site.installation.start, "worker")
    _, by_php = await complete(again=KILLS * PAGE)
    assert by_php == 2000
    await back_at_the_sidecar(site, meta)
