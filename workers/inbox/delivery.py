"""Delivers updates to PHP, and finds those that it cannot take.

PHP answers for each update. Updates of many vendors share a request while all is well. If PHP
answers with an error, the request is repeated for each vendor separately: vendors whose own request
fails are *isolated* from then on, unless several fail and none works, because then PHP itself is
failing. A request that times out is not repeated in front of the others: all of its vendors are
isolated until their own requests have shown which of them PHP hangs on.

An isolated vendor's updates are delivered beside the others, in requests of their own. There a
request that fails is halved until the update that it fails on stands alone. That one has then been
tried.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from contracts import backend as contract
from sidecar.php.bisect import Bisection
from sidecar.php.breaker import Breaker
from sidecar.php.client import (
    Backend,
    BackendError,
    BackendFailed,
    BackendRefused,
    BackendTimedOut,
    BackendUnavailable,
)
from sidecar.php.reasons import scrub
from workers.inbox.bots import Matching
from workers.inbox.isolation import Isolation
from workers.inbox.pace import Pace
from workers.inbox.requests import body_of, requests_of
from workers.inbox.update import Update

#: Several updates of an isolated vendor get this share of PHP's time limit for a call. A single one
#: gets all of it.
ISOLATED_TIMEOUT_SHARE = 0.25

#: Time limit for a request that vendors share: everybody behind one that PHP hangs on waits for so
#: long.
SHARED_TIMEOUT_S = 2.0

#: The same for requests with nobody else's updates, of a vendor that is only suspected.
SUSPECT_TIMEOUT_S = 3.0

#: How long vendors' own requests are tried if none works.
MAX_VENDORS_S = 1.0


class Fate(StrEnum):
    DONE = "done"
    IGNORED = "ignored"
    #: PHP can never take it.
    REJECTED = "rejected"
    #: PHP was asked, and did not take it.
    RETRY = "retry"
    #: Unknown: PHP is failing, or was not asked.
    UNTRIED = "untried"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``answered``: PHP answered for this update itself, so it works. ``campaign_uid``: the
    campaign of the message that a status has changed. ``effects`` are to be run."""

    fate: Fate
    reason: str | None = None
    retry_after_ms: int | None = None
    answered: bool = True
    campaign_uid: str | None = None
    effects: Sequence[dict[str, Any]] = ()


UNTRIED = Verdict(Fate.UNTRIED, answered=False)
Verdicts = dict[str, Verdict]


class Delivery:
    """Delivers updates to PHP, customers' messages with their bots if there is ``matching``. One
    for each lane and process."""

    def __init__(
        self, backend: Backend, breaker: Breaker, matching: Matching | None = None
    ) -> None:
        self._backend = backend
        self._matching = matching
        self._pace = Pace()
        self.breaker = breaker
        self.isolated = Isolation(breaker)
        self.requests = 0

    async def deliver(
        self, updates: list[Update], *, batch_size: int, concurrency: int
    ) -> Verdicts:
        """Return a verdict for each update, by its id. Never raises for what PHP does.

        Requests are made ``concurrency`` at a time; updates of one order key stand in the same one,
        in order, and what does not go into it is not tried. It takes about one time-out at most:
        updates of vendors that are isolated or come to be are not tried.
        """
        verdicts = _untried(updates)
        gate = asyncio.Semaphore(concurrency)
        failing: dict[str, str] = {}

        async def one(part: list[Update]) -> None:
            async with gate:
                if self.breaker.wait_s > 0:
                    return
                await self._attach_bots(self._without_isolated(part))
                given = self._without_isolated(part)
                if given:
                    verdicts.update(await self._share(given, failing))

        size = self._pace.limit(batch_size)
        parts = requests_of(updates, size, concurrency, self._pace.together)
        await asyncio.gather(*(one(part) for part in parts))
        worked = any(verdict is not UNTRIED for verdict in verdicts.values())
        if worked:
            self.breaker.worked()
        if len(failing) > 1 and not worked:
            self.breaker.failed(next(iter(failing.values())))
        else:
            for vendor_uid, reason in failing.items():
                self.isolated.fails(vendor_uid, reason)
        return verdicts

    async def _share(self, part: list[Update], failing: dict[str, str]) -> Verdicts:
        """Make a request for all of a part; where PHP fails on it, one for each vendor."""
        failed: dict[str, str] = {}
        verdicts = await self._post_shared(part, failed)
        if len(failed) < 2:
            failing |= failed
            return verdicts
        by_vendor: dict[str, list[Update]] = {}
        for update in part:
            by_vendor.setdefault(update.vendor_uid, []).append(update)
        # In any order, and for so long: while PHP is ill they fail, and there may be hundreds.
        end = time.monotonic() + MAX_VENDORS_S
        for mine in random.sample(list(by_vendor.values()), len(by_vendor)):
            if self.breaker.wait_s > 0 or (not verdicts and time.monotonic() > end):
                break
            verdicts |= await self._post_shared(mine, failing)
        return verdicts

    async def _post_shared(self, part: list[Update], failing: dict[str, str]) -> Verdicts:
        """Make a request. The vendors on whose updates PHP may have failed are ``failing``; those
        on whose it may have hung are isolated."""
        vendor_uids = dict.fromkeys(update.vendor_uid for update in part)
        began = time.monotonic()
        try:
            verdicts = await self._post(part, min(SHARED_TIMEOUT_S, self._backend.timeout_s))
        except BackendUnavailable as error:
            self.breaker.failed(str(error))
        except BackendTimedOut as error:
            if len(vendor_uids) > 1:  # of one vendor's, it may be what is in it
                self._pace.timed_out(len(part))
            self.isolated.isolate(vendor_uids, str(error))
        except BackendError as error:
            failing |= dict.fromkeys(vendor_uids, str(error))
        else:
            self._pace.took(len(part), time.monotonic() - began)
            return verdicts
        return {}

    async def deliver_isolated(
        self, vendor_uid: str, updates: list[Update], *, batch_size: int
    ) -> Verdicts:
        """Do the same with updates of one vendor, a request at a time, for as long as it takes to
        find those that PHP fails or hangs on."""
        verdicts = _untried(updates)
        failed = False
        for part in requests_of(updates, batch_size, 1):
            if self.breaker.wait_s > 0 or self.isolated.wait_s(vendor_uid) > 0:
                break
            await self._attach_bots(part)
            search = await self._search(vendor_uid, part, verdicts)
            if search.timeouts:
                self.isolated.confirm(vendor_uid, search.reason)
            if search.unavailable:
                self.breaker.failed(search.reason)
            elif search.worked:
                self.isolated.worked(vendor_uid)
                self.breaker.worked()
            elif search.reason:
                self.isolated.failed(vendor_uid, search.reason)
            failed = failed or bool(search.reason)
        if not failed and any(verdict is not UNTRIED for verdict in verdicts.values()):
            self.isolated.release(vendor_uid)
        return verdicts

    async def _search(
        self, vendor_uid: str, part: list[Update], verdicts: Verdicts
    ) -> Bisection[Update]:
        """Hand over a vendor's updates, and find those that PHP fails or hangs on."""
        suspected = self.isolated.is_suspected(vendor_uid)

        async def ask(updates: list[Update]) -> list[Update]:
            share = ISOLATED_TIMEOUT_SHARE if len(updates) > 1 else 1.0
            timeout_s = share * self._backend.timeout_s
            found = await self._post(
                updates, min(timeout_s, SUSPECT_TIMEOUT_S) if suspected else timeout_s
            )
            verdicts.update(found)
            return [u for u in updates if found[u.id].fate in (Fate.RETRY, Fate.UNTRIED)]

        search = Bisection(ask, order_key=lambda update: update.order_key)
        await search.run(part)
        for update, error in search.alone:
            verdicts[update.id] = Verdict(Fate.RETRY, str(error), answered=False)
        return search

    async def _attach_bots(self, updates: list[Update]) -> None:
        if self._matching is not None:
            await self._matching.attach(updates)

    def _without_isolated(self, updates: list[Update]) -> list[Update]:
        isolated = self.isolated.vendors()
        return [update for update in updates if update.vendor_uid not in isolated]

    async def _post(self, updates: list[Update], timeout_s: float) -> Verdicts:
        self.requests += 1
        if updates[0].kind is None:
            return await self._post_whole(updates[0])
        try:
            answer = await self._backend.post(
                contract.PROCESS_WEBHOOKS,
                body_of(updates),
                contract.ProcessWebhooksAnswer,
                timeout_s=timeout_s,
            )
        except BackendRefused as error:
            raise error.about_items() from None
        results = {result.id: _verdict(result) for result in answer.results}
        if not any(update.id in results for update in updates):
            # That is not about the updates: something answers that has not even looked at them.
            raise BackendFailed(
                f"{contract.PROCESS_WEBHOOKS} answered without a result for any of its updates"
            )
        return _in_order(updates, results)

    async def _post_whole(self, update: Update) -> Verdicts:
        try:
            answer = await self._backend.process_webhook(
                update.vendor_uid, update.body, update.signature
            )
        except BackendRefused as error:
            if error.code == contract.ErrorCode.VENDOR_UNKNOWN:
                return {update.id: Verdict(Fate.IGNORED, error.code)}
            raise error.about_items() from None
        return {update.id: _verdict(answer)}


def _in_order(updates: list[Update], results: Verdicts) -> Verdicts:
    """Return a verdict for each. What stands behind one of its order key that PHP did not take was
    not tried, unless PHP has taken it all the same."""
    missing = Verdict(Fate.RETRY, "PHP gave no result for this update")
    verdicts: Verdicts = {}
    stuck: set[str] = set()
    for update in updates:
        verdict = results.get(update.id, missing)
        if verdict.fate is Fate.RETRY:
            verdict = UNTRIED if update.order_key in stuck else verdict
            stuck.add(update.order_key)
        verdicts[update.id] = verdict
    return verdicts


def _untried(updates: list[Update]) -> Verdicts:
    return dict.fromkeys((update.id for update in updates), UNTRIED)


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
    reason = result.reason or "PHP gave no reason"
    if result.result == Fate.REJECTED:
        return Verdict(Fate.REJECTED, reason)
    if result.result != Fate.RETRY:
        reason = scrub(f"PHP answered {result.result!r}: {result.reason}")
    return Verdict(Fate.RETRY, reason, result.retry_after_ms)
