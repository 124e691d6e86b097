"""Vendors' configuration, asked from PHP once for many callers and kept in memory."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from contracts import backend as contract
from sidecar import keys
from sidecar.backend import Backend, BackendError, BackendUnavailable
from sidecar.logs import Trouble
from sidecar.redis_client import UNAVAILABLE, Redis, RedisError

#: After PHP gave no answer about a vendor, for how long it is not asked again.
RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class _Known:
    config: contract.VendorConfig
    fresh_until: float


class _Recent:
    """Notes about vendors that hold for a while and then vanish: anybody can make up vendors, and
    they must not fill the memory."""

    def __init__(self, ttl_s: float, clock: Callable[[], float]) -> None:
        self._ttl_s = ttl_s
        self._clock = clock
        self._notes: dict[str, tuple[float, str]] = {}

    def __len__(self) -> int:
        return len(self._notes)

    def add(self, vendor_uid: str, note: str) -> None:
        now = self._clock()
        self._notes.pop(vendor_uid, None)
        self._notes[vendor_uid] = (now + self._ttl_s, note)
        while self._notes:
            oldest = next(iter(self._notes))
            if self._notes[oldest][0] > now:
                break
            del self._notes[oldest]

    def get(self, vendor_uid: str) -> str | None:
        until, note = self._notes.get(vendor_uid, (0.0, ""))
        return note if self._clock() < until else None

    def drop(self, vendor_uids: list[str] | None) -> None:
        for vendor_uid in list(self._notes) if vendor_uids is None else vendor_uids:
            self._notes.pop(vendor_uid, None)


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
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._unknown = _Recent(unknown_ttl_s, clock)
        self._failed = _Recent(RETRY_S, clock)
        self._asking: dict[str, asyncio.Task[contract.VendorConfig | None]] = {}
        self._trouble = Trouble("vendor_config_unavailable")

    def peek(self, vendor_uid: str) -> tuple[bool, contract.VendorConfig | None]:
        """Return (True, configuration or None for no such vendor), or (False, None) if PHP has
        not been asked yet. Never waits; an old value is renewed behind the caller's back."""
        known = self._known.get(vendor_uid)
        if known is None:
            return self._unknown.get(vendor_uid) is not None, None
        if self._clock() >= known.fresh_until and self._failed.get(vendor_uid) is None:
            self._ask(vendor_uid)
        return True, known.config

    async def get(self, vendor_uid: str) -> contract.VendorConfig | None:
        """Return the vendor's configuration, or None if there is no such vendor. Raises
        :class:`BackendError` if PHP has never answered for this vendor and does not now."""
        found, config = self.peek(vendor_uid)
        if found:
            return config
        if reason := self._failed.get(vendor_uid):
            raise BackendUnavailable(reason)
        return await asyncio.shield(self._ask(vendor_uid))

    def forget(self, vendor_uids: list[str] | None) -> None:
        """Ask PHP again before the next use; None means for every vendor. If PHP is down then,
        the old values stay in use."""
        for vendor_uid in self._known if vendor_uids is None else vendor_uids:
            if known := self._known.get(vendor_uid):
                self._known[vendor_uid] = _Known(known.config, self._clock())
        self._unknown.drop(vendor_uids)
        self._failed.drop(vendor_uids)

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

    def _ask(self, vendor_uid: str) -> asyncio.Task[contract.VendorConfig | None]:
        task = self._asking.get(vendor_uid)
        if task is None:
            task = asyncio.create_task(self._fetch(vendor_uid), name=f"vendor {vendor_uid}")
            self._asking[vendor_uid] = task
            task.add_done_callback(lambda done: self._asked(vendor_uid, done))
        return task

    def _asked(self, vendor_uid: str, task: asyncio.Task[contract.VendorConfig | None]) -> None:
        del self._asking[vendor_uid]
        if not task.cancelled():
            task.exception()  # retrieved here: a renewal behind the back has nobody to tell

    async def _fetch(self, vendor_uid: str) -> contract.VendorConfig | None:
        try:
            answer = await self._backend.call(
                contract.VENDOR_CONFIG,
                contract.VendorConfigRequest(vendor_uids=[vendor_uid]),
                contract.VendorConfigAnswer,
            )
        except BackendError as error:
            self._trouble.failed(str(error))
            self._failed.add(vendor_uid, str(error))
            raise
        self._trouble.worked()
        config = next((v for v in answer.vendors if v.vendor_uid == vendor_uid), None)
        if config is None:
            self._known.pop(vendor_uid, None)
            self._unknown.add(vendor_uid, "PHP knows no such vendor")
        else:
            self._known[vendor_uid] = _Known(config, self._clock() + self._ttl_s)
        return config
