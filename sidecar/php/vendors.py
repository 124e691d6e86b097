"""Vendors' configuration, asked from PHP once for many callers and kept in memory."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

import structlog

from contracts import backend as contract
from sidecar.php.cache import RemoteCache
from sidecar.php.client import Backend, BackendUnavailable
from sidecar.settings import Settings
from sidecar.tasks import cancel

log = structlog.get_logger()

#: Most vendors in one request (``VendorConfigRequest``).
BATCH = 1000

#: So long a vendor's configuration is kept that nobody asks for.
KEEP_S = 24 * 3600.0

#: Requests to PHP about strangers: so many at once, and so many a second in the long run.
STRANGERS_BURST = 5
STRANGERS_PER_S = 2.0

#: So many strangers wait to be asked about.
MAX_STRANGERS = BATCH


class TooManyStrangers(Exception):
    """More uids that nobody has seen are asked about than PHP is to be asked."""


class Vendors(RemoteCache[str, contract.VendorConfig]):
    """What PHP says about vendors. Secrets stay in this process's memory.

    Anybody can make up a uid. One that PHP has never named, and that comes with nothing to prove
    it, is a stranger's (:meth:`find`): all strangers share a few requests a second, beside those
    about vendors that are known, and more of them than that are not asked about.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        ttl_s: float,
        unknown_ttl_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            "vendor_config.unavailable",
            batch=BATCH,
            ttl_s=ttl_s,
            unknown_ttl_s=unknown_ttl_s,
            keep_s=KEEP_S,
            clock=clock,
        )
        self._backend = backend
        self._familiar: set[str] = set()
        self._watchers: dict[str, list[Callable[[contract.VendorConfig | None], None]]] = {}
        self._strangers: dict[str, None] = {}
        self._finder: asyncio.Task[None] | None = None
        self._budget, self._filled_at = float(STRANGERS_BURST), clock()

    def meet(self, vendor_uids: Iterable[str]) -> None:
        """Take these for vendors that PHP knows, and have it asked about them."""
        for vendor_uid in vendor_uids:
            self._familiar.add(vendor_uid)
            self.want(vendor_uid)

    def is_stranger(self, vendor_uid: str) -> bool:
        """Tell whether PHP has never named this uid."""
        return vendor_uid not in self._familiar

    @contextmanager
    def watch(
        self, vendor_uid: str, told: Callable[[contract.VendorConfig | None], None]
    ) -> Iterator[None]:
        """Have it told what PHP says of a vendor, whenever it says it, and PHP asked as often as if
        somebody kept asking."""
        watchers = self._watchers.setdefault(vendor_uid, [])
        watchers.append(told)
        try:
            yield
        finally:
            watchers.remove(told)
            if not watchers:
                del self._watchers[vendor_uid]

    def renew(self) -> None:
        super().renew()
        for vendor_uid in self._watchers:
            self.peek(vendor_uid)

    async def find(self, vendor_uid: str) -> contract.VendorConfig | None:
        """As :meth:`get`, for a uid that may be made up. Raises :class:`TooManyStrangers` too."""
        found, value = self.peek(vendor_uid)
        if found:
            return value
        if vendor_uid in self._familiar:
            return await self.get(vendor_uid)
        if reason := self._failed.get(vendor_uid):
            raise BackendUnavailable(reason)
        return await asyncio.shield(self._ask_about_stranger(vendor_uid))

    def wonder(self, vendor_uid: str) -> None:
        """As :meth:`want`, for a uid that may be made up."""
        if vendor_uid in self._familiar:
            self.want(vendor_uid)
        elif self._failed.get(vendor_uid) is None:
            with suppress(TooManyStrangers):
                self._ask_about_stranger(vendor_uid)

    def _ask_about_stranger(self, vendor_uid: str) -> asyncio.Future[contract.VendorConfig | None]:
        question = self._asked.get(vendor_uid)
        if question is None:
            if len(self._strangers) >= MAX_STRANGERS:
                raise TooManyStrangers
            question = self._asked[vendor_uid] = asyncio.get_running_loop().create_future()
            self._strangers[vendor_uid] = None
            if self._finder is None or self._finder.done():
                self._finder = asyncio.create_task(self._find(), name="strangers")
        return question

    async def close(self) -> None:
        await cancel([self._finder])
        self._strangers.clear()
        await super().close()

    def _ask(self, key: str) -> asyncio.Future[contract.VendorConfig | None]:
        question = super()._ask(key)
        if key in self._strangers:  # it is none any more
            del self._strangers[key]
            self._enqueue(key)
        return question

    def _store(self, key: str, value: contract.VendorConfig | None) -> None:
        super()._store(key, value)
        if value is None:
            self._familiar.discard(key)
        else:
            self._familiar.add(key)
        for told in list(self._watchers.get(key, ())):
            try:
                told(value)
            except Exception:  # a fault of one run's, and all others wait for this answer
                log.exception("vendor_config.not_taken", vendor=key)

    async def _find(self) -> None:
        """Ask about strangers, one request at a time, until there are none."""
        await asyncio.sleep(0)  # what else is asked for in this turn of the loop
        while self._strangers:
            await self._wait_for_budget()
            part, self._strangers = list(self._strangers), {}
            if part:
                await self._load(part, max_failures=0)

    async def _wait_for_budget(self) -> None:
        while True:
            now = self._clock()
            filled = self._budget + (now - self._filled_at) * STRANGERS_PER_S
            self._budget, self._filled_at = min(filled, STRANGERS_BURST), now
            if self._budget >= 1:
                self._budget -= 1
                return
            await asyncio.sleep((1 - self._budget) / STRANGERS_PER_S)

    async def load(self, wanted: list[str]) -> Mapping[str, contract.VendorConfig]:
        answer = await self._backend.call(
            contract.VENDOR_CONFIG,
            contract.VendorConfigRequest(vendor_uids=wanted),
            contract.VendorConfigAnswer,
        )
        return {config.vendor_uid: config for config in answer.vendors}


def make_vendors(settings: Settings, backend: Backend) -> Vendors:
    """Return the vendors' configuration as these settings want it kept."""
    return Vendors(
        backend,
        ttl_s=settings.vendor_config_ttl_s,
        unknown_ttl_s=settings.vendor_unknown_ttl_s,
    )
