"""Delivers reports about effects to PHP: what AIs have answered, and what media was fetched."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel

from contracts import backend as contract
from contracts.backend import UpdateResult
from contracts.effects import AiAnswer, AiAnswersRequest, MediaReport, MediaRequest
from sidecar.php.bisect import Bisection
from sidecar.php.breaker import Breaker
from sidecar.php.client import Backend, BackendFailed, BackendUnavailable
from sidecar.tasks import cancel
from workers.effects.handler import Again, Done, End, GivenUp

#: Maximum reports in one request.
MAX_BATCH = 100
#: How long a report waits for others. What it is about took longer.
WAIT_S = 0.02
#: Reports that are kept: those that PHP does not have yet, and the last ones that it has.
MAX_KEPT = 5_000

_Key = tuple[str, str]


class Report(Protocol):
    """A report is named by the effect that it is about."""

    @property
    def id(self) -> str: ...

    @property
    def vendor_uid(self) -> str: ...


R = TypeVar("R", bound=Report)


@dataclass(slots=True)
class _Kept(Generic[R]):
    """``failed_at``: how many reports PHP had taken when it first failed on this one."""

    report: R
    failed_at: int | None = None


class Reports(Generic[R]):
    """Delivers reports to PHP, concurrent ones in one request, which ``request`` makes.

    A report is kept until PHP has taken it, so that nothing is done twice for it; and for a while
    after, in case the effect's end could not be recorded. While PHP is unavailable, reports wait
    here.
    """

    def __init__(
        self,
        backend: Backend,
        path: str,
        request: Callable[[list[R]], BaseModel],
        breaker: Breaker,
        *,
        most_kept: int = MAX_KEPT,
    ) -> None:
        self._backend = backend
        self._path = path
        self._request = request
        self._most_kept = most_kept
        self._breaker = breaker
        self._kept: OrderedDict[_Key, _Kept[R]] = OrderedDict()
        self._waiting: dict[_Key, tuple[R, asyncio.Future[End]]] = {}
        self._deliverer: asyncio.Task[None] | None = None
        self._taken = 0

    async def close(self) -> None:
        await cancel([self._deliverer])

    def kept(self, vendor_uid: str, effect_id: str) -> R | None:
        """Return the report about an effect that was brought before, or was to be."""
        found = self._kept.get((vendor_uid, effect_id))
        return found.report if found else None

    async def bring(self, report: R) -> End:
        """Deliver a report. Return ``Done`` with the effects that PHP requests, or ``Again`` if
        PHP has not taken it, and ``GivenUp`` if it never can."""
        key = (report.vendor_uid, report.id)
        self._kept.setdefault(key, _Kept(report))
        self._kept.move_to_end(key)
        if len(self._kept) > self._most_kept:
            self._kept.popitem(last=False)
        future: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._waiting[key] = report, future
        if self._deliverer is None or self._deliverer.done():
            self._deliverer = asyncio.create_task(self._deliver_all(), name="reports")
            self._deliverer.add_done_callback(self._stopped)
        try:
            return await future
        finally:
            if self._waiting.get(key, (None, None))[1] is future:
                del self._waiting[key]

    def _stopped(self, task: asyncio.Task[None]) -> None:
        """Fail all waiters if the delivery task has ended unexpectedly."""
        error = None if task.cancelled() else task.exception()
        if error is None and not task.cancelled():
            return
        for _, future in list(self._waiting.values()):
            if not future.done():
                future.set_exception(error or BackendUnavailable("the process stops"))

    async def _deliver_all(self) -> None:
        while self._waiting:
            await asyncio.sleep(max(WAIT_S, self._breaker.wait_s))
            batch = [report for report, _ in self._waiting.values()][:MAX_BATCH]
            if batch:
                await self._deliver(batch)

    async def _deliver(self, batch: list[R]) -> None:
        """Deliver a batch. If PHP fails on the whole request, one report may be the cause: then
        its halves are delivered."""
        search = Bisection(self._ask)
        await search.run(batch)
        if search.unavailable or (search.reason and not search.worked):
            self._breaker.failed(search.reason)
        for report, error in search.alone:
            self._resolve(report, self._failed(report, str(error)))

    async def _ask(self, part: list[R]) -> None:
        results = await self._post(part)
        self._breaker.worked()
        for report in part:
            self._resolve(report, self._end(report, results.get(report.id)))

    async def _post(self, part: list[R]) -> dict[str, UpdateResult]:
        answer = await self._backend.call(
            self._path, self._request(part), contract.UpdateMessageStatusesAnswer
        )
        results = {result.id: result for result in answer.results}
        if not any(one.id in results for one in part):
            raise BackendFailed(f"{self._path} gave no result for any of its reports")
        return results

    def _end(self, report: R, result: UpdateResult | None) -> End:
        if result is not None and result.result in ("done", "ignored"):
            self._taken += 1
            return Done(result.effects if result.result == "done" else ())
        if result is None:
            return self._failed(report, "PHP gave no result for this report")
        if result.result == "rejected":
            return GivenUp(
                f"PHP can never take the report: {result.reason or 'it gives no reason'}"
            )
        after_ms = result.retry_after_ms
        return Again(
            f"PHP wants the report again later: {result.reason or 'it does not say why'}",
            after_s=None if after_ms is None else max(0, after_ms) / 1000,
        )

    def _failed(self, report: R, reason: str) -> Again:
        """PHP fails on this report, or on all. It is this one's fault if PHP has taken another one
        since it first failed."""
        kept = self._kept.get((report.vendor_uid, report.id))
        if kept is None or kept.failed_at is None:
            if kept is not None:
                kept.failed_at = self._taken
            return Again(reason, counts=False)
        return Again(reason, counts=self._taken > kept.failed_at)

    def _resolve(self, report: R, end: End) -> None:
        waiting = self._waiting.pop((report.vendor_uid, report.id), None)
        if waiting is not None and not waiting[1].done():
            waiting[1].set_result(end)


def ai_answers(backend: Backend, *, most_kept: int = MAX_KEPT) -> Reports[AiAnswer]:
    """Return what delivers AIs' answers."""
    return Reports(
        backend,
        contract.AI_ANSWERS,
        lambda answers: AiAnswersRequest(answers=answers),
        Breaker("php.ai_answers.unavailable"),
        most_kept=most_kept,
    )


def media_reports(backend: Backend) -> Reports[MediaReport]:
    """Return what delivers reports about media."""
    return Reports(
        backend,
        contract.MEDIA,
        lambda media: MediaRequest(media=media),
        Breaker("php.media.unavailable"),
    )
