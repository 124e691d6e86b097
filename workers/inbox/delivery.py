"""Handing updates to PHP, and finding out which of them it cannot take.

PHP answers item by item. Where it answers the whole request with an error instead, the request is
halved until the item that it fails on stands alone. That item has then been tried, and counts as
such; but only if PHP took something else meanwhile, because otherwise it is PHP that is ill, and
nothing can be said about the item.

A request without an answer in time costs so much that it is not repeated in the way of the others:
the vendors whose updates were in it are *apart* from then on. What is theirs is handed over beside
the rest, vendor by vendor, and there the item that PHP hangs on is looked for.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from contracts import backend as contract
from contracts.backend import UpdateKind
from sidecar.backend import (
    Backend,
    BackendError,
    BackendFailed,
    BackendRefused,
    BackendTimedOut,
    BackendUnavailable,
    encode,
)
from workers.breaker import Breaker
from workers.inbox.bots import Matching
from workers.inbox.isolation import Bulkhead
from workers.inbox.update import Item

#: Failures, and nothing that worked, after which PHP is taken to be ill: enough to halve a full
#: batch down to one item (2 ** 10 > 1000) and then find another half that works.
ILL_AFTER_FAILURES = 13

#: The same for time-outs, after which a request is cut into more pieces (8 ** 4 > 1000).
ILL_AFTER_TIMEOUTS = 6
TIMEOUT_PIECES = 8

#: Several updates apart get this part of the time that PHP may take for a call. One alone gets all
#: of it.
APART_TIMEOUT_SHARE = 0.25


class Fate(StrEnum):
    DONE = "done"
    IGNORED = "ignored"
    #: PHP was asked and did not take it.
    RETRY = "retry"
    #: Nothing can be said: PHP is ill, or was not asked.
    UNTRIED = "untried"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``answered``: PHP said so itself about this item, so PHP is well. ``campaign_uid``: of a
    status, the campaign of the message that it has changed. ``effects`` are to be done."""

    fate: Fate
    reason: str | None = None
    retry_after_ms: int | None = None
    answered: bool = True
    campaign_uid: str | None = None
    effects: Sequence[dict[str, Any]] = ()


UNTRIED = Verdict(Fate.UNTRIED, answered=False)
Verdicts = dict[str, Verdict]


class Delivery:
    """Hands items to PHP, customers' messages with their bots where there is ``matching``. One for
    each lane and process."""

    def __init__(
        self, backend: Backend, breaker: Breaker, matching: Matching | None = None
    ) -> None:
        self._backend = backend
        self._matching = matching
        self.breaker = breaker
        self.apart = Bulkhead(breaker)
        self.requests = 0

    async def deliver(self, items: list[Item], *, batch_size: int, concurrency: int) -> Verdicts:
        """Return a verdict for each item, by its id. Never raises for what PHP does.

        Requests are made ``concurrency`` at a time, so nothing among the items may have to come
        before something else. It takes about one time-out at most: items of vendors that are apart
        or come to be are not tried.
        """
        verdicts = _untried(items)
        gate = asyncio.Semaphore(concurrency)

        async def one(part: list[Item]) -> None:
            async with gate:
                if self.breaker.wait_s > 0:
                    return
                await self._attach_bots(self._without_apart(part))
                search = _Search(self._post)
                await search.run(self._without_apart(part), self._give_up)
                self._note(search)
                verdicts.update(search.verdicts)

        await asyncio.gather(*(one(part) for part in _parts(items, batch_size, concurrency)))
        return verdicts

    async def deliver_apart(
        self, vendor_uid: str, items: list[Item], *, batch_size: int
    ) -> Verdicts:
        """Do the same with items of one vendor, a request at a time, for as long as it takes to
        find those that PHP hangs on."""
        verdicts = _untried(items)
        for part in _parts(items, batch_size, 1):
            if self.breaker.wait_s > 0 or self.apart.wait_s(vendor_uid) > 0:
                break
            await self._attach_bots(part)
            search = _Search(self._post_apart)
            await search.run(part, _cut)
            if search.timeouts:
                self.apart.convict(vendor_uid, search.reason)
            if search.unavailable:
                self.breaker.failed(search.reason)
            elif search.worked:
                self.apart.worked(vendor_uid)
            elif search.reason:
                self.apart.failed(vendor_uid, search.reason)
            verdicts.update(search.verdicts)
        return verdicts

    async def _attach_bots(self, items: list[Item]) -> None:
        if self._matching is not None:
            await self._matching.attach(items)

    def _without_apart(self, items: list[Item]) -> list[Item]:
        apart = self.apart.vendors()
        return [item for item in items if item.vendor_uid not in apart]

    def _give_up(self, items: list[Item], waiting: list[list[Item]], reason: str) -> None:
        self.apart.suspect(dict.fromkeys(item.vendor_uid for item in items), reason)
        waiting[:] = [left for part in waiting if (left := self._without_apart(part))]

    def _note(self, search: "_Search") -> None:
        if search.unavailable or (search.failures and not search.worked):
            self.breaker.failed(search.reason)
        elif search.worked:
            self.breaker.worked()

    async def _post_apart(self, items: list[Item]) -> Verdicts:
        share = APART_TIMEOUT_SHARE if len(items) > 1 else 1.0
        return await self._post(items, share * self._backend.timeout_s)

    async def _post(self, items: list[Item], timeout_s: float | None = None) -> Verdicts:
        self.requests += 1
        if items[0].kind is None:
            return await self._post_whole(items[0])
        body = encode({"updates": [item.as_update() for item in items]})
        try:
            answer = await self._backend.post(
                contract.PROCESS_WEBHOOKS,
                body,
                contract.ProcessWebhooksAnswer,
                timeout_s=timeout_s,
            )
        except BackendRefused as error:
            if error.status in (401, 403, 404):
                # The route or the keys are wrong, whatever the items are.
                raise BackendUnavailable(str(error)) from None
            raise BackendFailed(str(error)) from None
        results = {result.id: _verdict(result) for result in answer.results}
        if not any(item.id in results for item in items):
            # That is not about the items: something answers that has not even looked at them.
            raise BackendFailed(
                f"{contract.PROCESS_WEBHOOKS} answered without a result for any of its updates"
            )
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


#: What to do about a request without an answer in time: given its items, the requests that are
#: still to be made, and the reason.
OnTimeout = Callable[[list[Item], list[list[Item]], str], None]


class _Search:
    """Hands over one request's worth, in smaller requests where it fails as a whole.

    ``verdicts`` are of those items of which something is known. ``worked``: PHP took or refused
    something itself. ``unavailable``: it is not there. ``reason``: the last thing that went wrong.
    """

    def __init__(self, post: Callable[[list[Item]], Awaitable[Verdicts]]) -> None:
        self._post = post
        self.verdicts: Verdicts = {}
        self.worked = self.unavailable = False
        self.failures = self.timeouts = 0
        self.reason = ""
        self._suspects: dict[str, str] = {}

    async def run(self, part: list[Item], on_timeout: OnTimeout) -> None:
        waiting = [part] if part else []
        while waiting and not self._php_is_ill:
            items = waiting.pop()
            try:
                self.verdicts.update(await self._post(items))
            except BackendUnavailable as error:
                self.unavailable = True
                self.reason = str(error)
            except BackendTimedOut as error:
                self.timeouts += 1
                self._failed(str(error), items)
                on_timeout(items, waiting, self.reason)
            except BackendError as error:
                self.failures += 1
                self._failed(str(error), items)
                waiting += _pieces(items, 2)
            else:
                self.worked = True
        if self.worked or len(part) == 1:
            for item_id, why in self._suspects.items():
                self.verdicts[item_id] = Verdict(Fate.RETRY, why, answered=self.worked)

    @property
    def _php_is_ill(self) -> bool:
        tired = self.failures >= ILL_AFTER_FAILURES or self.timeouts >= ILL_AFTER_TIMEOUTS
        return self.unavailable or (tired and not self.worked)

    def _failed(self, reason: str, items: list[Item]) -> None:
        self.reason = reason
        if len(items) == 1:
            self._suspects[items[0].id] = reason


def _cut(items: list[Item], waiting: list[list[Item]], _reason: str) -> None:
    waiting += _pieces(items, TIMEOUT_PIECES)


def _pieces(items: list[Item], count: int) -> list[list[Item]]:
    """Cut a request that failed into smaller ones; one item alone cannot be cut. In any order, so
    that the next attempt does not meet the same bad items first."""
    if len(items) == 1:
        return []
    size = -(-len(items) // count)
    pieces = [items[start : start + size] for start in range(0, len(items), size)]
    return random.sample(pieces, len(pieces))


def _untried(items: list[Item]) -> Verdicts:
    return dict.fromkeys((item.id for item in items), UNTRIED)


def _verdict(result: contract.UpdateResult | contract.ProcessWebhookAnswer) -> Verdict:
    if result.result in (Fate.DONE, Fate.IGNORED):
        if isinstance(result, contract.ProcessWebhookAnswer):
            return Verdict(Fate(result.result), result.reason)
        return Verdict(
            Fate(result.result),
            result.reason,
            campaign_uid=result.campaign_uid,
            effects=result.effects,
        )
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
