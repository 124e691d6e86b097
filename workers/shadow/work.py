"""Deciding beside PHP, without effects, and finding differences.

What PHP handles is recorded by ``sidecar serve`` (sidecar/shadow/recorder.py). One process splits
the webhooks with the code that would deliver them, and plans what would be done. PHP gets
some time to do its part, and is then asked what it has made of the messages. Where the two are
equal, that is the end; otherwise PHP is asked again, at longer and longer intervals, until it has
had enough time, and only then a difference counts.
"""

import asyncio
from itertools import islice

import structlog

from contracts import backend as contract
from contracts.backend import VendorConfig
from contracts.observation import Observation, ObserveAnswer, ObservedMessage, ObserveRequest
from sidecar.bots.cache import Bots
from sidecar.bots.matcher import Matcher
from sidecar.clock import now_ms
from sidecar.logs import LogOnce
from sidecar.metrics import METRICS, SHADOW_EFFECTS
from sidecar.php.bisect import Bisection
from sidecar.php.client import Backend, BackendError
from sidecar.php.vendors import Vendors
from sidecar.redis.client import Redis, RedisUnavailable
from sidecar.redis.lease import Lease, LeaseLost, Leases
from sidecar.settings import Settings
from sidecar.shadow.rules import Class, Kind
from sidecar.tasks import tick
from workers.shadow.campaigns import CampaignShadow
from workers.shadow.comparison import Finding, compare
from workers.shadow.planned import PlannedMessage
from workers.shadow.planning import by_wamid, kinds_of, plan, split_recorded
from workers.shadow.store import Changes, RecordedWebhook, ShadowStore

log = structlog.get_logger()

LEASE = "shadow"

#: Webhooks of one vendor that are taken on at a time, and messages of one that PHP is asked for.
TAKE = 100
LOOK = 200

#: Messages in one request to PHP.
OBSERVE_BATCH = 400

#: How long nothing is asked while PHP does not answer, between two rounds, and while no vendor is
#: in shadow or another process does this.
ILL_PAUSE_S = 5.0
PAUSE_S = 0.5
IDLE_PAUSE_S = 2.0

#: PHP is asked for one message at most so often.
SHORTEST_LOOK_MS = 1000


class ShadowWork:
    """``bots`` and ``vendors`` are the process's own."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        backend: Backend,
        leases: Leases,
        vendors: Vendors,
        bots: Bots,
    ) -> None:
        self._backend = backend
        self._leases = leases
        self._vendors = vendors
        self._bots = bots
        self._store = ShadowStore(redis, settings.shadow_examples)
        self._campaigns = CampaignShadow(settings, redis, backend, vendors, self._store)
        self._window_ms = int(settings.shadow_window_s * 1000)
        self._patience_ms = max(self._window_ms, int(settings.shadow_patience_s * 1000))
        self._redis_outage = LogOnce("shadow.redis_unavailable")
        self._php_outage = LogOnce("shadow.not_compared")
        #: Since when PHP has answered every time: what it has not done may have waited for it.
        self._php_well_since: int | None = None

    async def run(self) -> None:
        """Compare until cancelled, while no other process does."""
        while True:
            try:
                async with self._leases.hold(LEASE) as lease:
                    if lease is not None:
                        await self._compare(lease)
                self._redis_outage.worked()
            except LeaseLost:
                log.warning("shadow.lease_lost")
            except RedisUnavailable as error:
                self._redis_outage.failed(str(error))
            except Exception:
                log.exception("shadow.failed")
            await tick(IDLE_PAUSE_S)

    async def _compare(self, lease: Lease) -> None:
        self._php_well_since = None
        while not lease.lost.is_set():
            busy = bool(await self._store.vendors())
            more = busy and await self.take_on(lease)
            try:
                more |= busy and await self.look(lease)
                await self._campaigns.look(lease)
                self._php_outage.worked()
            except BackendError as error:
                self._php_well_since = None
                self._php_outage.failed(str(error))
                await asyncio.sleep(ILL_PAUSE_S)
            if not more:
                await tick(PAUSE_S if busy or self._campaigns.active else IDLE_PAUSE_S)

    # -- planning --

    async def take_on(self, lease: Lease) -> bool:
        """Plan what comes of webhooks that were recorded. Return whether there may be more."""
        more = False
        for vendor_uid in await self._store.vendors():
            try:
                config = await self._vendors.get(vendor_uid)
                kinds = kinds_of(config)
                if config is None or not kinds:
                    await self._store.clear(vendor_uid)
                    continue
                webhooks = await self._store.recorded(vendor_uid, TAKE)
                matcher = await self._bots.get(vendor_uid) if webhooks else None
            except BackendError:
                continue  # the caches have said so, and the webhooks wait
            if webhooks:
                await self._take_on(lease, config, kinds, matcher, webhooks)
                more = True
        return more

    async def _take_on(
        self,
        lease: Lease,
        config: VendorConfig,
        kinds: frozenset[Kind],
        matcher: Matcher | None,
        webhooks: list[RecordedWebhook],
    ) -> None:
        now = now_ms()
        changes = self._store.changes(config.vendor_uid, now)
        split, firsts = split_recorded(config.vendor_uid, webhooks)
        updates = by_wamid(split)
        plans = await self._store.planned(config.vendor_uid, list(updates))
        for wamid, mine in updates.items():
            planned = plans.get(wamid) or PlannedMessage(wamid)
            try:
                opened = kinds.intersection(plan(planned, mine, firsts, config, matcher))
            except Exception as error:  # a fault of ours, and no reason to stop the others
                log.error("shadow.plan_failed", wamid=wamid, exc_info=error)
                changes.not_compared(len(mine))
                continue
            if not opened:
                continue
            if planned.since == 0:
                # Right away it is looked whether a status has come before its message.
                planned.looked = Kind.STATUS not in opened
            planned.reopen([kind for kind in Kind if kind in opened], now, self._patience_ms)
            changes.plan(planned, now + self._window_ms if planned.looked else now)
        changes.not_compared(len(split) - sum(map(len, updates.values())))
        changes.taken(webhooks)
        await changes.commit(lease)

    # -- comparing --

    async def look(self, lease: Lease) -> bool:
        """Ask PHP what it has made of the messages that are due. Return whether there may be more.
        Raises :class:`BackendError` if PHP does not answer."""
        now, more = now_ms(), False
        due: dict[tuple[str, str], PlannedMessage] = {}
        for vendor_uid in await self._store.vendors():
            wamids = await self._store.due(vendor_uid, now, LOOK)
            plans = await self._store.planned(vendor_uid, wamids)
            due.update({(vendor_uid, wamid): planned for wamid, planned in plans.items()})
            outdated = await self._store.outdated(vendor_uid, now)
            outdated += [wamid for wamid in wamids if wamid not in plans]
            if outdated:
                changes = self._store.changes(vendor_uid, now)
                changes.forget(outdated)
                await changes.commit(lease)
            more |= len(wamids) == LOOK
        names = iter(due)
        while batch := list(islice(names, OBSERVE_BATCH)):
            observations = await self._observe(batch)
            self._php_well_since = (self._php_well_since or now) if observations else None
            await self._close(lease, {name: due[name] for name in batch}, observations)
        return more

    async def _observe(self, names: list[tuple[str, str]]) -> dict[tuple[str, str], Observation]:
        """Ask PHP for messages. What it fails on alone is left out. Raises :class:`BackendError`
        if it seems to fail on everything, or hangs."""
        found: dict[tuple[str, str], Observation] = {}

        async def ask(part: list[tuple[str, str]]) -> None:
            found.update(await self._ask(part))

        search = Bisection(ask, cut_timeouts=False)
        await search.run(names)
        if search.error is not None and (search.given_up or search.timeouts):
            raise search.error
        return found

    async def _ask(self, names: list[tuple[str, str]]) -> dict[tuple[str, str], Observation]:
        messages = [ObservedMessage(vendor_uid=v, wamid=w) for v, w in names]
        request = ObserveRequest(messages=messages)
        answer = await self._backend.call(contract.OBSERVE, request, ObserveAnswer)
        return {(one.vendor_uid, one.wamid): one for one in answer.messages}

    async def _close(
        self,
        lease: Lease,
        plans: dict[tuple[str, str], PlannedMessage],
        observations: dict[tuple[str, str], Observation],
    ) -> None:
        now = now_ms()
        for vendor_uid in dict.fromkeys(vendor_uid for vendor_uid, _ in plans):
            changes = self._store.changes(vendor_uid, now)
            dropped_at = await self._store.dropped_at(vendor_uid)
            final: list[Finding] = []
            for (owner, wamid), planned in plans.items():
                observation = observations.get((owner, wamid))
                if owner != vendor_uid:
                    continue
                if observation is None:
                    self._without_answer(changes, planned, now)
                    continue
                dropped = dropped_at >= planned.since - self._patience_ms
                final += self._look_at(changes, planned, observation, now, dropped)
            await changes.commit(lease)
            for finding in final:
                METRICS.counter(SHADOW_EFFECTS, finding.kind.value, finding.class_.value).add()

    def _without_answer(self, changes: Changes, planned: PlannedMessage, now: int) -> None:
        if now < planned.until:
            changes.postpone(planned.wamid, now + max(SHORTEST_LOOK_MS, self._window_ms))
            return
        log.warning("shadow.observe_failed", wamid=planned.wamid)
        changes.not_compared(len(planned.open))
        changes.forget([planned.wamid])

    def _look_at(
        self,
        changes: Changes,
        planned: PlannedMessage,
        observation: Observation,
        now: int,
        dropped: bool,
    ) -> list[Finding]:
        """Record what is clear by now; return that."""
        if not planned.looked:
            planned.looked = True
            if not observation.logged:
                for status in planned.statuses:
                    status.early = True
            changes.plan(planned, planned.since + self._window_ms)
            return []
        findings = compare(planned, observation, dropped=dropped)
        over = now >= planned.until and self._php_was_well(now)
        # What PHP has not logged yet, it may still do more of.
        clear = observation.logged
        final = [one for one in findings if over or (clear and one.class_ is Class.EQUAL)]
        for finding in final:
            changes.found(planned, finding)
        closed = {one.kind for one in final}
        planned.open = [] if over else [kind for kind in planned.open if kind not in closed]
        changes.plan(planned, self._next_look(planned, now))
        return final

    def _next_look(self, planned: PlannedMessage, now: int) -> int:
        """Return when PHP is asked again: twice as long after the plan as now, and at the end."""
        if now >= planned.until:  # PHP was ill, and gets its time
            return now + max(SHORTEST_LOOK_MS, self._window_ms)
        return min(now + max(SHORTEST_LOOK_MS, now - planned.since), planned.until)

    def _php_was_well(self, now: int) -> bool:
        """Return whether PHP has had its time since it was last down."""
        since = self._php_well_since
        return since is not None and now - since >= self._patience_ms - self._window_ms
