"""Taking slots of a number as a worker does; also as a process of its own::

    python slots.py REDIS_URL CAMPAIGN RATE COUNT

prints when the slots are that it got, on Redis's clock.
"""

import asyncio
import itertools
import sys
from typing import Any

from sidecar.redis.client import connect
from sidecar.redis.lease import Lease, Leases
from sidecar.sending.campaigns import campaign_lease
from workers.sending.limiter import Grant, Limiter
from workers.sending.limits import Limits

NUMBER = "110"

_recipients = itertools.count(1)


def limits(rate: float, number: str = NUMBER, **more: Any) -> Limits:
    """Return a number's limits, of which only the rate matters."""
    names = {"line": number, "account": "account-1", "app": "app-1", "portfolio": "portfolio-1"}
    return Limits(number, rate, vendor_uid="vendor-1", **{**names, **more})


def recipients(count: int) -> list[str]:
    """Return so many that have never had anything."""
    return [f"999{next(_recipients):08d}" for _ in range(count)]


def slots_of(grant: Grant) -> list[float]:
    """Return when the slots are, on Redis's clock."""
    return [grant.clock_s + grant.delay_s + n * grant.gap_s for n in range(grant.count)]


async def take(
    limiter: Limiter, lease: Lease, campaign: str, rate: float, count: int
) -> list[float]:
    """Take so many slots, a few at a time."""
    taken: list[float] = []
    while len(taken) < count:
        wanted = min(7 + len(taken) % 40, count - len(taken))
        # Processes that take slots of a number may not make up the same recipients.
        to = [f"{campaign} {recipient}" for recipient in recipients(wanted)]
        grant = await limiter.grant(lease, campaign, limits(rate), to)
        assert grant.count <= wanted
        taken += slots_of(grant)
        await asyncio.sleep(min(grant.again_s, 1.0))
    return taken


async def main(url: str, campaign: str, rate: str, count: str) -> None:
    redis = connect(url, timeout_s=5)
    async with Leases(redis, 10_000).hold(campaign_lease(campaign)) as lease:
        assert lease is not None
        for slot in await take(Limiter(redis), lease, campaign, float(rate), int(count)):
            sys.stdout.write(f"{slot!r}\n")
    await redis.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
