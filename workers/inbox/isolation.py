"""Vendors on whose updates PHP hangs: they go to PHP in requests of their own, beside the lane's,
so that they hold nobody else up."""

import time
from collections.abc import Callable, Iterable

import structlog

from workers.breaker import Breaker

log = structlog.get_logger()

#: How long a vendor stays apart after PHP last gave no answer in time. What it costs to be apart is
#: a request more; what it costs to be back too early is a time-out for everybody.
APART_S = 600.0


class Bulkhead:
    """Knows which vendors are apart, and for how long to leave PHP alone with what is theirs.

    One for each lane and process; its pauses are those of ``like``. Who is apart is not kept
    anywhere: a process that does not know finds out with one time-out.
    """

    def __init__(self, like: Breaker, clock: Callable[[], float] = time.monotonic) -> None:
        self._like = like
        self._clock = clock
        self._until: dict[str, float] = {}
        self._suspects: set[str] = set()
        self._breakers: dict[str, Breaker] = {}

    def vendors(self) -> set[str]:
        """Return the vendors that are apart."""
        now = self._clock()
        for vendor_uid in [v for v, until in self._until.items() if until <= now]:
            self._over(vendor_uid)
        return set(self._until)

    def suspect(self, vendor_uids: Iterable[str], reason: str) -> None:
        """Have vendors go apart, because PHP hung on a request with updates of all of them."""
        for vendor_uid in vendor_uids:
            if vendor_uid not in self._until:
                self._suspects.add(vendor_uid)
            self._put(vendor_uid, reason)

    def acquit(self, vendor_uid: str) -> None:
        """Let a vendor back, if it was only suspected: PHP was given what is its and did not
        hang."""
        if vendor_uid in self._suspects:
            self._over(vendor_uid)

    def convict(self, vendor_uid: str, reason: str) -> None:
        """Have a vendor stay apart, because PHP hung on a request with nobody else's updates."""
        self._suspects.discard(vendor_uid)
        self._put(vendor_uid, reason)

    def _put(self, vendor_uid: str, reason: str) -> None:
        if vendor_uid not in self._until:
            log.warning("vendor_apart", vendor=vendor_uid, reason=reason)
        self._until[vendor_uid] = self._clock() + APART_S

    def _over(self, vendor_uid: str) -> None:
        del self._until[vendor_uid]
        self._suspects.discard(vendor_uid)
        log.info("vendor_apart_over", vendor=vendor_uid)

    def wait_s(self, vendor_uid: str) -> float:
        """How long to wait before PHP is asked again to take something of this vendor's."""
        breaker = self._breakers.get(vendor_uid)
        return breaker.wait_s if breaker else 0.0

    def failed(self, vendor_uid: str, reason: str) -> None:
        """PHP took nothing of what it was given of this vendor's."""
        breaker = self._breakers.get(vendor_uid)
        if breaker is None:
            breaker = self._like.another("vendor_not_taken_by_php", vendor=vendor_uid)
            self._breakers[vendor_uid] = breaker
        breaker.failed(reason)

    def worked(self, vendor_uid: str) -> None:
        """PHP took something of this vendor's."""
        if breaker := self._breakers.pop(vendor_uid, None):
            breaker.worked()
