"""What the tests of outages share."""

from collections.abc import Awaitable, Callable

from tests.eventually import eventually
from tests.nginx.installation import WAIT_S, Meta, Site, accounting

#: Returns how many webhooks came to the sidecar (those that came again counted again) and how many
#: to PHP.
Complete = Callable[..., Awaitable[tuple[int, int]]]


async def make_complete(site: Site, meta: Meta) -> Complete:
    """Return a check that every webhook that is acknowledged from now on is applied once in the
    end, with PHP's table empty and the accounting balancesd.

    Up to ``again`` may have come more than once: those that were at the sidecar when it failed,
    since nobody could know what became of them, and pages that whoever took them over did not live
    to name.
    """
    await _quiet(site)  # what the test before has left
    stored, received = site.stored_so_far(), await _received(site)

    async def check(again: int = 0) -> tuple[int, int]:
        sent = meta.acknowledged
        await eventually(lambda: sent.keys() <= site.applied().keys(), WAIT_S, every_s=0.2)
        await _quiet(site)
        found = site.applied()
        assert {wamid: found[wamid] for wamid in sent} == dict.fromkeys(sent, 1)
        came = await _received(site) - received
        assert 0 <= came - len(sent) <= again
        by_php = site.stored_so_far() - stored
        return came - by_php, by_php

    return check


async def _quiet(site: Site) -> None:
    """Wait until nothing is on its way."""
    await eventually(lambda: not site.stored(), WAIT_S, every_s=0.2)
    await eventually(lambda: _is_quiescent(site), WAIT_S, every_s=0.2)


async def _received(site: Site) -> int:
    """How many webhooks have come into the inbox, from Meta and out of PHP's table."""
    found = await accounting(site.installation.redis_url)
    return found.webhooks.total if found else 0


async def _is_quiescent(site: Site) -> bool:
    found = await accounting(site.installation.redis_url)
    return not found or found.webhooks.parts["waiting"] == found.updates.parts["waiting"] == 0


async def further(meta: Meta, count: int) -> None:
    """Wait until so many more are acknowledged."""
    least = len(meta.acknowledged) + count
    await eventually(lambda: len(meta.acknowledged) >= least, WAIT_S)


def stop(site: Site, name: str) -> None:
    assert site.installation.processes[name].stop() == 0


async def back_at_the_sidecar(site: Site, meta: Meta) -> None:
    """Wait until nginx gives webhooks to the sidecar again."""

    async def taken_by_sidecar() -> bool:
        before = site.stored_so_far()
        await meta.send_one()
        return site.stored_so_far() == before

    await eventually(taken_by_sidecar, WAIT_S, every_s=0.2)
