"""Moves vendors' work between PHP and the sidecar, in steps, each of which is safe to crash after.

PHP keeps the modes (:mod:`contracts.modes`). Campaigns pass through ``held``, in which neither side
starts anything: towards the sidecar until PHP's cron has finished what it has read, and back until
the ledgers are empty. A crash in between leaves vendors ``held``: nothing is sent for them, nothing
is lost, and repeating the move finishes it.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from contracts import backend as contract
from contracts.backend import ErrorCode
from contracts.modes import (
    Capability,
    Mode,
    ModeChange,
    Modes,
    ModesAnswer,
    ModesRequest,
    may_become,
)
from contracts.sidecar_api import (
    InvalidateRequest,
    InvalidateScope,
    ModesChange,
    ModesChanged,
    MovedVendor,
)
from sidecar.migration.in_flight import InFlight
from sidecar.php.client import Backend, BackendRefused
from sidecar.php.config_feed import ConfigChanges
from sidecar.redis.client import Redis
from sidecar.settings import Settings

log = structlog.get_logger()

#: How often to check whether work in flight has finished.
POLL_S = 0.1
#: How often to retry a change that lost to a concurrent one.
ATTEMPTS = 5
#: Maximum changes in one call (``ModesRequest``).
MAX_CHANGES = 10_000

#: In these the sidecar sends no campaigns.
NOT_SENDING = (Mode.PHP, Mode.SHADOW)

SOMEBODY_ELSE = "somebody else has changed its modes meanwhile"


class VendorUnknown(Exception):
    """PHP knows no such vendor. The text is its uid."""


@dataclass(slots=True)
class _Vendor:
    """``modes`` are PHP's latest; ``waits_for`` says why the move is not complete."""

    uid: str
    modes: Modes
    waits_for: str | None = None


#: What is to become of a vendor next. What is so already is no change.
_Step = Callable[[_Vendor], ModeChange]


class Cutover:
    """Moves vendors, one call after another. If two callers move the same vendors concurrently, one
    of them leaves these to the other, and says so."""

    def __init__(
        self, settings: Settings, redis: Redis, backend: Backend, changes: ConfigChanges
    ) -> None:
        self._cron_settle_s = settings.cron_settle_s
        self._in_flight = InFlight(redis)
        self._backend = backend
        self._changes = changes
        self._version = 0
        self._by = ""
        self._reason: str | None = None
        #: Vendors' modes that it has had written, one after another.
        self.written = 0

    async def read(self, *, history: bool = False) -> ModesAnswer:
        """Return all vendors' modes. Raises ``BackendError``."""
        return await self._call(ModesRequest(history=history))

    async def move(self, asked: ModesChange) -> ModesChanged:
        """Move vendors, and return their state when that is done or the time is up (though the
        crons get their time in any case). Raises :class:`VendorUnknown`, ``BackendError`` and
        redis-py's errors; then some may be held, and repeating the move finishes it."""
        self._by, self._reason = asked.by, asked.reason
        end = time.monotonic() + asked.timeout_s
        vendors = await self._find(asked.vendor_uids)
        await self._begin(vendors, asked)
        if asked.campaigns is not None and asked.campaigns is not Mode.HELD:
            held = [v for v in vendors if v.modes.campaigns is Mode.HELD]
            await self._pass_on(held, asked.campaigns, end)
        if asked.webhooks in NOT_SENDING:
            await self._wait_for_inboxes(vendors, end)
        moved = [
            MovedVendor(vendor_uid=v.uid, modes=v.modes, waits_for=v.waits_for) for v in vendors
        ]
        return ModesChanged(version=self._version, vendors=moved)

    async def _pass_on(self, held: list[_Vendor], campaigns: Mode, end: float) -> None:
        """Move campaigns on from held as soon as that is safe."""
        if not held:
            return
        if campaigns is Mode.SIDECAR:
            # A cron that has already read its rows finishes them first.
            await asyncio.sleep(self._cron_settle_s)
        else:
            await self._wait_for_sends(held, end)
        await self._finish([v for v in held if v.waits_for is None], campaigns)

    async def _find(self, vendor_uids: list[str]) -> list[_Vendor]:
        answer = await self.read()
        self._version = answer.version
        known = {vendor.vendor_uid: vendor.modes for vendor in answer.vendors}
        if missing := [uid for uid in vendor_uids if uid not in known]:
            raise VendorUnknown(missing[0])
        return [_Vendor(uid, known[uid]) for uid in dict.fromkeys(vendor_uids or known)]

    # -- changing --

    async def _begin(self, vendors: list[_Vendor], asked: ModesChange) -> None:
        """Make the changes that are safe at once, and hold campaigns that change sides."""

        def step(vendor: _Vendor) -> ModeChange:
            return ModeChange(
                vendor_uid=vendor.uid,
                webhooks=asked.webhooks,
                campaigns=_first(vendor.modes.campaigns, asked.campaigns),
                bots=asked.bots,
            )

        for attempt in range(ATTEMPTS):
            try:
                await self._write(vendors, step)
                break
            except BackendRefused as error:
                if error.code != ErrorCode.FENCE_STALE or attempt == ATTEMPTS - 1:
                    raise
                self._apply(vendors, await self.read())  # the step depends on what they are now
        # Also where nothing had to be changed: whoever did may have died before this.
        await self._announce(vendors)

    async def _finish(self, vendors: list[_Vendor], campaigns: Mode) -> None:
        """Move campaigns on from held, except for vendors that somebody else has changed since: for
        these the wait proves nothing any more."""
        held_at = self._version
        for attempt in range(ATTEMPTS):
            left = [v for v in vendors if v.waits_for is None and v.modes.campaigns is Mode.HELD]
            try:
                await self._write(left, lambda v: ModeChange(vendor_uid=v.uid, campaigns=campaigns))
                break
            except BackendRefused as error:
                if error.code != ErrorCode.FENCE_STALE or attempt == ATTEMPTS - 1:
                    raise
                answer = await self.read(history=True)
                self._apply(left, answer)
                changed = {
                    one.vendor_uid
                    for one in answer.vendors
                    if any(past.version > held_at for past in one.history)
                }
                for vendor in left:
                    if vendor.uid in changed:
                        vendor.waits_for = SOMEBODY_ELSE
        await self._announce(vendors)

    async def _write(self, vendors: list[_Vendor], step: _Step) -> None:
        """Store one step for all vendors that it changes. Raises ``BackendRefused`` if somebody
        else has changed modes since they were read."""
        steps = [(vendor, step(vendor)) for vendor in vendors]
        wanted = [change for vendor, change in steps if _changes(vendor.modes, change)]
        for start in range(0, len(wanted), MAX_CHANGES):
            request = ModesRequest(
                changes=wanted[start : start + MAX_CHANGES],
                version=self._version,
                by=self._by,
                reason=self._reason,
            )
            self._apply(vendors, await self._call(request))
        self.written += len(wanted)
        if wanted:
            log.info("modes.changed", by=self._by, vendors=len(wanted), version=self._version)

    async def _call(self, request: ModesRequest) -> ModesAnswer:
        return await self._backend.call(contract.MODES, request, ModesAnswer)

    def _apply(self, vendors: Iterable[_Vendor], answer: ModesAnswer) -> None:
        """Take over the modes in PHP's answer."""
        self._version = answer.version
        known = {one.vendor_uid: one.modes for one in answer.vendors}
        for vendor in vendors:
            vendor.modes = known.get(vendor.uid, vendor.modes)

    async def _announce(self, vendors: list[_Vendor]) -> None:
        """Announce it to every process."""
        if vendors:
            scopes = [InvalidateScope.SETTINGS, InvalidateScope.BOTS]
            uids = [vendor.uid for vendor in vendors]
            await self._changes.announce(InvalidateRequest(vendor_uids=uids, scopes=scopes))

    # -- waiting --

    async def _wait_for_sends(self, vendors: list[_Vendor], end: float) -> None:
        """Wait until nothing of these vendors' campaigns is in flight, or the time is up. Vendors
        whose rows may still be sent stay held."""
        uids = {vendor.uid for vendor in vendors}
        while True:
            found = await self._in_flight.campaigns(uids)
            if not found or time.monotonic() >= end:
                break
            await asyncio.sleep(POLL_S)
        for vendor in vendors:
            campaigns = [c for c in found if c.vendor_uid == vendor.uid and c.unsettled]
            if campaigns:
                more = f"; and {len(campaigns) - 1} more" if campaigns[1:] else ""
                vendor.waits_for = f"{campaigns[0]}{more}"

    async def _wait_for_inboxes(self, vendors: list[_Vendor], end: float) -> None:
        """Wait until the webhooks in these vendors' inboxes are delivered to PHP, or the time is
        up. What is left is delivered in any case, so it is only reported."""
        uids = {vendor.uid for vendor in vendors}
        while True:
            found = await self._in_flight.inboxes(uids)
            if time.monotonic() >= end or not any(one.webhooks for one in found.values()):
                break
            await asyncio.sleep(POLL_S)
        for vendor in vendors:
            if vendor.waits_for is None and vendor.uid in found:
                vendor.waits_for = f"{found[vendor.uid]}; the workers go on handing them to PHP"


def _first(now: Mode, wanted: Mode | None) -> Mode | None:
    """Return what campaigns become first on their way. Those that are held stay so until nothing is
    in flight."""
    if wanted is None or wanted is now:
        return wanted
    at_once = now is not Mode.HELD and may_become(Capability.CAMPAIGNS, now, wanted)
    return wanted if at_once else Mode.HELD


def _changes(modes: Modes, change: ModeChange) -> bool:
    return any(
        getattr(change, name.value) not in (None, getattr(modes, name.value)) for name in Capability
    )
