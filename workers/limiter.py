"""The limiter of a number's rate, exact over all workers on all machines.

Every number has a queue of slots, evenly spaced in time, on Redis's clock. A caller takes the next
few and learns when they are; nobody polls, and no slot is given out twice. A slot that is not used
(its worker died) is lost, so the rate is never exceeded.

Dramatiq's own limiters do not fit: they say only yes or no, loop on the client's side, and have
fixed windows that let double the rate through at an edge (``docs/decisions``).
"""

from dataclasses import dataclass

from sidecar import keys
from sidecar.campaigns import campaign_lease
from sidecar.lease import Lease
from sidecar.redis_client import Redis, script
from workers.ledger import refuse

#: How far ahead slots are given out. Long enough to hide a round trip, short enough to stop at
#: once.
AHEAD_S = 0.25


@dataclass(frozen=True, slots=True)
class Grant:
    """``count`` slots, the first in ``delay_s`` seconds and the others ``gap_s`` apart. With no
    slots, ``delay_s`` is how long to wait before asking again. ``clock_s`` is Redis's clock at
    that moment, on which the slots of all workers are spaced."""

    count: int
    delay_s: float
    gap_s: float
    clock_s: float


class Limiter:
    def __init__(self, redis: Redis) -> None:
        self._grant = script(redis, "grant")
        self._hold = script(redis, "hold")

    async def grant(
        self, lease: Lease, campaign_uid: str, number: str, *, rate: float, wanted: int
    ) -> Grant:
        """Take up to so many slots. ``rate`` is messages per second. Raises :class:`Halted`,
        :class:`NotTheHolder`."""
        gap_us = 1_000_000 / rate
        count, *times = await self._grant(
            keys=[
                keys.lease(campaign_lease(campaign_uid)),
                keys.halt(campaign_uid),
                keys.rate(number),
            ],
            args=[lease.token, gap_us, AHEAD_S * 1_000_000, wanted],
        )
        refuse(count, campaign_uid)
        delay_us, clock_us = times
        return Grant(count, delay_us / 1e6, gap_us / 1e6, clock_us / 1e6)

    async def hold(self, number: str, seconds: float) -> None:
        """Give out no slots of this number for so long."""
        await self._hold(keys=[keys.rate(number)], args=[int(seconds * 1_000_000)])
