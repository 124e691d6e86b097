"""How every process learns that PHP has changed something.

PHP says so to one process, which writes it to Redis, where all of them wait for it. Each change is
an entry of a short stream, so that only what has changed is fetched again. A process that finds the
entry gone which it saw last has missed something (Redis was wiped, or has gone back in time, or
there were too many changes), and takes everything as changed.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from math import ceil
from typing import Any, Protocol, cast

from pydantic import ValidationError

from contracts.sidecar_api import InvalidateRequest, InvalidateScope
from sidecar.logs import LogOnce
from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable, ResponseError, script, with_patience
from sidecar.tasks import seconds_to_tick

#: How long each process waits for a change at a time. So late it finds out that Redis was wiped.
WAIT_S = 1.0

#: Changes that come closer together than this are looked at together.
PAUSE_S = 0.2

#: So many changes are kept, about.
KEPT = 1000

#: A change of more vendors than this is written down as one of all.
MAX_VENDORS = 1000

_EVERYTHING = InvalidateRequest()


class Follower(Protocol):
    """Wants to know of the changes of a scope."""

    def forget(self, changed: Iterable[str] | None) -> None:
        """These vendors' have changed, or (None) any may have."""

    def renew(self) -> None:
        """Look after what has changed before. Called once a second, at least."""


class ConfigChanges:
    """Tells the other processes of changes, and the followers of this process of theirs."""

    def __init__(self, redis: Redis, followers: Mapping[InvalidateScope, Follower]) -> None:
        self._redis = redis
        self._script = script(redis, "php/change")
        self._followers = followers
        self._began = False
        self._last_version: bytes | None = None
        self._outage = LogOnce("config_changes.unreadable")

    async def announce(self, change: InvalidateRequest) -> None:
        """Have every process learn of a change. Raises what Redis raises; then nobody does."""
        if change.vendor_uids is not None and len(change.vendor_uids) > MAX_VENDORS:
            change = InvalidateRequest(vendor_uids=None, scopes=change.scopes)
        await self._script(
            keys=[keys.CONFIG_VERSION, keys.CONFIG_CHANGES], args=[KEPT, change.model_dump_json()]
        )

    async def run(self) -> None:
        """Wait for changes until cancelled."""
        now = asyncio.get_running_loop().time
        async with with_patience(self._redis, 2 * WAIT_S) as waiting:
            while True:
                until = now() + (wait_s := seconds_to_tick(WAIT_S))
                await self._look(self._wait_for_version(waiting, wait_s))
                if now() < until:
                    await asyncio.sleep(PAUSE_S)

    async def look(self) -> None:
        """Tell the followers what has changed since the last time. Called before anything is
        fetched, it begins with what is there."""
        await self._look(self._redis.get(keys.CONFIG_VERSION))

    async def _look(self, version: Awaitable[Any]) -> None:
        try:
            changes = await self._changes(await version)
        except RedisUnavailable:
            changes = []  # whoever needs Redis for its work says that it is away
        except ResponseError as error:
            changes = []
            self._outage.failed(str(error))
        else:
            self._outage.worked()
        for scope, follower in self._followers.items():
            mine = [change.vendor_uids for change in changes if scope in change.scopes]
            if None in mine:
                follower.forget(None)
            elif mine:
                follower.forget({uid for uids in mine for uid in uids or ()})
            else:
                follower.renew()

    async def _wait_for_version(self, waiting: Redis, wait_s: float) -> bytes | None:
        """Return the version once there is a change, or after so long."""
        pipeline = waiting.pipeline(transaction=False)
        if self._began:
            since = self._last_version or b"0-0"
            how = ("COUNT", 1, "BLOCK", ceil(wait_s * 1000))
            pipeline.execute_command("XREAD", *how, "STREAMS", keys.CONFIG_CHANGES, since)
        pipeline.get(keys.CONFIG_VERSION)
        *_, version = await pipeline.execute()
        return cast("bytes | None", version)

    async def _changes(self, version: bytes | None) -> list[InvalidateRequest]:
        if self._began and version == self._last_version:
            return []
        entries: list[Any] = []
        if self._began and version is not None and self._last_version is not None:
            found = await self._redis.xrange(keys.CONFIG_CHANGES, self._last_version.decode())
            entries = cast("list[Any]", found)
        if not entries or entries[0][0] != self._last_version:
            self._began, self._last_version = True, version
            return [_EVERYTHING]
        self._last_version = entries[-1][0]
        return [_read(fields) for _, fields in entries[1:]]


def _read(fields: list[bytes]) -> InvalidateRequest:
    try:
        return InvalidateRequest.model_validate_json(fields[1])
    except (ValidationError, IndexError):
        return _EVERYTHING  # another version wrote it
