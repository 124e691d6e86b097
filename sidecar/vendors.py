"""Vendors' configuration, asked from PHP once for many callers and kept in memory."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from contracts import backend as contract
from sidecar import keys
from sidecar.backend import Backend, BackendError
from sidecar.logs import Trouble
from sidecar.redis_client import UNAVAILABLE, Redis, RedisError


@dataclass(frozen=True, slots=True)
class _Known:
    """``config`` is None for a vendor that PHP does not know."""

    config: contract.VendorConfig | None
    fresh_until: float


class Vendors:
    """What PHP says about vendors. Secrets stay in this process's memory.

    A value that has become old is used while a new one is fetched, and for as long as PHP is
    down; only the first question about a vendor waits.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        ttl_s: float,
        unknown_ttl_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._ttl_s = ttl_s
        self._unknown_ttl_s = unknown_ttl_s
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._trouble = Trouble("vendor_config_unavailable")

    def peek(self, vendor_uid: str) -> tuple[bool, contract.VendorConfig | None]:
        """Return (True, configuration or None for no such vendor), or (False, None) if PHP has
        not been asked yet. Never waits; an old value is renewed behind the caller's back."""
        known = self._known.get(vendor_uid)
        if known is None:
            return False, None
        if self._clock() >= known.fresh_until:
            if known.config is None:
                return False, None
            self._ask(vendor_uid)
        return True, known.config

    async def get(self, vendor_uid: str) -> contract.VendorConfig | None:
        """Return the vendor's configuration, or None if there is no such vendor. Raises
        :class:`BackendError` if PHP has never answered for this vendor and does not now."""
        found, config = self.peek(vendor_uid)
        if found:
            return config
        await asyncio.shield(self._ask(vendor_uid))
        return self._known[vendor_uid].config

    def forget(self, vendor_uids: list[str] | None) -> None:
        """Ask PHP again before the next use; None means for every vendor. If PHP is down then,
        the old values stay in use."""
        for vendor_uid in self._known if vendor_uids is None else vendor_uids:
            if known := self._known.get(vendor_uid):
                self._known[vendor_uid] = _Known(known.config, self._clock())

    async def follow(self, redis: Redis, *, interval_s: float) -> None:
        """Look until cancelled whether PHP has said that configuration changed; it says so to
        one process, and this is how the others learn of it."""
        seen: bytes | None = None
        while True:
            try:
                version = cast("bytes | None", await redis.get(keys.CONFIG_VERSION))
            except (*UNAVAILABLE, RedisError):
                version = seen  # whoever needs Redis for its work says that it is away
            if version != seen:
                self.forget(None)
                seen = version
            await asyncio.sleep(interval_s)

    def _ask(self, vendor_uid: str) -> asyncio.Task[None]:
        task = self._asking.get(vendor_uid)
        if task is None:
            task = asyncio.create_task(self._fetch(vendor_uid), name=f"vendor {vendor_uid}")
            self._asking[vendor_uid] = task
            task.add_done_callback(lambda done: self._asked(vendor_uid, done))
        return task

    def _asked(self, vendor_uid: str, task: asyncio.Task[None]) -> None:
        del self._asking[vendor_uid]
        if not task.cancelled():
            task.exception()  # retrieved here: a renewal behind the back has nobody to tell

    async def _fetch(self, vendor_uid: str) -> None:
        try:
            answer = await self._backend.call(
                contract.VENDOR_CONFIG,
                contract.VendorConfigRequest(vendor_uids=[vendor_uid]),
                contract.VendorConfigAnswer,
            )
        except BackendError as error:
            self._trouble.failed(str(error))
            raise
        self._trouble.worked()
        config = next((v for v in answer.vendors if v.vendor_uid == vendor_uid), None)
        ttl_s = self._unknown_ttl_s if config is None else self._ttl_s
        self._known[vendor_uid] = _Known(config, self._clock() + ttl_s)
