"""Tells PHP how far Redis has come, and lets no Redis send that has gone back in time.

Every worker that sends tells PHP the highest number that it has seen
(``sidecar/sending/epoch.py``): its claims and results take it along, and when there are none for a
while, a request of its own. When Redis was restarted or has failed over, each compares; the first
to finish says so to Redis in one script (``compared.lua``), and everybody goes on. Whoever dies
before that has done nothing that the next one does not do again.

The comparison does not wait for calls to PHP that are under way: what PHP names again
``put_effects.lua`` leaves out, and what it names for the first time nobody can have sent.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from socket import gethostname

import structlog

from contracts import backend as contract
from contracts.effects import EffectKind
from contracts.modes import ModesAnswer, ModesRequest
from sidecar.effects.outbox import replies_of
from sidecar.logs import LogOnce
from sidecar.ops.audit import Audit, Who
from sidecar.php.client import Backend, BackendError, BackendMissing
from sidecar.redis import keys
from sidecar.redis.client import AnyRedisError, Redis, reason_of, script
from sidecar.redis.lease import Leases
from sidecar.sending.epoch import Begun, Epoch, Why, read_epoch, remember_failover
from sidecar.settings import MissingReplicas, Settings

log = structlog.get_logger()

#: Who holds it compares.
LEASE = "epoch"
#: PHP is told by a request of its own when no other has told it for so long: results go once a
#: second, so this is when none come.
QUIET_S = 1.5
#: How often it is looked whether that is so, and whether Redis is another run.
LOOK_S = 0.25
COMPARE_S = 1.0
#: How long a new run of Redis waits to be compared: longer than any worker that lives takes to tell
#: PHP what it has seen of the one before.
HEAR_S = 2.5
#: How far fencing tokens may be ahead of the last write that is known of: clocks differ.
AHEAD_MS = 10_000


class EpochWatch:
    """``begun`` is this process's. Run both :meth:`keep_telling` and :meth:`keep_comparing`: a
    Redis that hangs is to keep nobody from telling PHP."""

    def __init__(
        self, settings: Settings, redis: Redis, backend: Backend, leases: Leases, begun: Begun
    ) -> None:
        self._redis = redis
        self._leases = leases
        self._backend = backend
        self._begun = begun
        self._audit = Audit(redis, settings.audit_entries)
        self._settings = settings
        self._compared = script(redis, "sending/compared")
        self._run = ""
        self._seen_at = 0.0
        self._redis_outage = LogOnce("epoch.redis_unavailable")
        self._php_outage = LogOnce("epoch.php_unavailable")

    async def keep_telling(self) -> None:
        """Tell PHP until cancelled."""
        await self._again(self.tell, LOOK_S)

    async def keep_comparing(self) -> None:
        """Compare until cancelled."""
        await self._again(self.compare, COMPARE_S)

    async def _again(self, step: Callable[[], Awaitable[None]], every_s: float) -> None:
        while True:
            try:
                await step()
            except BackendError as error:
                self._php_outage.failed(str(error))
            except AnyRedisError as error:
                self._redis_outage.failed(reason_of(error))
            except Exception:
                # Whatever it was: nobody would ever send again.
                log.exception("epoch.failed")
            await asyncio.sleep(every_s)

    async def tell(self) -> None:
        """Tell PHP how far Redis has come, if this process has sent since and nothing has told."""
        if self._begun.is_news(QUIET_S):
            await self._ask()

    async def compare(self) -> None:
        """Compare Redis with PHP if it is another run, and let it send."""
        epoch = await self._read()
        if not epoch.unchecked:
            return
        if self._run != epoch.run:
            self._run, self._seen_at = epoch.run, time.monotonic()
            log.warning("redis.unchecked", run=epoch.run)
            if epoch.failed_over:
                await remember_failover(self._redis)
            if self._begun.is_news(0.0):
                with suppress(BackendMissing):
                    await self._ask()  # another worker may be about to compare
        if time.monotonic() - self._seen_at < HEAR_S:
            return
        # One at a time: what PHP asks for after the first has let Redis send is not to be called
        # unknown by a second.
        async with self._leases.hold(LEASE) as lease:
            if lease is not None and (epoch := await self._read()).unchecked:
                await self._settle(epoch)

    async def _read(self) -> Epoch:
        epoch = await read_epoch(self._redis)
        self._redis_outage.worked()
        return epoch

    async def _settle(self, epoch: Epoch) -> None:
        try:
            known = await self._ask()
            why = self._why(epoch, known)
            if why is not None:
                known = await self._ask(settle_pending=True)
        except BackendMissing:
            known = await self._of_older_package()
            why = self._why(epoch, known)
        done, rows, replies = await self._let_send(epoch, known, why)
        if done:
            await self._record(why, rows, replies, known.made_unknown)

    def _why(self, epoch: Epoch, known: contract.EpochAnswer) -> Why | None:
        if known.epoch > epoch.begun:
            return Why.BEHIND
        return Why.FAILOVER if epoch.failed_over and not _in_sync(self._settings) else None

    async def _ask(self, *, settle_pending: bool = False) -> contract.EpochAnswer:
        """Tell PHP what this process knows, and return what PHP knows."""
        number, at = self._begun.telling()
        request = contract.EpochRequest(epoch=number, at=at, settle_pending=settle_pending)
        known = await self._backend.call(contract.EPOCH, request, contract.EpochAnswer)
        self._php_outage.worked()
        self._begun.told(number)
        return known

    async def _of_older_package(self) -> contract.EpochAnswer:
        """Return what this process knows, for a package that keeps no epoch. Raises if it is not
        one: a page of the wrong site is a 404 too, and would let Redis send what was sent."""
        await self._backend.call(contract.MODES, ModesRequest(), ModesAnswer)
        self._php_outage.worked()
        return contract.EpochAnswer(epoch=self._begun.number, at=self._begun.at)

    async def _let_send(
        self, epoch: Epoch, known: contract.EpochAnswer, why: Why | None
    ) -> tuple[bool, int, int]:
        """Return whether this was the first to say so, and how many rows and replies count as being
        sent."""
        done, *counts = await self._compared(
            keys=[
                *(keys.EPOCH, keys.LEDGERS, keys.CAMPAIGNS, keys.ROWS, keys.VENDORS),
                *(keys.outbox(EffectKind.SEND_MESSAGE), keys.MEMORY_SINCE),
            ],
            args=[
                *(epoch.run, epoch.begun, known.epoch, known.at or 0, why or "", str(uuid.uuid4())),
                *(AHEAD_MS, keys.ledger(""), keys.claims("")),
                keys.outbox_of(EffectKind.SEND_MESSAGE, ""),
                *(keys.counters(""), replies_of("")),
            ],
        )
        rows, replies = counts or (0, 0)
        return done == 1, rows, replies

    async def _record(self, why: Why | None, rows: int, replies: int, messages: int) -> None:
        if why is None:
            log.info("redis.compared")
            return
        found = {"rows": rows, "replies": replies, "messages": messages}
        log.error("redis.went_back", why=why, **found)
        who = Who("worker", gethostname())
        await self._audit.record(who, "redis.went_back", "", why, **found)


def _in_sync(settings: Settings) -> bool:
    """Tell whether a replica that takes over has every write of rows that were sent."""
    refuses = settings.redis_replicas_missing is MissingReplicas.REFUSE
    return settings.redis_replicas_in_sync > 0 and refuses
