"""Vendors on whose updates PHP fails or hangs. Their updates go to PHP in batches of their own,
beside the lane's, so that they hold nobody else up."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any

import structlog

from sidecar.clock import now_ms
from sidecar.php.breaker import FRESH_S, Breaker
from sidecar.tasks import cancel

log = structlog.get_logger()

#: How long a vendor stays isolated after PHP last did not answer in time. Isolation costs one more
#: request; a release too early costs everybody a time-out.
ISOLATED_S = 600.0

#: Longest pause before a vendor's updates are tried again.
MAX_PAUSE_S = 10.0

#: Maximum isolated vendors that a process reports.
MAX_REPORTED = 50

#: Maximum concurrent batches beside the lane's. Vendors that PHP is known to hang on have slots of
#: their own, so that they take none from the others.
MAX_BATCHES = 12
MAX_HANGING = 4


class Why(StrEnum):
    """Why a vendor is isolated."""

    #: PHP hung on a request with its and others' updates.
    SUSPECTED = "suspected"
    #: PHP failed on a request with nobody else's updates.
    FAILS = "fails"
    #: PHP hung on such a request.
    HANGS = "hangs"


class Isolation:
    """Knows which vendors are isolated, and how long to wait before their updates are tried again.

    One for each lane and process; its pauses start like those of ``like``. It is in memory only: a
    process that does not know finds out with one time-out.
    """

    def __init__(self, like: Breaker, clock: Callable[[], float] = time.monotonic) -> None:
        self._like = like
        self._clock = clock
        self._until: dict[str, float] = {}
        self._since: dict[str, int] = {}
        self._why: dict[str, Why] = {}
        self._breakers: dict[str, Breaker] = {}
        self._well: set[str] = set()
        self.reasons: dict[str, str] = {}

    def vendors(self) -> set[str]:
        """Return the vendors that are isolated."""
        now = self._clock()
        for vendor_uid in [v for v, until in self._until.items() if until <= now]:
            self._over(vendor_uid)
        return set(self._until)

    def why(self, vendor_uid: str) -> Why | None:
        return self._why.get(vendor_uid)

    def is_suspected(self, vendor_uid: str) -> bool:
        """Return whether PHP has hung on the vendor's updates only beside those of others."""
        return self._why.get(vendor_uid) is Why.SUSPECTED

    def report(self) -> dict[str, str]:
        """Return why PHP fails or hangs on vendors' updates, for the first of them. A vendor stays
        isolated for a while after that was so last, and then nothing is wrong."""
        known = [
            vendor_uid
            for vendor_uid in self.vendors()
            if not self.is_suspected(vendor_uid) and self._is_fresh(vendor_uid)
        ]
        return {vendor_uid: self.reasons[vendor_uid] for vendor_uid in known[:MAX_REPORTED]}

    def _is_fresh(self, vendor_uid: str) -> bool:
        if vendor_uid in self._well:
            return False
        breaker = self._breakers.get(vendor_uid)
        put_at = self._until[vendor_uid] - ISOLATED_S
        fails = breaker is not None and breaker.fresh_reason is not None
        return fails or self._clock() - put_at < FRESH_S

    def report_since(self) -> dict[str, int]:
        """Return since when the same vendors are isolated (unix ms)."""
        return {vendor_uid: self._since[vendor_uid] for vendor_uid in self.report()}

    def isolate(self, vendor_uids: Iterable[str], reason: str) -> None:
        """Isolate vendors, because PHP hung on a request with updates of all of them."""
        for vendor_uid in vendor_uids:
            self._put(vendor_uid, self._why.get(vendor_uid, Why.SUSPECTED), reason)

    def fails(self, vendor_uid: str, reason: str) -> None:
        """Isolate a vendor, because PHP failed on a request with nobody else's updates."""
        self._put(vendor_uid, Why.FAILS, reason)

    def confirm(self, vendor_uid: str, reason: str) -> None:
        """Keep a vendor isolated, because PHP hung on a request with nobody else's updates."""
        self._put(vendor_uid, Why.HANGS, reason)

    def release(self, vendor_uid: str) -> None:
        """Release a vendor whose updates PHP has taken; not yet, if it was known to hang."""
        if self._why.get(vendor_uid) in (Why.SUSPECTED, Why.FAILS):
            self._over(vendor_uid)
        elif vendor_uid in self._until:
            self._well.add(vendor_uid)

    def _put(self, vendor_uid: str, why: Why, reason: str) -> None:
        if vendor_uid not in self._until:
            log.warning("vendor.isolated", vendor=vendor_uid, why=why, reason=reason)
            self._since[vendor_uid] = now_ms()
        self._well.discard(vendor_uid)
        self._until[vendor_uid] = self._clock() + ISOLATED_S
        self._why[vendor_uid] = why
        self.reasons[vendor_uid] = reason

    def _over(self, vendor_uid: str) -> None:
        for known in (self._until, self._since, self._why, self.reasons, self._breakers):
            known.pop(vendor_uid, None)
        self._well.discard(vendor_uid)
        log.info("vendor.released", vendor=vendor_uid)

    def wait_s(self, vendor_uid: str) -> float:
        """Return how long to wait before this vendor's updates are tried again."""
        breaker = self._breakers.get(vendor_uid)
        return breaker.wait_s if breaker else 0.0

    def failed(self, vendor_uid: str, reason: str) -> None:
        """Record that PHP took none of this vendor's updates."""
        self._well.discard(vendor_uid)
        breaker = self._breakers.get(vendor_uid)
        if breaker is None:
            breaker = self._like.another(
                "php.vendor.failing", longest_s=MAX_PAUSE_S, vendor=vendor_uid
            )
            self._breakers[vendor_uid] = breaker
        breaker.failed(reason)

    def worked(self, vendor_uid: str) -> None:
        """Record that PHP took one of this vendor's updates."""
        if breaker := self._breakers.pop(vendor_uid, None):
            breaker.worked()


class IsolatedBatches:
    """Holds the tasks that process isolated vendors' updates, one per vendor. ``order_keys`` have
    updates in flight."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._order_keys: dict[str, set[str]] = {}
        self._hanging: set[str] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def order_keys(self) -> set[str]:
        return set().union(*self._order_keys.values())

    def has_room_for(self, vendor_uid: str, *, hangs: bool) -> bool:
        if vendor_uid in self._tasks:
            return False
        if hangs:
            return len(self._hanging) < MAX_HANGING
        return len(self._tasks) - len(self._hanging) < MAX_BATCHES

    def start(
        self,
        vendor_uid: str,
        batch: Coroutine[Any, Any, None],
        order_keys: set[str],
        *,
        hangs: bool,
    ) -> None:
        """Start a batch. There must be room for it."""
        self._tasks[vendor_uid] = asyncio.create_task(batch, name=f"isolated {vendor_uid}")
        self._order_keys[vendor_uid] = order_keys
        if hangs:
            self._hanging.add(vendor_uid)

    async def wait(self, timeout_s: float) -> None:
        """Wait until one has ended, at most for ``timeout_s``."""
        if self._tasks:
            await asyncio.wait(
                self._tasks.values(), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )

    def clear_ended(self) -> None:
        """Forget those that have ended. Raises what one of them raised."""
        for vendor_uid, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[vendor_uid], self._order_keys[vendor_uid]
                self._hanging.discard(vendor_uid)
                task.result()

    async def cancel(self) -> None:
        """Cancel those in flight: nothing of theirs is committed."""
        await cancel(self._tasks.values())
        self._tasks.clear()
        self._order_keys.clear()
        self._hanging.clear()


class SharedLock:
    """Lets any number work together, or one alone. Latecomers wait for one that wants to be alone,
    so that it does not starve."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._together = 0
        self._alone = 0  # who is alone or waits for it
        self._taken = False

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Work together with others."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._alone)
            self._together += 1
        try:
            yield
        finally:
            self._together -= 1
            await self._notify()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Work while nobody else does."""
        self._alone += 1
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: not self._together and not self._taken)
                self._taken = True
            try:
                yield
            finally:
                self._taken = False
        finally:
            self._alone -= 1
            await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
