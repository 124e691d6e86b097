"""Handing updates to PHP, and finding out which of them it cannot take.

PHP answers item by item. Where it answers the whole request with an error instead, the request is
halved until the item that it fails on stands alone. That item has then been tried, and counts as
such; but only if PHP took something else meanwhile, because otherwise it is PHP that is ill, and
nothing can be said about the item.
"""

import asyncio
import random
from dataclasses import dataclass
from enum import StrEnum

from contracts import backend as contract
from contracts.backend import UpdateKind
from sidecar.backend import (
    Backend,
    BackendError,
    BackendFailed,
    BackendRefused,
    BackendUnavailable,
    encode,
)
from workers.breaker import Breaker
from workers.item import Item

#: Failures in a row after which PHP is taken to be ill: enough to halve a full batch down to one
#: item (2 ** 10 > 1000) and then find another half that works.
ILL_AFTER_FAILURES = 13


class Fate(StrEnum):
    DONE = "done"
    IGNORED = "ignored"
    #: PHP was asked and did not take it.
    RETRY = "retry"
    #: Nothing can be said: PHP is ill, or was not asked.
    UNTRIED = "untried"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``answered``: PHP said so itself about this item, so PHP is well."""

    fate: Fate
    reason: str | None = None
    retry_after_ms: int | None = None
    answered: bool = True


UNTRIED = Verdict(Fate.UNTRIED, answered=False)
Verdicts = dict[str, Verdict]


class Delivery:
    """Hands items to PHP. One for each lane and process."""

    def __init__(self, backend: Backend, breaker: Breaker) -> None:
        self._backend = backend
        self.breaker = breaker
        self.requests = 0

    async def deliver(self, items: list[Item], *, batch_size: int, concurrency: int) -> Verdicts:
        """Return a verdict for each item, by its id. Never raises for what PHP does.

        Requests are made ``concurrency`` at a time, so nothing among the items may have to come
        before something else.
        """
        verdicts: Verdicts = {}
        gate = asyncio.Semaphore(concurrency)

        async def one(part: list[Item]) -> None:
            async with gate:
                if self.breaker.wait_s > 0:
                    verdicts.update(dict.fromkeys((item.id for item in part), UNTRIED))
                else:
                    verdicts.update(await self._deliver_part(part))

        await asyncio.gather(*(one(part) for part in _parts(items, batch_size, concurrency)))
        return verdicts

    async def _deliver_part(self, part: list[Item]) -> Verdicts:
        """Hand over one request's worth, halving it where the request as a whole fails."""
        verdicts: Verdicts = dict.fromkeys((item.id for item in part), UNTRIED)
        suspects: dict[str, str] = {}
        waiting = [part]
        failures_in_a_row = 0
        worked = False
        reason = illness = ""
        while waiting:
            items = waiting.pop()
            try:
                verdicts.update(await self._post(items))
            except BackendUnavailable as error:
                illness = str(error)
                break
            except BackendError as error:
                reason = str(error)
                failures_in_a_row += 1
                if failures_in_a_row >= ILL_AFTER_FAILURES and not worked:
                    break
                if len(items) == 1:
                    suspects[items[0].id] = reason
                else:
                    middle = len(items) // 2
                    halves = [items[:middle], items[middle:]]
                    # By chance, so that the next attempt does not meet the same bad items first.
                    waiting += random.sample(halves, 2)
            else:
                worked = True
                failures_in_a_row = 0
        if worked or (suspects and len(part) == 1):
            for item_id, why in suspects.items():
                verdicts[item_id] = Verdict(Fate.RETRY, why, answered=worked)
        if illness or not worked:
            self.breaker.failed(illness or reason)
        else:
            self.breaker.worked()
        return verdicts

    async def _post(self, items: list[Item]) -> Verdicts:
        self.requests += 1
        if items[0].kind is None:
            return await self._post_whole(items[0])
        body = encode({"updates": [item.as_update() for item in items]})
        try:
            answer = await self._backend.post(
                contract.PROCESS_WEBHOOKS, body, contract.ProcessWebhooksAnswer
            )
        except BackendRefused as error:
            if error.status in (401, 403, 404):
                # The route or the keys are wrong, whatever the items are.
                raise BackendUnavailable(str(error)) from None
            raise BackendFailed(str(error)) from None
        results = {result.id: _verdict(result) for result in answer.results}
        missing = Verdict(Fate.RETRY, "PHP gave no result for this update")
        return {item.id: results.get(item.id, missing) for item in items}

    async def _post_whole(self, item: Item) -> Verdicts:
        try:
            answer = await self._backend.process_webhook(item.vendor_uid, item.body, item.signature)
        except BackendRefused as error:
            if error.code == contract.ErrorCode.VENDOR_UNKNOWN:
                return {item.id: Verdict(Fate.IGNORED, error.code)}
            if error.status in (401, 403, 404):
                raise BackendUnavailable(str(error)) from None
            raise BackendFailed(str(error)) from None
        return {item.id: _verdict(answer)}


def _verdict(result: contract.UpdateResult | contract.ProcessWebhookAnswer) -> Verdict:
    if result.result in (Fate.DONE, Fate.IGNORED):
        return Verdict(Fate(result.result), result.reason)
    reason = result.reason
    if result.result != Fate.RETRY:
        reason = f"PHP answered {result.result!r}: {reason}"
    return Verdict(Fate.RETRY, reason or "PHP gave no reason", result.retry_after_ms)


def _parts(items: list[Item], batch_size: int, concurrency: int) -> list[list[Item]]:
    """Return the requests to make. Customers' messages are spread over as many as may be made at
    once, because each takes PHP a while; the rest goes along. Bodies that cannot be split stand
    alone."""
    parts = [[item] for item in items if item.kind is None]
    messages = [item for item in items if item.kind is UpdateKind.MESSAGE]
    rest = [item for item in items if item.kind not in (None, UpdateKind.MESSAGE)]
    size = min(batch_size, max(1, -(-len(messages) // concurrency)))
    groups = [messages[start : start + size] for start in range(0, len(messages), size)]
    for group in groups:
        room = batch_size - len(group)
        group += rest[:room]
        rest = rest[room:]
    groups += [rest[start : start + batch_size] for start in range(0, len(rest), batch_size)]
    return parts + groups
