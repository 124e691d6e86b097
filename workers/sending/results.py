"""Outcomes of sends: into the ledger as soon as they are known, and to PHP in batches."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from contracts import backend as contract
from contracts.backend import SendResult
from sidecar.logs import LogOnce
from sidecar.php.bisect import Bisection
from sidecar.php.breaker import Breaker
from sidecar.php.client import Backend
from sidecar.redis.client import AnyRedisError
from sidecar.spans import SPANS, linked
from sidecar.tasks import cancel
from workers.sending.ledger import Ledger

#: Writes to the ledger begin this far apart, at least: outcomes that come in between are written
#: together, for a round trip costs more than a send. It is less than an answer takes, so a process
#: that is killed leaves hardly more rows of unknown outcome.
GATHER_S = 0.02
#: So many results go to PHP before their time, if the last ones went so long ago.
ENOUGH = 500
LEAST_WAIT_S = 0.1

#: Tells PHP outcomes, alone or many, and returns what it says of each, by the row's uid. Raises
#: ``BackendError``.
Tell = Callable[[list[SendResult], bool], Awaitable[list[contract.UpdateResult]]]


def tell_php(backend: Backend) -> Tell:
    """Return what tells PHP of outcomes; one that it has failed on, in a call of its own."""

    async def tell(part: list[SendResult], halved: bool) -> list[contract.UpdateResult]:
        with linked(SPANS.ids_of_all([result.uid for result in part])):
            return await _told(backend, part, alone=halved and len(part) == 1)

    return tell


async def _told(
    backend: Backend, part: list[SendResult], *, alone: bool
) -> list[contract.UpdateResult]:
    if alone:
        path = contract.UPDATE_MESSAGE_STATUS
        answer = await backend.call(path, part[0], contract.UpdateResult)
        return [answer.model_copy(update={"id": part[0].uid})]
    answers = await backend.call(
        contract.UPDATE_MESSAGE_STATUSES,
        contract.UpdateMessageStatusesRequest(results=part),
        contract.UpdateMessageStatusesAnswer,
    )
    return answers.results


class Reporter:
    """Reports the outcomes of one campaign's sends, by ``tell``.

    An outcome is written to the ledger at once if the last write began :data:`GATHER_S` ago or
    earlier, and else with all others that have come by then. If Redis does not take it, PHP is told
    all the same: what this process knows, it knows.
    """

    def __init__(self, tell: Tell, ledger: Ledger, *, wait_s: float) -> None:
        self._tell = tell
        self._ledger = ledger
        self._wait_s = wait_s
        self._fresh: list[SendResult] = []
        self._known: dict[str, SendResult] = {}
        self._something = asyncio.Event()
        self._last = asyncio.Event()
        self._enough = asyncio.Event()
        self._breaker = Breaker("php.results.unavailable")
        self._outage = LogOnce("php.results.rejected")
        self._redis_outage = LogOnce("ledger.results_not_written")
        self._writer: asyncio.Task[None] | None = None
        self._teller: asyncio.Task[None] | None = None

    def wait_for(self, wait_s: float) -> None:
        """Let outcomes wait that long for others from now on."""
        if wait_s < self._wait_s:
            self._enough.set()
        self._wait_s = wait_s

    def start(self) -> None:
        self._writer = asyncio.create_task(self._write_ledger(), name="reporter ledger")
        self._teller = asyncio.create_task(self._tell_php(), name="reporter")

    def add(self, result: SendResult) -> None:
        """Report an outcome, soon."""
        self._fresh.append(result)
        self._something.set()

    def add_known(self, results: list[SendResult]) -> None:
        """Report outcomes that are in the ledger already."""
        self._known.update((result.uid, result) for result in results)

    @property
    def unreported(self) -> int:
        """How many outcomes PHP does not have yet."""
        return len(self._fresh) + len(self._known)

    async def flush(self, timeout_s: float) -> None:
        """Report what there is, for at most so long; the ledger keeps what PHP did not take."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.unreported:
                    await self._write_fresh()
                    if not await self._tell_once():
                        await asyncio.sleep(max(0.05, self._breaker.wait_s))

    async def finish(self, timeout_s: float) -> None:
        """Stop, and report what is left, for at most so long. A report that is under way is better
        ended than made again."""
        end = time.monotonic() + timeout_s
        self._last.set()
        self._enough.set()
        if self._teller is not None:
            await asyncio.wait([self._teller], timeout=timeout_s / 2)
        await self.stop()
        await self.flush(end - time.monotonic())

    async def stop(self) -> None:
        """Report nothing more."""
        await cancel([self._writer, self._teller])

    async def _write_ledger(self) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            next_at = time.monotonic() + GATHER_S
            await self._write_fresh()
            await asyncio.sleep(next_at - time.monotonic())

    async def _write_fresh(self) -> None:
        fresh = list(self._fresh)
        if not fresh:
            return
        try:
            await self._ledger.known(fresh)
        except AnyRedisError as error:
            self._redis_outage.failed(str(error))
        else:
            self._redis_outage.worked()
        # Not before: what PHP is told stands in the ledger, or a successor would call it unknown;
        # and a write that is broken off is made again.
        del self._fresh[: len(fresh)]
        self._known.update((result.uid, result) for result in fresh)
        if len(self._known) >= ENOUGH:
            self._enough.set()

    async def _tell_php(self) -> None:
        while True:
            least_s = max(min(self._wait_s, LEAST_WAIT_S), self._breaker.wait_s)
            await _wait(self._last, least_s)
            await _wait(self._enough, self._wait_s - least_s)
            if self._last.is_set():
                return
            self._enough.clear()
            if await self._tell_once() and len(self._known) >= ENOUGH:
                self._enough.set()  # PHP was away, and takes them again

    async def _tell_once(self) -> bool:
        """Tell PHP all that is known. Return whether it took any of it."""
        batch = list(self._known.values())[: contract.MAX_BATCH]
        return not batch or await self._tell_parts(batch)

    async def _tell_parts(self, batch: list[SendResult]) -> bool:
        """Tell PHP, and return whether it took anything. Where it fails as a whole, it may be a
        single result that it fails on: then it is told the halves."""
        worked = answered = False
        wanted_again = ""

        async def ask(part: list[SendResult]) -> None:
            nonlocal worked, answered, wanted_again
            answers = await self._tell(part, len(part) < len(batch))
            taken = {r.id for r in answers if r.result in ("done", "ignored")}
            worked |= bool(taken)
            answered |= bool(answers)
            await self._drop(part, taken)
            if again := [r.reason for r in answers if r.id not in taken]:
                wanted_again = f"PHP wants results again: {again[0]}"

        search = Bisection(ask)
        await search.run(batch)
        self._note(worked, answered, search.reason or wanted_again)
        return worked

    def _note(self, worked: bool, answered: bool, reason: str) -> None:
        if worked:
            self._breaker.worked()
        elif answered:
            self._breaker.back_off()
        else:
            self._breaker.failed(reason or "PHP gave no answer for any of them")
            return
        if reason:
            self._outage.failed(reason)
        else:
            self._outage.worked()

    async def _drop(self, batch: list[SendResult], taken: set[str]) -> None:
        told = [r for r in batch if r.uid in taken and self._known.get(r.uid) is r]
        if not told:
            return
        try:
            await self._ledger.settled(told)
        except AnyRedisError as error:
            # The entry stays; whoever reads it reports again, and PHP has it already.
            self._redis_outage.failed(str(error))
        # Not before: whoever is broken off here tells PHP again, and drops the entries then.
        for result in told:
            if self._known.get(result.uid) is result:
                del self._known[result.uid]


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    """Wait for an event, for at most so long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
