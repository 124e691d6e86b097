"""One batch: updates on their way through, from the inbox or from waiting, to PHP and into the
record of what became of them."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import structlog

from contracts.backend import UpdateKind
from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.metrics import HANDOVER_SECONDS, METRICS
from sidecar.php.backoff import Backoff
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.settings import Settings
from workers.inbox.coalesce import Coalesced, coalesce
from workers.inbox.commit import Commit
from workers.inbox.dedup import Dedup
from workers.inbox.delivery import Fate, Verdict, Verdicts
from workers.inbox.reader import Taken
from workers.inbox.retries import Retries
from workers.inbox.update import Update
from workers.sending.ledger import LedgerView

log = structlog.get_logger()

#: A status whose send is not recorded yet waits for it for at most so long. Then PHP gets it all
#: the same, and finds the send by its callback data.
EARLY_MAX_MS = 60_000

#: How long it waits at least before it is looked at again.
EARLY_MIN_MS = 50

#: An update that failed while PHP may have been ill is tried again after at most so long: when PHP
#: is well again, a customer's message need not wait for the end of a long pause.
ILL_MAX_MS = 10_000

#: Hands updates over, and gives a verdict for each by its id.
Deliver = Callable[[list[Update]], Awaitable[Verdicts]]


@dataclass(slots=True)
class Batch:
    """What is handled together: ``fresh`` out of the inbox, and what has ``waited``, by its order
    key, of each the first few in order."""

    fresh: list[Taken] = field(default_factory=list)
    waited: dict[str, list[Update]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.fresh or self.waited)

    def without(self, vendors: set[str]) -> "Batch":
        """Return what is not of these vendors."""
        return Batch(
            [taken for taken in self.fresh if taken.vendor_uid not in vendors],
            {k: some for k, some in self.waited.items() if some[0].vendor_uid not in vendors},
        )


@dataclass(slots=True)
class Handled:
    """A batch, and what became of it. ``tried`` have a verdict each; ``early`` wait for their send
    to be recorded, ``behind`` for an earlier one of their order key; ``duplicates`` PHP has."""

    batch: Batch
    coalesced: Coalesced
    tried: list[Update] = field(default_factory=list)
    behind: list[Update] = field(default_factory=list)
    early: list[Update] = field(default_factory=list)
    duplicates: list[Update] = field(default_factory=list)
    unreadable: list[Update] = field(default_factory=list)
    verdicts: Verdicts = field(default_factory=dict)

    @property
    def untouched(self) -> set[str]:
        """Return the vendors of whose updates PHP was given some and none was tried. Theirs stay
        where they are."""
        tried: dict[str, bool] = {}
        for update in self.tried:
            known = self.verdicts[update.id].fate is not Fate.UNTRIED
            tried[update.vendor_uid] = tried.get(update.vendor_uid, False) or known
        return {vendor_uid for vendor_uid, known in tried.items() if not known}

    def without(self, vendors: set[str]) -> "Handled":
        """Return the same without what is of these vendors."""

        def others(updates: Iterable[Update]) -> list[Update]:
            return [update for update in updates if update.vendor_uid not in vendors]

        if not vendors:
            return self
        return Handled(
            self.batch.without(vendors),
            Coalesced(
                others(self.coalesced.updates),
                others(self.coalesced.duplicates),
                others(self.coalesced.lower),
            ),
            others(self.tried),
            others(self.behind),
            others(self.early),
            others(self.duplicates),
            others(self.unreadable),
            self.verdicts,
        )


class Handling:
    """Handles batches of a lane: tells what PHP should get, hands it over, and says what is to be
    recorded. It writes nothing."""

    def __init__(self, lane: Lane, settings: Settings, redis: Redis) -> None:
        self._statuses = lane is Lane.STATUSES
        self._settings = settings
        self._redis = redis
        self._retries = Retries(redis, lane)
        self._dedup = Dedup(redis, settings.duplicate_window_s)
        self._ledger = LedgerView(redis)
        self._backend_ok_at = 0
        self._handover_seconds = METRICS.histogram(HANDOVER_SECONDS, lane.value)

    async def handle(self, batch: Batch, deliver: Deliver) -> Handled:
        """Hand over what PHP should get of a batch."""
        waited = [update for updates in batch.waited.values() for update in updates]
        fresh = [update for taken in batch.fresh for update in taken.updates]
        unreadable = [update for update in waited + fresh if update.unreadable]
        coalesced = coalesce([update for update in waited + fresh if not update.unreadable])
        handled = Handled(batch, coalesced, unreadable=unreadable)
        await self._sift(handled)
        handled.verdicts = await deliver(handled.tried)
        if any(update.attempts for update in handled.tried):
            self._backend_ok_at = int(await self._redis.get(keys.BACKEND_OK) or 0)
        return handled

    async def _sift(self, handled: Handled) -> None:
        """Tell the updates that PHP should get now from those that have to wait, and from those
        that it has."""
        updates = handled.coalesced.updates
        held = await self._retries.held(updates)
        known = set() if self._statuses else await self._dedup.known(updates)
        early = await self._early(updates) if self._statuses else set()
        waited = {update.id for some in handled.batch.waited.values() for update in some}
        if self._statuses:
            held -= set(handled.batch.waited)  # all of their statuses are here, in one
        now = now_ms()
        for update in updates:
            if update.id in known:
                handled.duplicates.append(update)
            elif update.order_key in held and update.id not in waited:
                handled.behind.append(update)
            elif update.id in early and now - update.received_at < EARLY_MAX_MS:
                handled.early.append(update)
            else:
                handled.tried.append(update)

    async def _early(self, updates: list[Update]) -> set[str]:
        """Return the ids of those statuses whose send is not recorded with PHP yet."""
        rows = {u.id: u.callback_data for u in updates if u.kind is UpdateKind.STATUS}
        unsettled = await self._ledger.unsettled(
            (u.vendor_uid, row_uid) for u in updates if (row_uid := rows.get(u.id))
        )
        return {update_id for update_id, row_uid in rows.items() if row_uid in unsettled}

    def record(self, handled: Handled, commit: Commit) -> None:
        """Say what is to be recorded of a batch."""
        now = now_ms()
        for taken in handled.batch.fresh:
            commit.count(taken.vendor_uid, "updates", len(taken.updates))
            commit.delete_entries(taken.vendor_uid, taken.done)
            if taken.position is not None:
                commit.move_cursor(taken.vendor_uid, taken.position)
        for updates in handled.batch.waited.values():
            commit.take_deferred(updates, next_due_at=now)
        for what, updates in (
            ("duplicates", handled.coalesced.duplicates + handled.duplicates),
            ("coalesced", handled.coalesced.lower),
        ):
            for update in updates:
                commit.count(update.vendor_uid, what)
        for update in handled.unreadable:
            self._give_up(update, commit, now)
        waits = _Waits(handled.batch.waited)
        for update in handled.tried:
            self._record(update, handled.verdicts[update.id], waits, commit, now)
        pause_ms = max(self._settings.status_wait_ms, EARLY_MIN_MS)
        for update in handled.early:
            update.reason = "its send is not recorded yet"
            waits.add(update, now + pause_ms)
        for update in handled.behind:
            waits.add(update, now)
        waits.write(commit)

    def _record(
        self, update: Update, verdict: Verdict, waits: "_Waits", commit: Commit, now: int
    ) -> None:
        if verdict.answered:
            commit.record_backend_ok(now)
        if verdict.fate in (Fate.DONE, Fate.IGNORED):
            commit.count(update.vendor_uid, verdict.fate.value)
            self._handover_seconds.observe((now - update.received_at) / 1000)
            self._dedup.remember(update, commit)
            return
        if verdict.fate is Fate.UNTRIED:
            waits.add(update, now)
            return
        update.attempts += 1
        update.reason = verdict.reason
        update.first_failed_at = update.first_failed_at or now
        php_is_well = verdict.answered or self._backend_ok_at > update.first_failed_at
        if update.attempts >= self._settings.update_max_attempts and php_is_well:
            self._give_up(update, commit, now)
            return
        pause_ms = self._pause_ms(update, verdict)
        waits.add(update, now + (pause_ms if php_is_well else min(pause_ms, ILL_MAX_MS)))

    def _give_up(self, update: Update, commit: Commit, now: int) -> None:
        log.error(
            "update.given_up",
            vendor=update.vendor_uid,
            update=update.id,
            wamid=update.wamid,
            attempts=update.attempts,
            reason=update.reason,
        )
        commit.dead_letter(update, now)

    def _pause_ms(self, update: Update, verdict: Verdict) -> int:
        """PHP may ask for a longer pause than the doubling one, and not for a shorter one: the
        attempts together are to last longer than PHP waits for a message it does not know."""
        longest_ms = self._settings.update_retry_longest_ms
        backoff = Backoff(self._settings.update_retry_first_ms, longest_ms)
        doubled_ms = int(backoff.pause(update.attempts))
        return min(max(doubled_ms, verdict.retry_after_ms or 0), longest_ms)


class _Waits:
    """Updates that go on waiting or begin to, by their order key and in order. What has ``waited``
    goes back to the front."""

    def __init__(self, waited: dict[str, list[Update]]) -> None:
        self._waited = {update.id for updates in waited.values() for update in updates}
        self._back: dict[str, list[Update]] = {}
        self._new: list[Update] = []
        self._due: dict[str, int] = {}

    def add(self, update: Update, due_at: int) -> None:
        self._due.setdefault(update.order_key, due_at)
        if update.id in self._waited:
            self._back.setdefault(update.order_key, []).append(update)
        else:
            self._new.append(update)

    def write(self, commit: Commit) -> None:
        for order_key, updates in self._back.items():
            commit.put_back(updates, self._due[order_key])
        for update in self._new:
            commit.defer(update, self._due[update.order_key])
