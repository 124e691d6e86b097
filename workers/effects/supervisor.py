"""Supervises the effect runners of one process: one for each vendor and kind with effects due."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

import structlog

from contracts.backend import VendorConfig
from contracts.effects import EffectKind
from contracts.jobs import Job, do_effects
from sidecar.clock import now_ms
from sidecar.effects.outbox import Outbox, effects_lease
from sidecar.logs import LogOnce
from sidecar.php.client import BackendError
from sidecar.redis.client import AnyRedisError
from sidecar.redis.lease import Lease, Leases
from sidecar.tasks import cancel
from workers.effects.handler import Handler
from workers.effects.runner import EffectRun
from workers.sending.pipeline import SendingFailed
from workers.sending.replies import ReplyRun
from workers.sending.services import Services

log = structlog.get_logger()

Key = tuple[EffectKind, str]

#: How often PHP is asked at most whether a change of a vendor's settings explains a refusal.
ASK_AGAIN_S = 5.0


class VendorConfigs(Protocol):
    """What PHP says of vendors (``sidecar/php/vendors.py``)."""

    async def get(self, key: str) -> VendorConfig | None:
        """Raises ``BackendError`` if PHP has never told of the vendor and does not now."""
        ...

    async def get_since(self, key: str, since: float) -> VendorConfig | None: ...

    def watch(
        self, vendor_uid: str, told: Callable[[VendorConfig | None], None]
    ) -> AbstractContextManager[None]: ...


class EffectRuns:
    """``wake_other`` wakes a process that does effects; it is None where this one does them."""

    def __init__(
        self,
        services: Services,
        outbox: Outbox,
        leases: Leases,
        handlers: Mapping[EffectKind, Handler],
        vendors: VendorConfigs,
        wake_other: Callable[[Job], None] | None = None,
    ) -> None:
        self._services = services
        self._outbox = outbox
        self._leases = leases
        self._handlers = handlers
        self._vendors = vendors
        self._wake_other = wake_other
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._runs: dict[Key, ReplyRun | EffectRun] = {}
        self._outages: dict[Key, LogOnce] = {}
        self._again: set[Key] = set()
        #: When PHP was asked last whether a vendor's settings have changed (``time.monotonic``).
        self._asked: dict[str, float] = {}

    async def config_since(self, vendor_uid: str, since: float) -> VendorConfig | None:
        """Return what PHP says of a vendor, as of then or later. Raises ``BackendError``. PHP is
        asked once in :data:`ASK_AGAIN_S`, however much of the vendor's is refused meanwhile."""
        asked = self._asked.get(vendor_uid)
        if asked is not None and time.monotonic() - asked < ASK_AGAIN_S:
            since = min(since, asked)
        else:
            self._asked[vendor_uid] = time.monotonic()
        return await self._vendors.get_since(vendor_uid, since)

    def wake(self, kind: EffectKind, vendor_uid: str) -> None:
        """Run a vendor's effects, or wake a process that does."""
        if self._wake_other is None:
            self.begin(kind, vendor_uid)
        else:
            self._wake_other(do_effects(kind, vendor_uid))

    @property
    def stopping(self) -> bool:
        """Whether the process is to end, or leaves its work to others."""
        return self._services.stopping.is_set() or self._services.aside.is_set()

    def begin(self, kind: EffectKind, vendor_uid: str) -> None:
        """Run a vendor's effects of a kind, unless another process does. Returns at once."""
        key = (kind, vendor_uid)
        if run := self._runs.get(key):
            run.poke()
        elif key in self._tasks:
            self._again.add(key)
        elif not self.stopping:
            task = asyncio.create_task(self._do(key), name=f"effects {kind} {vendor_uid}")
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))

    async def close(self, timeout_s: float) -> None:
        """Stop all runners when the process ends; what is left is in the outbox."""
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=timeout_s)
        await cancel(list(self._tasks.values()))
        for handler in self._handlers.values():
            await handler.close()

    def _ended(self, key: Key, task: asyncio.Task[None]) -> None:
        del self._tasks[key]
        if key in self._again:
            self._again.discard(key)
            self.begin(*key)
        if not task.cancelled() and (error := task.exception()):
            log.error("effects.failed", kind=key[0].value, vendor=key[1], exc_info=error)

    async def _do(self, key: Key) -> None:
        kind, vendor_uid = key
        outage = self._outages.setdefault(
            key, LogOnce("effects.not_done", kind=kind.value, vendor=vendor_uid)
        )
        try:
            while await self._held(key):
                self._again.discard(key)
                due_at = await self._outbox.next_due_at(kind, vendor_uid)
                if self.stopping or due_at is None or due_at > now_ms():
                    break
        except (BackendError, SendingFailed, *AnyRedisError) as error:
            outage.failed(str(error))
            return
        outage.worked()
        self._outages.pop(key, None)

    async def _held(self, key: Key) -> bool:
        """Run them, if nobody else does. Return whether it was done here."""
        async with self._leases.hold(effects_lease(*key)) as lease:
            if lease is None:
                return False
            config = await self._vendors.get(key[1])
            if config is None:
                raise BackendError("PHP knows no such vendor")
            run = self._make(key[0], config, lease)
            self._runs[key] = run
            try:
                with self._vendors.watch(key[1], run.follow):
                    await run.run()
            finally:
                del self._runs[key]
            return not lease.lost.is_set()

    def _make(self, kind: EffectKind, config: VendorConfig, lease: Lease) -> ReplyRun | EffectRun:
        if kind is EffectKind.SEND_MESSAGE:
            return ReplyRun(self._services, self._outbox, config, lease)
        handler = self._handlers[kind]
        return EffectRun(self._services.settings, self._outbox, handler, config, lease, owner=self)
