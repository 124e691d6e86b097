"""Runs a vendor's effects of one kind as they fall due."""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

import structlog

from contracts.backend import VendorConfig
from contracts.effects import EffectKind
from sidecar.clock import now_ms
from sidecar.effects.effect_states import EffectState
from sidecar.effects.outbox import Ended, Outbox, Queued, parse_effects
from sidecar.php.backoff import Backoff
from sidecar.php.breaker import Breaker
from sidecar.php.client import BackendError
from sidecar.redis.client import AnyRedisError
from sidecar.redis.lease import Lease, LeaseLost
from sidecar.settings import Settings
from sidecar.tasks import cancel
from workers.effects.handler import Again, Done, End, GivenUp, Handler

log = structlog.get_logger()

#: Maximum effects of a vendor in progress, and how many bytes they may take (but for one).
MAX_IN_HAND = 400
MAX_IN_HAND_BYTES = 8 * 1024 * 1024
#: How often the outbox is checked for effects that another process has added.
POLL_S = 0.05
#: Longest pause towards a server that only fails.
LONGEST_PAUSE_S = 60.0
#: After this many failed calls in a row the server is to blame, and not the effects.
ILL_AFTER_FAILURES = 3
#: How long PHP may take to say whether a setting has changed.
ASK_S = 3.0
#: How long effects in progress may take when the process stops. The others run again later.
STOP_S = 2.0


class Owner(Protocol):
    """Whoever has started a run."""

    @property
    def stopping(self) -> bool:
        """Whether the process is to end."""

    def wake(self, kind: EffectKind, vendor_uid: str) -> None:
        """Wakes the runner of a vendor's effects of a kind."""

    async def config_since(self, vendor_uid: str, since: float) -> VendorConfig | None:
        """Return what PHP says of a vendor, as of then (``time.monotonic``) or later; None: there
        is no such vendor. Raises ``BackendError``."""


class EffectRun:
    """Runs a vendor's effects with a handler, under their lease. Use once.

    A failed effect is retried after doubling pauses, and goes to the dead letters after a number of
    attempts. While all calls fail, they are made one at a time, after doubling pauses too: effects
    that wait meanwhile count no attempt.
    """

    def __init__(
        self,
        settings: Settings,
        outbox: Outbox,
        handler: Handler,
        config: VendorConfig,
        lease: Lease,
        owner: Owner,
    ) -> None:
        self._settings = settings
        self._outbox = outbox
        self._handler = handler
        self._config = config
        self._vendor_uid = config.vendor_uid
        self._lease = lease
        self._owner = owner
        self._breaker = Breaker(
            "effects.failing",
            first_s=1.0,
            longest_s=LONGEST_PAUSE_S,
            kind=handler.kind.value,
            vendor=config.vendor_uid,
        )
        self._redis_breaker = Breaker("effects.redis_unavailable", vendor=config.vendor_uid)
        self._waiting: dict[str, Queued] = {}
        self._in_flight: dict[str, asyncio.Task[None]] = {}
        self._sizes: dict[str, int] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._more = asyncio.Event()
        self._lease_lost = False
        self._failures = 0

    def follow(self, config: VendorConfig | None) -> None:
        """Take the vendor's current configuration; without one the old serves to the end."""
        self._config = config or self._config

    def poke(self) -> None:
        """Check the outbox now."""
        self._more.set()

    async def run(self) -> None:
        """Run what is due until nothing is, or the process stops or loses the lease."""
        try:
            while not (self._owner.stopping or self._lost()):
                await asyncio.sleep(self._redis_breaker.wait_s)
                self._more.clear()
                try:
                    await self._take()
                except AnyRedisError as error:
                    self._redis_breaker.failed(str(error))
                    continue
                self._start()
                if not (self._waiting or self._calls or self._redis_breaker.wait_s):
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await self._more.wait()
            if self._calls and not self._lost():
                await asyncio.wait(self._calls, timeout=STOP_S)
        finally:
            await cancel(list(self._calls))

    def _lost(self) -> bool:
        return self._lease_lost or self._lease.lost.is_set()

    async def _take(self) -> None:
        had = {*self._waiting, *self._in_flight}
        self._sizes = {one: size for one, size in self._sizes.items() if one in had}
        room = MAX_IN_HAND_BYTES - sum(self._sizes.values())
        if len(had) >= MAX_IN_HAND or room <= 0:
            return
        due = await self._outbox.due(
            self._handler.kind,
            self._vendor_uid,
            now_ms(),
            MAX_IN_HAND,
            in_hand=had,
            most_bytes=room,
        )
        for queued in due:
            self._waiting[queued.id] = queued
            self._sizes[queued.id] = queued.size
            self._handler.arrived(queued)

    def _start(self) -> None:
        at_once = self._handler.at_once if self._breaker.reason is None else 1
        while self._waiting and len(self._calls) < at_once and not self._breaker.wait_s:
            batch = list(self._waiting.values())[: self._handler.batch]
            task = asyncio.create_task(self._do(batch), name=f"effects {self._handler.kind}")
            for queued in batch:
                del self._waiting[queued.id]
                self._in_flight[queued.id] = task
            self._calls.add(task)
            task.add_done_callback(self._called)

    def _called(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._in_flight = {i: other for i, other in self._in_flight.items() if other is not task}
        self._more.set()
        if task.cancelled():
            return
        # What happened and is not written down comes again from the outbox.
        error = task.exception()
        if error is None:
            self._redis_breaker.worked()
        elif isinstance(error, LeaseLost):
            self._lease_lost = True
        else:
            if not isinstance(error, AnyRedisError):
                log.error("effects.failed", vendor=self._vendor_uid, exc_info=error)
            self._redis_breaker.failed(f"{type(error).__name__}: {error}")

    async def _do(self, batch: list[Queued]) -> None:
        fresh = [queued for queued in batch if not self._too_old(queued)]
        ends: dict[str, End] = {}
        if fresh:
            ended = await self._attempt(fresh)
            ends = {queued.id: end for queued, end in zip(fresh, ended, strict=True)}
            self._count_result(ended)
        await self._follow_up([end for end in ends.values() if isinstance(end, Done)])
        written = [self._ended(queued, ends.get(queued.id)) for queued in batch]
        await self._outbox.end(self._lease, self._handler.kind, self._vendor_uid, written)

    async def _attempt(self, batch: list[Queued]) -> list[End]:
        config, began_at = self._config, time.monotonic()
        try:
            ended = await self._handler.do(config, batch)
        except Exception as error:
            log.exception("effect.failed", kind=self._handler.kind, vendor=self._vendor_uid)
            return [Again(f"{type(error).__name__}: {error}") for _ in batch]
        if any(_is_refused(end) for end in ended) and await self._has_changed(config, began_at):
            ended = [_at_once(end) if _is_refused(end) else end for end in ended]
        return ended

    async def _has_changed(self, config: VendorConfig, since: float) -> bool:
        """Return whether PHP says otherwise now than it did for an attempt."""
        if self._config == config:
            try:
                async with asyncio.timeout(ASK_S):
                    self.follow(await self._owner.config_since(self._vendor_uid, since))
            except (BackendError, TimeoutError) as error:
                log.info("refusal.unexplained", vendor=self._vendor_uid, reason=str(error))
        return self._config != config

    def _too_old(self, queued: Queued) -> bool:
        if queued.kind is not EffectKind.BROADCAST:
            return False
        return now_ms() > queued.put_at + self._settings.broadcast_expiry_s * 1000

    def _count_result(self, ends: list[End]) -> None:
        failed = [end.reason for end in ends if isinstance(end, Again)]
        if len(failed) < len(ends):
            self._failures = 0
            self._breaker.worked()
            return
        self._failures += 1
        if self._failures >= ILL_AFTER_FAILURES:
            self._breaker.failed(failed[0])

    async def _follow_up(self, done: list[Done]) -> None:
        effects = parse_effects(self._vendor_uid, [one for end in done for one in end.effects])
        if not effects:
            return
        await self._outbox.put(self._vendor_uid, effects)
        for kind in {effect.kind for effect in effects}:
            self._owner.wake(kind, self._vendor_uid)

    def _ended(self, queued: Queued, end: End | None) -> Ended:
        match end:
            case None:
                return Ended(queued.id, EffectState.DROPPED)
            case Done():
                return Ended(queued.id, EffectState.DONE)
            case GivenUp():
                return self._dead(replace(queued, reason=end.reason))
        attempts = queued.attempts + int(end.counts)
        kept = replace(queued, attempts=attempts, reason=end.reason)
        if attempts >= self._settings.effect_max_attempts:
            return self._dead(kept)
        first_ms = self._settings.update_retry_first_ms
        backoff = Backoff(first_ms, self._settings.update_retry_longest_ms)
        pause_ms = int(backoff.pause(attempts))
        if end.after_s is not None:
            pause_ms = int(end.after_s * 1000)
        return Ended(queued.id, EffectState.WAITING, kept, now_ms() + pause_ms)

    def _dead(self, queued: Queued) -> Ended:
        log.error(
            "effect.given_up",
            kind=queued.kind.value,
            vendor=queued.vendor_uid,
            effect=queued.id,
            attempts=queued.attempts,
            reason=queued.reason,
        )
        return Ended(queued.id, EffectState.DEAD, queued)


def _is_refused(end: End) -> bool:
    return not isinstance(end, Done) and end.refused


def _at_once(end: End) -> End:
    assert not isinstance(end, Done)
    return Again(end.reason, after_s=0.0, counts=False)
