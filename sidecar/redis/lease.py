"""A lease with a fencing token: one holder at a time, and proof of who came later."""

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from sidecar.redis import keys
from sidecar.redis.client import AnyRedisError, Redis, script
from sidecar.redis.replicas import InSync
from sidecar.tasks import cancel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

log = structlog.get_logger()


class LeaseLost(Exception):
    """Somebody else holds the lease now, and nothing was written."""


class Lease:
    """Held by the caller of :meth:`Leases.hold`. ``token`` grows with every holder.

    ``lost`` is set as soon as somebody else may hold the lease. It is a hint to stop early; safety
    comes from the token, which every write checks. ``kept_until`` is until when nobody else can,
    by the event loop's clock: a lease that is lost before was wiped with Redis.
    """

    def __init__(self, name: str, token: int, kept_until: float = 0.0) -> None:
        self.name = name
        self.token = token
        self.kept_until = kept_until
        self.lost = asyncio.Event()

    @property
    def key(self) -> str:
        return keys.lease(self.name)


class Fenced:
    """Runs commands of Redis for the holder of a lease: all or none (``redis/fenced.lua``).
    ``in_sync``: replicas are to have what they write, too."""

    def __init__(self, redis: Redis, *, in_sync: bool = False) -> None:
        self._script = (InSync if in_sync else script)(redis, "redis/fenced")

    async def run(self, lease: Lease, *commands: "Sequence[str | bytes | int]") -> None:
        """Run commands, each given as its words. Raises :class:`LeaseLost`."""
        words: list[str | bytes | int] = [lease.token]
        for command in commands:
            words += [len(command), *command]
        if not await self._script(keys=[lease.key], args=words):
            raise LeaseLost(lease.name)


class Leases:
    """Gives out leases, and renews them while they are held."""

    def __init__(self, redis: Redis, ttl_ms: int) -> None:
        self._acquire = script(redis, "redis/acquire")
        self._renew = script(redis, "redis/renew")
        self._ttl_ms = ttl_ms
        self._leases: dict[str, Lease] = {}
        #: Names of the leases that are held from here.
        self.held: set[str] = set()

    @asynccontextmanager
    async def hold(self, name: str) -> "AsyncIterator[Lease | None]":
        """Hold the lease inside the block, or yield None if somebody else holds it. Raises that
        Redis refuses, for a campaign's or a vendor's replies, while it may have gone back in time
        (``sidecar/sending/epoch.py``)."""
        kept_until = asyncio.get_running_loop().time() + self._ttl_ms / 1000
        answer = await self._acquire(
            keys=[keys.lease(name), keys.fence(name), keys.EPOCH], args=[self._ttl_ms]
        )
        if int(answer) == 0:
            yield None
            return
        lease = Lease(name, int(answer), kept_until)
        keeper = asyncio.create_task(self._keep(lease), name=f"lease {name}")
        self.held.add(name)
        self._leases[name] = lease
        try:
            yield lease
        finally:
            self.held.discard(name)
            self._leases.pop(name, None)
            await cancel([keeper])
            await self._give_back(lease)

    async def give_up(self, name: str) -> None:
        """Let somebody else hold a lease that is held here, if it is."""
        if lease := self._leases.get(name):
            self.held.discard(name)
            lease.lost.set()
            await self._give_back(lease)

    async def _keep(self, lease: Lease) -> None:
        pause_s = self._ttl_ms / 3000
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(pause_s)
            if lease.lost.is_set():
                return
            asked_at = loop.time()
            try:
                held = await self._renew(keys=[lease.key], args=[lease.token, self._ttl_ms])
            except AnyRedisError:
                if loop.time() >= lease.kept_until:
                    lease.lost.set()
                    return
                continue
            if not held:
                log.warning("lease.lost", lease=lease.name)
                lease.lost.set()
                return
            lease.kept_until = asked_at + self._ttl_ms / 1000

    async def _give_back(self, lease: Lease) -> None:
        try:
            await self._renew(keys=[lease.key], args=[lease.token, 0])
        except AnyRedisError as error:
            log.warning("lease.release_failed", lease=lease.name, error=str(error))
