"""Delivers AIs' answers to PHP."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from contracts import backend as contract
from contracts.backend import UpdateResult
from contracts.effects import AiAnswer, AiAnswersRequest
from sidecar.php.bisect import Bisection
from sidecar.php.breaker import Breaker
from sidecar.php.client import Backend, BackendFailed, BackendUnavailable
from sidecar.tasks import cancel
from workers.effects.handler import Again, Done, End

#: Maximum answers in one request.
MAX_BATCH = 100
#: How long an answer waits for others. The AI took longer to write it.
WAIT_S = 0.02
#: Answers that are kept: those that PHP does not have yet, and the last ones that it has.
MAX_KEPT = 5_000

_Key = tuple[str, str]


@dataclass(slots=True)
class _Kept:
    """``failed_at``: how many answers PHP had taken when it first failed on this one."""

    answer: AiAnswer
    failed_at: int | None = None


class AiAnswers:
    """Delivers answers to PHP, concurrent ones in one request.

    An answer is kept until PHP has taken it, so that no AI is asked twice; and for a while after,
    in case the effect's end could not be recorded. While PHP is unavailable, answers wait here.
    """

    def __init__(self, backend: Backend, *, most_kept: int = MAX_KEPT) -> None:
        self._backend = backend
        self._most_kept = most_kept
        self._breaker = Breaker("php.ai_answers.unavailable")
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._waiting: dict[_Key, tuple[AiAnswer, asyncio.Future[End]]] = {}
        self._deliverer: asyncio.Task[None] | None = None
        self._taken = 0

    async def close(self) -> None:
        await cancel([self._deliverer])

    def kept(self, vendor_uid: str, question_id: str) -> AiAnswer | None:
        """Return the answer to a question that was brought before, or was to be."""
        found = self._kept.get((vendor_uid, question_id))
        return found.answer if found else None

    async def bring(self, answer: AiAnswer) -> End:
        """Deliver an answer. Return ``Done`` with the effects that PHP requests, or ``Again`` if
        PHP has not taken it."""
        key = (answer.vendor_uid, answer.id)
        self._kept.setdefault(key, _Kept(answer))
        self._kept.move_to_end(key)
        if len(self._kept) > self._most_kept:
            self._kept.popitem(last=False)
        future: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._waiting[key] = answer, future
        if self._deliverer is None or self._deliverer.done():
            self._deliverer = asyncio.create_task(self._deliver_all(), name="ai answers")
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
            batch = [answer for answer, _ in self._waiting.values()][:MAX_BATCH]
            if batch:
                await self._deliver(batch)

    async def _deliver(self, batch: list[AiAnswer]) -> None:
        """Deliver a batch. If PHP fails on the whole request, one answer may be the cause: then
        its halves are delivered."""
        search = Bisection(self._ask)
        await search.run(batch)
        if search.unavailable or (search.reason and not search.worked):
            self._breaker.failed(search.reason)
        for answer, error in search.alone:
            self._resolve(answer, self._failed(answer, str(error)))

    async def _ask(self, part: list[AiAnswer]) -> None:
        results = await self._post(part)
        self._breaker.worked()
        for answer in part:
            self._resolve(answer, self._end(answer, results.get(answer.id)))

    async def _post(self, part: list[AiAnswer]) -> dict[str, UpdateResult]:
        request = AiAnswersRequest(answers=part)
        answer = await self._backend.call(
            contract.AI_ANSWERS, request, contract.UpdateMessageStatusesAnswer
        )
        results = {result.id: result for result in answer.results}
        if not any(one.id in results for one in part):
            raise BackendFailed(f"{contract.AI_ANSWERS} gave no result for any of its answers")
        return results

    def _end(self, answer: AiAnswer, result: UpdateResult | None) -> End:
        if result is not None and result.result in ("done", "ignored"):
            self._taken += 1
            return Done(result.effects if result.result == "done" else ())
        if result is None:
            return self._failed(answer, "PHP gave no result for this answer")
        after_ms = result.retry_after_ms
        return Again(
            f"PHP wants the answer again later: {result.reason or 'it does not say why'}",
            after_s=None if after_ms is None else max(0, after_ms) / 1000,
        )

    def _failed(self, answer: AiAnswer, reason: str) -> Again:
        """PHP fails on this answer, or on all. It is this one's fault if PHP has taken another one
        since it first failed."""
        kept = self._kept.get((answer.vendor_uid, answer.id))
        if kept is None or kept.failed_at is None:
            if kept is not None:
                kept.failed_at = self._taken
            return Again(reason, counts=False)
        return Again(reason, counts=self._taken > kept.failed_at)

    def _resolve(self, answer: AiAnswer, end: End) -> None:
        waiting = self._waiting.pop((answer.vendor_uid, answer.id), None)
        if waiting is not None and not waiting[1].done():
            waiting[1].set_result(end)
