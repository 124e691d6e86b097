"""Tells PHP how far Redis has come, and lets no Redis send that has gone back in time.

Every worker that sends tells PHP once a second the highest number that it has seen
(``sidecar/sending/epoch.py``). When Redis was restarted or has failed over, each compares; the
first to finish says so to Redis in one script (``compared.lua``), and everybody goes on. Whoever
dies before that has done nothing that the next one does not do again.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from socket import gethostname

import structlog

from contracts import backend as contract
from contracts.effects import EffectKind
from sidecar.effects.outbox import replies_of
from sidecar.logs import LogOnce
from sidecar.ops.audit import Audit, Who
from sidecar.php.client import Backend, BackendError, BackendMissing
from sidecar.redis import keys
from sidecar.redis.client import AnyRedisError, Redis, reason_of, script
from sidecar.sending.epoch import Begun, Epoch, Why, read_epoch
from sidecar.settings import MissingReplicas, Settings

log = structlog.get_logger()

#: How often PHP is told, while rows are sent, and it is looked whether Redis is another run.
TELL_S = 1.0
#: How long a new run of Redis waits to be compared: longer than any worker that lives takes to tell
#: PHP what it has seen of the one before.
HEAR_S = 2.5
#: How long it takes at most to put into the outbox what PHP has answered.
PUT_S = 1.0
#: How far fencing tokens may be ahead of the last write that is known of, by a host's clock.
AHEAD_MS = 10_000


class EpochWatch:
    """``begun`` is this process's."""

    def __init__(self, settings: Settings, redis: Redis, backend: Backend, begun: Begun) -> None:
        self._redis = redis
        self._backend = backend
        self._begun = begun
        self._audit = Audit(redis, settings.audit_entries)
        self._settings = settings
        self._compared = script(redis, "sending/compared")
        self._told = 0
        self._run = ""
        self._seen_at = 0.0
        self._redis_outage = LogOnce("epoch.redis_unavailable")
        self._php_outage = LogOnce("epoch.php_unavailable")

    async def run(self) -> None:
        """Watch until cancelled. A Redis that hangs keeps nobody from telling PHP."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._again(self.tell))
            group.create_task(self._again(self.compare))

    async def _again(self, step: Callable[[], Awaitable[None]]) -> None:
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
            await asyncio.sleep(TELL_S)

    async def tell(self) -> None:
        """Tell PHP how far Redis has come, if this process has sent since."""
        if self._begun.number > self._told:
            await self._ask()

    async def compare(self) -> None:
        """Compare Redis with PHP if it is another run, and let it send."""
        epoch = await read_epoch(self._redis)
        self._redis_outage.worked()
        if not epoch.unchecked:
            return
        if self._run != epoch.run:
            self._run, self._seen_at = epoch.run, time.monotonic()
            log.warning("redis.unchecked", run=epoch.run)
        if time.monotonic() - self._seen_at < HEAR_S:
            return
        known = await self._ask()
        why = self._why(epoch, known)
        if why is not None:
            known = await self._ask(settle_pending=True)
            await self._let_calls_end()
        done, rows, replies = await self._let_send(epoch, known, why)
        if done:
            await self._record(why, rows, replies, known.made_unknown)

    async def _let_calls_end(self) -> None:
        """Wait until what PHP named before it settled what is pending is in the outbox: it may have
        been sent."""
        await asyncio.sleep(self._settings.backend_timeout_s + PUT_S)

    def _why(self, epoch: Epoch, known: contract.EpochAnswer) -> Why | None:
        if known.epoch > epoch.begun:
            return Why.BEHIND
        return Why.FAILOVER if epoch.failed_over and not _in_sync(self._settings) else None

    async def _ask(self, *, settle_pending: bool = False) -> contract.EpochAnswer:
        """Tell PHP what this process knows, and return what PHP knows."""
        number, at = self._begun.number, self._begun.at
        request = contract.EpochRequest(epoch=number, at=at, settle_pending=settle_pending)
        try:
            known = await self._backend.call(contract.EPOCH, request, contract.EpochAnswer)
        except BackendMissing:
            known = contract.EpochAnswer(epoch=number, at=at)
        self._php_outage.worked()
        self._told = number
        return known

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
