"""The effects that one process does: a run for each vendor and kind, while there is something."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from contracts.backend import VendorConfig
from contracts.effects import EffectKind
from contracts.jobs import Job, do_effects
from sidecar.clock import now_ms
from sidecar.effects.outbox import Outbox, effects_lease
from sidecar.logs import LogOnce
from sidecar.php.client import Backend, BackendError
from sidecar.redis.client import UNAVAILABLE, Redis, RedisError
from sidecar.redis.lease import Lease, Leases
from sidecar.settings import Settings
from sidecar.tasks import cancel
from workers.effects.handler import Handler
from workers.effects.runner import EffectRun
from workers.sending.cloud_api import CloudApi
from workers.sending.limiter import Limiter
from workers.sending.replies import ReplyRun

log = structlog.get_logger()

Key = tuple[EffectKind, str]


class EffectRuns:
    """``here``: whether this process does effects at all; otherwise it rings for one that does.
    ``config_of`` raises ``BackendError`` if PHP has never told of the vendor and does not now."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        backend: Backend,
        cloud_api: CloudApi,
        limiter: Limiter,
        outbox: Outbox,
        leases: Leases,
        handlers: Mapping[EffectKind, Handler],
        config_of: Callable[[str], Awaitable[VendorConfig | None]],
        wake: Callable[[Job], None],
        *,
        here: bool,
        stopping: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._redis = redis
        self._backend = backend
        self._cloud_api = cloud_api
        self._limiter = limiter
        self._outbox = outbox
        self._leases = leases
        self._handlers = handlers
        self._config_of = config_of
        self._wake_up = wake
        self._here = here
        self._stopping = stopping
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._runs: dict[Key, ReplyRun | EffectRun] = {}
        self._outages: dict[Key, LogOnce] = {}
        self._again: set[Key] = set()

    def wake(self, kind: EffectKind, vendor_uid: str) -> None:
        """Have a vendor's effects done, here if this process does them."""
        if self._here:
            self.begin(kind, vendor_uid)
        else:
            self._wake_up(do_effects(kind, vendor_uid))

    def begin(self, kind: EffectKind, vendor_uid: str) -> None:
        """Do a vendor's effects of a kind, unless another process does. Returns at once."""
        key = (kind, vendor_uid)
        if run := self._runs.get(key):
            run.poke()
        elif key in self._tasks:
            self._again.add(key)
        elif not self._stopping():
            task = asyncio.create_task(self._do(key), name=f"effects {kind} {vendor_uid}")
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))

    async def close(self, timeout_s: float) -> None:
        """End it all, once the process stops; what is left is in the outbox."""
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
                if self._stopping() or due_at is None or due_at > now_ms():
                    break
        except (BackendError, *UNAVAILABLE, RedisError) as error:
            outage.failed(str(error))
            return
        outage.worked()
        self._outages.pop(key, None)

    async def _held(self, key: Key) -> bool:
        """Do them, if nobody else does. Return whether it was done here."""
        async with self._leases.hold(effects_lease(*key)) as lease:
            if lease is None:
                return False
            config = await self._config_of(key[1])
            if config is None:
                raise BackendError("PHP knows no such vendor")
            run = self._make(key[0], config, lease)
            self._runs[key] = run
            try:
                await run.run()
            finally:
                del self._runs[key]
            return not lease.lost.is_set()

    def _make(self, kind: EffectKind, config: VendorConfig, lease: Lease) -> ReplyRun | EffectRun:
        if kind is EffectKind.SEND_MESSAGE:
            return ReplyRun(
                self._settings,
                self._redis,
                self._backend,
                self._cloud_api,
                self._limiter,
                self._outbox,
                config,
                lease,
                stopping=self._stopping,
            )
        return EffectRun(
            self._settings,
            self._outbox,
            self._handlers[kind],
            config,
            lease,
            wake=self.wake,
            stopping=self._stopping,
        )
