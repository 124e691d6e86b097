"""Moving vendors' work between PHP and the sidecar, in steps of which each is safe to die after.

PHP keeps the modes (:mod:`contracts.modes`). Campaigns pass through ``held``, in which neither side
begins anything: on the way to the sidecar until PHP's cron has ended what it has read, and on the
way back until the ledgers say that nothing is claimed any more. Whoever dies in between leaves
vendors ``held``: nothing is sent for them, nothing is lost, and the same move again finishes it.
"""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import structlog

from contracts import backend as contract
from contracts.backend import ErrorCode
from contracts.jobs import Lane
from contracts.modes import Mode, ModeChange, Modes, ModesAnswer, ModesRequest
from contracts.sidecar_api import (
    InvalidateRequest,
    InvalidateScope,
    ModesChange,
    ModesChanged,
    MovedVendor,
)
from sidecar import keys
from sidecar.backend import Backend, BackendRefused
from sidecar.campaigns import campaign_lease
from sidecar.config_changes import ConfigChanges
from sidecar.outbox import vendor_of_replies
from sidecar.redis_client import Hash, Redis
from sidecar.settings import Settings

log = structlog.get_logger()

#: How often it is looked whether what was begun has ended.
POLL_S = 0.1
#: How often a change is made again that somebody else's has come before.
ATTEMPTS = 5

#: Nothing is claimed in these.
NOT_SENDING = (Mode.PHP, Mode.SHADOW)

SOMEBODY_ELSE = "somebody else has changed its modes meanwhile"


class VendorUnknown(Exception):
    """PHP knows no such vendor. The text is its uid."""


@dataclass(slots=True)
class _Vendor:
    """``modes`` as PHP last told them; ``waits_for`` is what keeps the move from being complete."""

    uid: str
    modes: Modes
    waits_for: str | None = None


class Cutover:
    """Moves vendors. One call at a time; a second one, also elsewhere, makes one of them fail with
    ``fence_stale`` where they meet."""

    def __init__(
        self, settings: Settings, redis: Redis, backend: Backend, changes: ConfigChanges
    ) -> None:
        self._settle_s = settings.cron_settle_s
        self._redis = redis
        self._backend = backend
        self._changes = changes
        self._version = 0
        self._by = ""
        self._reason: str | None = None

    async def read(self, *, history: bool = False) -> ModesAnswer:
        """Return all vendors' modes. Raises ``BackendError``."""
        return await self._call(ModesRequest(history=history))

    async def move(self, asked: ModesChange) -> ModesChanged:
        """Move vendors, and return how they stand when that is done or the time is over. Raises
        :class:`VendorUnknown`, ``BackendError``, and what redis-py raises."""
        self._by, self._reason = asked.by, asked.reason
        end = time.monotonic() + asked.timeout_s
        vendors = await self._find(asked.vendor_uids)
        entering, leaving = _directions(vendors, asked.campaigns)
        held = {vendor.uid for vendor in (*entering, *leaving)}
        await self._write(
            vendors,
            [
                ModeChange(
                    vendor_uid=vendor.uid,
                    webhooks=asked.webhooks,
                    bots=asked.bots,
                    campaigns=Mode.HELD if vendor.uid in held else asked.campaigns,
                )
                for vendor in vendors
            ],
        )
        if entering:
            # A cron that read its rows before it was told ends with them first.
            await asyncio.sleep(self._settle_s)
        await self._wait_for_sends(leaving, end)
        done = [vendor for vendor in (*entering, *leaving) if vendor.waits_for is None]
        await self._release_held(done, asked.campaigns)
        if asked.webhooks in NOT_SENDING:
            await self._wait_for_inbox(vendors, end)
        moved = [
            MovedVendor(vendor_uid=v.uid, modes=v.modes, waits_for=v.waits_for) for v in vendors
        ]
        return ModesChanged(version=self._version, vendors=moved)

    async def _find(self, vendor_uids: list[str]) -> list[_Vendor]:
        answer = await self.read()
        self._version = answer.version
        known = {vendor.vendor_uid: vendor.modes for vendor in answer.vendors}
        if missing := [uid for uid in vendor_uids if uid not in known]:
            raise VendorUnknown(missing[0])
        return [_Vendor(uid, known[uid]) for uid in dict.fromkeys(vendor_uids or known)]

    # -- writing --

    async def _call(self, request: ModesRequest) -> ModesAnswer:
        return await self._backend.call(contract.MODES, request, ModesAnswer)

    async def _write(self, vendors: list[_Vendor], changes: list[ModeChange]) -> None:
        """Have PHP keep changes, and every process learn of them."""
        of = {vendor.uid: vendor for vendor in vendors}
        wanted = [change for change in changes if _changes(of[change.vendor_uid].modes, change)]
        if not wanted:
            return
        for attempt in range(ATTEMPTS):
            try:
                answer = await self._call(
                    ModesRequest(
                        changes=wanted, version=self._version, by=self._by, reason=self._reason
                    )
                )
                break
            except BackendRefused as error:
                if error.code != ErrorCode.FENCE_STALE or attempt == ATTEMPTS - 1:
                    raise
                self._version = (await self.read()).version
        self._version = answer.version
        for told in answer.vendors:
            if told.vendor_uid in of:
                of[told.vendor_uid].modes = told.modes
        log.info("modes_changed", by=self._by, vendors=len(wanted), version=answer.version)
        changed = [change.vendor_uid for change in wanted]
        scopes = [InvalidateScope.SETTINGS, InvalidateScope.BOTS]
        await self._changes.announce(InvalidateRequest(vendor_uids=changed, scopes=scopes))

    async def _release_held(self, vendors: list[_Vendor], campaigns: Mode | None) -> None:
        """Move campaigns from held to where they go, unless somebody else has moved them."""
        if not vendors:
            return
        answer = await self.read()
        self._version = answer.version
        now = {one.vendor_uid: one.modes for one in answer.vendors}
        changes = []
        for vendor in vendors:
            vendor.modes = now.get(vendor.uid, vendor.modes)
            if vendor.modes.campaigns is Mode.HELD:
                changes.append(ModeChange(vendor_uid=vendor.uid, campaigns=campaigns))
            else:
                vendor.waits_for = SOMEBODY_ELSE
        await self._write(vendors, changes)

    # -- waiting --

    async def _wait_for_sends(self, vendors: list[_Vendor], end: float) -> None:
        """Wait until nothing of these vendors is claimed any more, for as long as there is time."""
        while True:
            unfinished = await self._unfinished({vendor.uid for vendor in vendors})
            for vendor in vendors:
                vendor.waits_for = unfinished.get(vendor.uid)
            if not unfinished or time.monotonic() >= end:
                return
            await asyncio.sleep(POLL_S)

    async def _unfinished(self, vendor_uids: set[str]) -> dict[str, str]:
        """Return what the vendors' campaigns have still under way."""
        if not vendor_uids:
            return {}
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hgetall(keys.CAMPAIGNS)
        pipeline.hgetall(keys.LEDGERS)
        listed, ledgers = cast("tuple[Hash, Hash]", tuple(await pipeline.execute()))
        campaigns = [
            (campaign.decode(), vendor.decode())
            for campaign, vendor in {**listed, **ledgers}.items()
            if vendor.decode() in vendor_uids and vendor_of_replies(campaign.decode()) is None
        ]
        for campaign, _ in campaigns:
            pipeline.hlen(keys.ledger(campaign))
            pipeline.exists(keys.claims(campaign))
            pipeline.exists(keys.lease(campaign_lease(campaign)))
        answers = await pipeline.execute() if campaigns else []
        found: dict[str, str] = {}
        for place, (campaign, vendor) in enumerate(campaigns):
            rows, claims, held = answers[3 * place : 3 * place + 3]
            if rows or claims or held:
                holder = "a worker ends it" if held else "no worker has it"
                found[vendor] = f"campaign {campaign}: {rows} rows to be settled; {holder}"
        return found

    async def _wait_for_inbox(self, vendors: list[_Vendor], end: float) -> None:
        """Wait until what the vendors' inboxes hold is with PHP; it goes there in any case."""
        while True:
            waiting = await self._waiting(vendors)
            if not any(waiting.values()) or time.monotonic() >= end:
                break
            await asyncio.sleep(POLL_S)
        for vendor in vendors:
            if (count := waiting[vendor.uid]) and vendor.waits_for is None:
                vendor.waits_for = f"{count} webhooks that the workers still hand to PHP"

    async def _waiting(self, vendors: Iterable[_Vendor]) -> dict[str, int]:
        vendors = list(vendors)
        pipeline = self._redis.pipeline(transaction=False)
        for vendor in vendors:
            for lane in Lane:
                pipeline.hget(keys.waiting(lane), vendor.uid)
        counts = [max(0, int(count or 0)) for count in await pipeline.execute()]
        size = len(Lane)
        return {
            vendor.uid: sum(counts[size * place : size * place + size])
            for place, vendor in enumerate(vendors)
        }


def _directions(
    vendors: list[_Vendor], campaigns: Mode | None
) -> tuple[list[_Vendor], list[_Vendor]]:
    """Return whose campaigns come to the sidecar, and whose leave it."""
    if campaigns is Mode.SIDECAR:
        return [v for v in vendors if v.modes.campaigns is not Mode.SIDECAR], []
    if campaigns in NOT_SENDING:
        return [], [v for v in vendors if v.modes.campaigns not in NOT_SENDING]
    return [], []


def _changes(modes: Modes, change: ModeChange) -> bool:
    pairs = (
        (modes.webhooks, change.webhooks),
        (modes.campaigns, change.campaigns),
        (modes.bots, change.bots),
    )
    return any(wanted is not None and wanted is not now for now, wanted in pairs)
