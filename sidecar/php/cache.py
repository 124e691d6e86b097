"""What PHP knows, asked for many keys at a time and kept in memory."""

import asyncio
import math
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

import structlog

from sidecar.logs import LogOnce
from sidecar.php.bisect import MAX_FAILURES, Bisection
from sidecar.php.client import BackendError, BackendFailed, BackendUnavailable
from sidecar.php.expiring_map import ExpiringMap
from sidecar.tasks import cancel

log = structlog.get_logger()

#: After PHP gave no answer about a key, for how long it is not asked again.
RETRY_S = 1.0

#: What is asked for while a request is under way waits at most so long for it to end, and then goes
#: in one of its own, beside it.
PATIENCE_S = 0.2
MAX_AT_ONCE = 4

#: So many keys are remembered of which PHP knows nothing, or has not answered.
MAX_NOTES = 50_000

#: What nobody has used is looked for so often.
SWEEP_S = 60.0

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(slots=True)
class _Known(Generic[Value]):
    value: Value
    fresh_until: float
    used_at: float
    asked_at: float = -math.inf


class RemoteCache(ABC, Generic[Key, Value]):
    """Values by key, as PHP has them. Belongs to one event loop.

    What is asked for in one turn of the loop, or while a request is under way, shares the next
    request, of up to ``batch`` keys. A value that has become old is used while a new one is
    fetched, and for as long as PHP is down; only the first question about a key waits. What PHP
    says has changed is fetched again at once, and again until PHP answers (:meth:`renew`).

    What nobody has used for ``keep_s`` is dropped, though not while PHP is down. ``event`` is what
    is logged then.
    """

    def __init__(
        self,
        event: str,
        *,
        batch: int,
        ttl_s: float,
        unknown_ttl_s: float,
        keep_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._event = event
        self._batch = batch
        self._ttl_s = ttl_s
        self._keep_s = keep_s
        self._clock = clock
        self._known: dict[Key, _Known[Value]] = {}
        self._unknown: ExpiringMap[Key] = ExpiringMap(unknown_ttl_s, clock, MAX_NOTES)
        self._failed: ExpiringMap[Key] = ExpiringMap(RETRY_S, clock, MAX_NOTES)
        self._asked: dict[Key, asyncio.Future[Value | None]] = {}
        self._wanted: OrderedDict[Key, None] = OrderedDict()  # asked, and in no request yet
        self._changed: set[Key] = set()
        self._loads: set[asyncio.Task[None]] = set()
        self._loader: asyncio.Task[None] | None = None
        self._swept_at = clock()
        self._outage = LogOnce(event)
        #: Grows when PHP says that something has changed.
        self.version = 0

    @abstractmethod
    async def load(self, wanted: list[Key]) -> Mapping[Key, Value]:
        """Ask PHP. What it does not name does not exist. Raises :class:`BackendError`."""

    # -- questions --

    def peek(self, key: Key) -> tuple[bool, Value | None]:
        """Return (True, the value or None if there is no such thing), or (False, None) if PHP has
        not been asked yet. Never waits; an old value is renewed behind the caller's back."""
        known = self._known.get(key)
        if known is None:
            return self._unknown.get(key) is not None, None
        known.used_at = self._clock()
        if known.used_at >= known.fresh_until:
            self.want(key)
        return True, known.value

    async def get(self, key: Key) -> Value | None:
        """Return the value, or None if there is no such thing. Raises :class:`BackendError` if PHP
        has never answered for this key and does not now."""
        found, value = self.peek(key)
        if found:
            return value
        if reason := self._failed.get(key):
            raise BackendUnavailable(reason)
        question = self._ask(key)
        if key in self._wanted:
            self._wanted.move_to_end(key, last=False)  # somebody waits for it
        return await asyncio.shield(question)

    async def get_since(self, key: Key, since: float) -> Value | None:
        """Return the value as PHP has had it at ``since`` (of the clock) or later, or None if there
        is no such thing. Questions that come together share a request. Raises
        :class:`BackendError` if PHP does not answer, or has just not answered."""
        since = min(since, self._clock())
        while True:
            known = self._known.get(key)
            if known is not None and known.asked_at >= since:
                known.used_at = self._clock()
                return known.value
            if reason := self._failed.get(key):
                raise BackendUnavailable(reason)
            if await asyncio.shield(self._ask(key)) is None:
                return None

    def want(self, key: Key) -> None:
        """Have PHP asked, and do not wait. Nothing happens where it has just failed."""
        if self._failed.get(key) is None:
            self._ask(key)

    # -- changes --

    def forget(self, changed: Iterable[Key] | None) -> None:
        """Have PHP asked again for what has changed, at once; None means everything. Until it
        answers the old values stay in use."""
        self.version += 1
        if changed is None:
            changed = [*self._known, *self._asked]
            self._unknown.clear()
            self._failed.clear()
        now = self._clock()
        for key in changed:
            self._unknown.drop(key)
            self._failed.drop(key)
            if known := self._known.get(key):
                known.fresh_until = now
            elif key not in self._asked:
                continue
            # An answer that is on its way may be from before the change.
            self._changed.add(key)
        self.renew()

    def forget_unknown(self) -> None:
        """Have PHP asked again for what it did not know."""
        self._unknown.clear()

    def renew(self) -> None:
        """Ask for what has changed and has not been answered since, where it did not just fail."""
        for key in self._changed:
            if key not in self._asked:
                self.want(key)

    def put(self, key: Key, value: Value, version: int) -> None:
        """Take a value that came with another answer, which was asked for at ``version``."""
        if version == self.version:
            self._store(key, value)

    async def close(self) -> None:
        """Ask nothing more. Whoever waits is cancelled."""
        await cancel([self._loader, *self._loads])
        for question in self._asked.values():
            question.cancel()
        self._asked.clear()
        self._wanted.clear()

    # -- requests --

    def _ask(self, key: Key) -> asyncio.Future[Value | None]:
        question = self._asked.get(key)
        if question is None:
            question = self._asked[key] = asyncio.get_running_loop().create_future()
            self._enqueue(key)
        return question

    def _enqueue(self, key: Key) -> None:
        self._wanted[key] = None
        if self._loader is None or self._loader.done():
            self._loader = asyncio.create_task(self._run(), name=self._event)

    async def _run(self) -> None:
        """Make requests until nothing is wanted: one after another, and beside one that takes
        long."""
        await asyncio.sleep(0)  # what else is asked for in this turn of the loop
        while self._wanted:
            if len(self._loads) >= MAX_AT_ONCE:
                await asyncio.wait(self._loads, return_when=asyncio.FIRST_COMPLETED)
                continue
            wanted = list(islice(self._wanted, self._batch))
            for key in wanted:
                del self._wanted[key]
            load = asyncio.create_task(self._load(wanted), name=self._event)
            self._loads.add(load)
            load.add_done_callback(self._loads.discard)
            await asyncio.wait([load], timeout=PATIENCE_S)

    async def _load(self, wanted: list[Key], max_failures: int = MAX_FAILURES) -> None:
        """Answer these questions, whatever happens. One key that PHP fails on does not spoil the
        others: they are asked for without it."""
        search = Bisection(self._ask_php, cut_timeouts=False, max_failures=max_failures)
        await search.run(wanted)
        for part, error in [*search.given_up, *(([key], error) for key, error in search.alone)]:
            self._fail(part, error)

    async def _ask_php(self, part: list[Key]) -> None:
        changed = self._changed.intersection(part)
        self._changed -= changed
        asked_at = self._clock()
        try:
            found = await self.load(part)
        except BackendError:
            self._changed |= changed
            raise
        except Exception as error:  # a fault of ours, and nobody may wait for ever
            self._changed |= changed
            log.error(self._event, exc_info=error)
            raise BackendFailed(f"{type(error).__name__}: {error}") from None
        self._answer(part, found, asked_at)

    def _answer(self, wanted: Sequence[Key], found: Mapping[Key, Value], asked_at: float) -> None:
        for key in wanted:
            value = found.get(key)
            self._store(key, value)
            if known := self._known.get(key):
                known.asked_at = asked_at
            question = self._asked.pop(key)
            if not question.done():
                question.set_result(value)
        self._outage.worked()
        self._drop_unused()
        self.renew()

    def _store(self, key: Key, value: Value | None) -> None:
        self._failed.drop(key)
        if value is None:
            self._known.pop(key, None)
            self._unknown.add(key, "there is no such thing")
            return
        now = self._clock()
        before = self._known.get(key)
        self._unknown.drop(key)
        self._known[key] = _Known(
            value, fresh_until=now + self._ttl_s, used_at=before.used_at if before else now
        )

    def _fail(self, wanted: Sequence[Key], error: BackendError) -> None:
        reason = str(error)
        self._outage.failed(reason)
        if isinstance(error, BackendUnavailable):  # so it is for the others
            wanted = [*wanted, *self._wanted]
            self._wanted.clear()
        for key in wanted:
            self._failed.add(key, reason)
            question = self._asked.pop(key)
            if not question.done():
                question.set_exception(type(error)(reason))
                question.exception()  # retrieved here: a renewal has nobody to tell

    def _drop_unused(self) -> None:
        now = self._clock()
        if now < self._swept_at + SWEEP_S:
            return
        self._swept_at = now
        for key in [k for k, known in self._known.items() if known.used_at + self._keep_s < now]:
            del self._known[key]
            self._changed.discard(key)
