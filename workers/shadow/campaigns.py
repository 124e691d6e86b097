"""Comparing what the sidecar would have sent with what PHP's cron has, for vendors whose campaigns
are in shadow.

PHP is asked twice a second for rows that its crons have ended (:mod:`contracts.preview`), of all
these vendors at once; nothing is claimed. A row whose first status PHP has handled by then is gone,
and is not compared: few, as long as its webhook cron has 25 in a second. While no vendor's
campaigns are in shadow nothing is asked: modes are read again when somebody has changed them.
"""

import time
from collections import defaultdict
from typing import cast

import structlog

from contracts import backend as contract
from contracts.backend import VendorConfig
from contracts.modes import Mode, ModesAnswer, ModesRequest
from contracts.preview import PreviewedMessage, PreviewMessagesAnswer, PreviewMessagesRequest
from sidecar.clock import now_ms
from sidecar.logs import LogOnce
from sidecar.metrics import METRICS, SHADOW_EFFECTS
from sidecar.php.client import Backend
from sidecar.php.package import PackageTooOld, call_if_there
from sidecar.php.vendors import Vendors
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease
from sidecar.sending.recipients import name_of
from sidecar.sending.suppression import Suppressed
from sidecar.settings import Settings
from workers.shadow.planned import PlannedMessage
from workers.shadow.sends import compare_send
from workers.shadow.store import ShadowStore

log = structlog.get_logger()

#: How often PHP is asked, how many rows it looks at each time, and how many times in a row. What is
#: left is looked at next time: rows of all vendors may end at 80 a second, and of one in shadow.
EVERY_S = 0.5
PAGE = 500
MAX_PAGES = 5
#: A cron writes rows for longer than it tells when they ended: so far back is asked again. And at
#: the start.
OVERLAP_MS = 5_000
START_MS = 60_000
#: After so long modes are read again though nobody has announced a change.
MODES_S = 300.0


class CampaignShadow:
    """Belongs to whoever compares; a new one begins anew. ``active``: some vendor's campaigns are
    in shadow."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        backend: Backend,
        vendors: Vendors,
        store: ShadowStore,
    ) -> None:
        self._redis = redis
        self._backend = backend
        self._vendors = vendors
        self._store = store
        self._suppressed = Suppressed(redis, settings.suppress_s)
        self._package = LogOnce("shadow.campaigns_not_compared")
        self._version: bytes | None = None
        self._modes_until = 0.0
        self._next = 0.0
        #: Where PHP goes on (its ``next``); all that ended before this time has been looked at.
        self._after: str | None = None
        self._since: int | None = None
        #: When the first row that has ended since was asked for.
        self._began_ms = 0
        self.active = False

    async def look(self, lease: Lease) -> None:
        """Compare what has ended since the last look. Raises ``BackendError``."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY_S
        await self._read_modes()
        if not self.active:
            self._after = self._since = None
            return
        try:
            await self._look(lease)
            self._package.worked()
        except PackageTooOld as error:
            self._package.failed(str(error))
            self.active = False

    async def _read_modes(self) -> None:
        version = cast("bytes | None", await self._redis.get(keys.CONFIG_VERSION))
        if version == self._version and time.monotonic() < self._modes_until:
            return
        answer = await self._backend.call(contract.MODES, ModesRequest(), ModesAnswer)
        self.active = any(one.modes.campaigns is Mode.SHADOW for one in answer.vendors)
        self._version, self._modes_until = version, time.monotonic() + MODES_S

    async def _look(self, lease: Lease) -> None:
        for _ in range(MAX_PAGES):
            now = now_ms()
            after, self._after = self._after, None
            if after is None:
                self._began_ms = now
            since = now - START_MS if self._since is None else self._since - OVERLAP_MS
            request = PreviewMessagesRequest(ended_since=since, limit=PAGE, after=after)
            page = await call_if_there(
                self._backend, contract.PREVIEW_MESSAGES, request, PreviewMessagesAnswer
            )
            by_vendor: defaultdict[str, list[PreviewedMessage]] = defaultdict(list)
            for message in page.messages:
                by_vendor[message.vendor_uid].append(message)
            for vendor_uid, messages in by_vendor.items():
                await self._compare(lease, vendor_uid, messages, now)
            if page.looked_until is not None:
                # What was written late may lie where PHP had looked before.
                self._since = page.looked_until - (now - self._began_ms)
            self._after = page.next
            if self._after is None:
                break

    async def _compare(
        self, lease: Lease, vendor_uid: str, messages: list[PreviewedMessage], now: int
    ) -> None:
        config = await self._vendors.get(vendor_uid)
        if config is None or config.modes.campaigns is not Mode.SHADOW:
            return
        named = {f"{one.row.uid}/{one.row.retries}": one for one in messages}
        new = await self._store.not_compared(vendor_uid, list(named))
        if not new:
            return
        await self._record(lease, config, {name: named[name] for name in named if name in new}, now)

    async def _record(
        self, lease: Lease, config: VendorConfig, messages: dict[str, PreviewedMessage], now: int
    ) -> None:
        changes = self._store.changes(config.vendor_uid, now)
        people = [name_of(one.row.to or one.row.recipient or "") for one in messages.values()]
        suppressed = await self._suppressed.find(config.vendor_uid, people)
        findings = []
        for message, person in zip(messages.values(), people, strict=True):
            finding = compare_send(message, config, suppressed=person in suppressed)
            wamid = message.sent.wamid if message.sent else None
            changes.found(
                PlannedMessage(wamid or f"row {message.row.uid}", since=message.ended_at or now),
                finding,
            )
            findings.append(finding)
        changes.compared(list(messages))
        await changes.commit(lease)
        for finding in findings:
            METRICS.counter(SHADOW_EFFECTS, finding.kind.value, finding.class_.value).add()
