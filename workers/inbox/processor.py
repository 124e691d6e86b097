"""Processes a batch: coalesce, deliver, commit."""

import time
from collections.abc import Awaitable, Callable

import structlog

from contracts.backend import UpdateKind
from contracts.cloud_api.webhook import STATUS_RANK
from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.inbox.ignored import HARMLESS, label_of, name_of
from sidecar.inbox.lanes import may_hold_messages
from sidecar.inbox.update_states import UpdateState
from sidecar.metrics import HANDOVER_SECONDS, METRICS, STATUSES, UPDATES_IGNORED
from sidecar.php.backoff import Backoff
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease
from sidecar.redis.letter_bounds import Bounds
from sidecar.settings import Settings
from sidecar.spans import SPANS, Ids, Span, linked, new_span
from sidecar.trace import tracing
from workers.inbox.batch import Batch, Handled
from workers.inbox.coalesce import coalesce
from workers.inbox.commit import Commit
from workers.inbox.dedup import Dedup
from workers.inbox.delivery import Fate, Verdict, Verdicts
from workers.inbox.effects import UpdateEffects
from workers.inbox.retries import Retries
from workers.inbox.status_errors import StatusErrors
from workers.inbox.status_times import StatusTimes
from workers.inbox.update import Update
from workers.sending.ledger import LedgerView

log = structlog.get_logger()

#: How long a status waits at most for its send to be recorded. Then PHP gets it anyway, and finds
#: the send by its callback data.
EARLY_MAX_MS = 60_000

#: How long it waits at least before the next look.
EARLY_MIN_MS = 50

#: Maximum pause after a failure while PHP may have been unavailable: once it is back, a customer's
#: message need not wait for the end of a long pause.
ILL_MAX_MS = 10_000

#: An update is set aside, and no longer holds up those behind it, when PHP has refused it so often
#: by an answer of its own; or has failed on it so often while it took others.
SET_ASIDE_REFUSED = 3
SET_ASIDE_FAILED = 6

#: Delivers updates, and returns a verdict for each by its id.
Deliver = Callable[[list[Update]], Awaitable[Verdicts]]

#: Adds something of its own to what is recorded.
Record = Callable[[Commit], None]


class Processor:
    """Processes a lane's batches, from updates to the commit of their results. ``status_errors``
    acts on failed statuses that concern more than their message."""

    def __init__(
        self,
        lane: Lane,
        settings: Settings,
        redis: Redis,
        effects: UpdateEffects,
        status_errors: StatusErrors | None = None,
    ) -> None:
        self._lane = lane
        self._statuses = lane is Lane.STATUSES
        self._settings = settings
        self._redis = redis
        self._effects = effects
        self._status_errors = status_errors
        self._retries = Retries(redis, lane)
        self._dedup = Dedup(redis, settings.duplicate_window_s)
        self._status_times = StatusTimes(settings.status_times_limit)
        self._ledger = LedgerView(redis)
        self._bounds = Bounds.of(settings)
        self._backend_ok_at = 0
        self._handover_seconds = METRICS.histogram(HANDOVER_SECONDS, lane.value)

    async def process(self, batch: Batch, deliver: Deliver, lease: Lease, record: Record) -> bool:
        """Deliver a batch and commit its results, with what ``record`` adds. Return False if PHP
        was unavailable for all of it; then everything stays where it is. Raises
        :class:`~sidecar.redis.lease.LeaseLost`."""
        handled = await self.handle(batch, deliver)
        handled = handled.without(handled.untouched)
        if batch and not handled.batch:
            return False
        commit = self.new_commit(lease)
        self.record(handled, commit)
        collected = None
        if self._status_errors:
            collected = self._status_errors.collect(handled.tried, handled.verdicts)
            collected.add_to(commit)
        record(commit)
        # Before the updates are committed: after a crash in between, PHP requests the same effects
        # again, and the outbox knows them.
        put = await self._effects.put(handled.tried, handled.verdicts)
        await commit.commit()
        self._effects.wake(put)
        if self._status_errors and collected:
            await self._status_errors.apply(collected)
        return True

    def new_commit(self, lease: Lease) -> Commit:
        """Return an empty commit."""
        return Commit(self._redis, self._lane, lease, self._bounds)

    async def handle(self, batch: Batch, deliver: Deliver) -> Handled:
        """Deliver the updates of a batch that PHP should get now."""
        waited = [update for updates in batch.waited.values() for update in updates]
        fresh = [update for taken in batch.fresh for update in taken.updates]
        unreadable = [update for update in waited + fresh if update.unreadable]
        ignored = [update for update in waited + fresh if update.ignored_reason is not None]
        settled = {update.id for update in unreadable + ignored}
        coalesced = coalesce([update for update in waited + fresh if update.id not in settled])
        handled = Handled(batch, coalesced, unreadable=unreadable, ignored=ignored)
        await self._sift(handled)
        with tracing(), linked(_webhooks_of(handled.tried)):
            handled.verdicts = await deliver(handled.tried)
        if any(update.attempts for update in handled.tried):
            self._backend_ok_at = int(await self._redis.get(keys.BACKEND_OK) or 0)
        return handled

    async def _sift(self, handled: Handled) -> None:
        """Separate the updates that PHP should get now from those that must wait, and from those
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
        """Return the ids of the statuses whose send PHP has not recorded yet."""
        rows = {u.id: u.callback_data for u in updates if u.kind is UpdateKind.STATUS}
        unsettled = await self._ledger.unsettled(
            (u.vendor_uid, row_uid) for u in updates if (row_uid := rows.get(u.id))
        )
        return {update_id for update_id, row_uid in rows.items() if row_uid in unsettled}

    def record(self, handled: Handled, commit: Commit) -> None:
        """Add a batch's results to a commit."""
        now = now_ms()
        for taken in handled.batch.fresh:
            commit.count(taken.vendor_uid, "updates", len(taken.updates))
            commit.delete_entries(taken.vendor_uid, taken.done)
            if taken.position is not None:
                commit.move_cursor(taken.vendor_uid, taken.position)
        fresh = (update for taken in handled.batch.fresh for update in taken.updates)
        self._status_times.record(fresh, commit)
        for updates in handled.batch.waited.values():
            commit.take_deferred(updates, next_due_at=now)
        for what, updates in (
            (UpdateState.DUPLICATE, handled.coalesced.duplicates + handled.duplicates),
            (UpdateState.COALESCED, handled.coalesced.lower),
        ):
            for update in updates:
                commit.count(update.vendor_uid, what)
        _count_statuses(handled.coalesced.lower)
        for update in handled.unreadable:
            self._give_up(update, commit, now)
        for update in handled.ignored:
            self._ignore(update, update.ignored_reason, commit, now)
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
            if verdict.fate is Fate.DONE:
                commit.count(update.vendor_uid, UpdateState.DONE)
                _count_statuses([update])
                _record_span(update)
            else:
                self._ignore(update, verdict.reason, commit, now)
            self._handover_seconds.observe((now - update.received_at) / 1000)
            self._dedup.remember(update, commit)
            return
        if verdict.fate is Fate.UNTRIED:
            waits.add(update, now)
            return
        update.attempts += 1
        update.refused += int(verdict.answered)
        update.reason = verdict.reason
        update.first_failed_at = update.first_failed_at or now
        php_is_well = verdict.answered or self._backend_ok_at > update.first_failed_at
        too_often = update.attempts >= self._settings.update_max_attempts and php_is_well
        if verdict.fate is Fate.REJECTED or too_often:
            self._give_up(update, commit, now)
            return
        if php_is_well:
            self._set_aside(update)
        pause_ms = self._pause_ms(update, verdict)
        waits.add(update, now + (pause_ms if php_is_well else min(pause_ms, ILL_MAX_MS)))

    def _ignore(self, update: Update, reason: str | None, commit: Commit, now: int) -> None:
        """Count an update with which nothing is to be done, and keep it if it is the last one."""
        name = name_of(reason)
        of_customer = update.kind is UpdateKind.MESSAGE or may_hold_messages(update.body)
        look = of_customer and name not in HARMLESS
        commit.count(update.vendor_uid, UpdateState.IGNORED)
        commit.count_ignored(update, reason or name, now, look=look)
        METRICS.counter(UPDATES_IGNORED, label_of(name)).add()
        if look:
            log.warning(
                "update.ignored",
                vendor=update.vendor_uid,
                update=update.id,
                wamid=update.wamid,
                reason=reason,
            )

    def _set_aside(self, update: Update) -> None:
        """Give an update an order key of its own if it has held up those behind it long enough. A
        status need not be: those behind it are coalesced with it."""
        if update.kind is None or update.kind is UpdateKind.STATUS or update.is_aside:
            return
        if update.refused >= SET_ASIDE_REFUSED or update.attempts >= SET_ASIDE_FAILED:
            update.set_aside()
            log.warning(
                "update.set_aside",
                vendor=update.vendor_uid,
                update=update.id,
                wamid=update.wamid,
                attempts=update.attempts,
                reason=update.reason,
            )

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
        """Return the pause before a retry. PHP may request a longer one than the doubling pause,
        but not a shorter one: all attempts together must last longer than PHP waits for a message
        that it does not know."""
        longest_ms = self._settings.update_retry_longest_ms
        backoff = Backoff(self._settings.update_retry_first_ms, longest_ms)
        doubled_ms = int(backoff.pause(update.attempts))
        return min(max(doubled_ms, verdict.retry_after_ms or 0), longest_ms)


def _count_statuses(updates: list[Update]) -> None:
    for update in updates:
        if update.status is not None:
            known = update.status if update.status in STATUS_RANK else "other"
            METRICS.counter(STATUSES, known).add()


def _webhooks_of(updates: list[Update]) -> list[Ids]:
    """Return the spans of the webhooks that updates came in."""
    return SPANS.ids_of_all([name for one in updates for name in one.webhooks] if SPANS.on else [])


def _record_span(update: Update) -> None:
    """Record a status of a message whose send was recorded: from when it came to when PHP has
    it."""
    send = SPANS.ids_of(update.callback_data) if update.callback_data else None
    if send is None or update.status is None:
        return
    SPANS.add(
        Span(
            f"status {update.status if update.status in STATUS_RANK else 'other'}",
            Ids(send.trace, new_span()),
            update.received_at * 1_000_000,
            time.time_ns(),
            parent=send.span,
            attributes={"vendor": update.vendor_uid},
            links=_webhooks_of([update]),
        )
    )


class _Waits:
    """Updates that keep waiting or begin to, by order key and in order. ``waited`` ones go back to
    the front."""

    def __init__(self, waited: dict[str, list[Update]]) -> None:
        self._waited = {update.id: key for key, updates in waited.items() for update in updates}
        self._back: dict[str, list[Update]] = {}
        self._new: list[Update] = []
        self._due: dict[str, int] = {}

    def add(self, update: Update, due_at: int) -> None:
        self._due.setdefault(update.order_key, due_at)
        if self._waited.get(update.id) == update.order_key:  # and not set aside
            self._back.setdefault(update.order_key, []).append(update)
        else:
            self._new.append(update)

    def write(self, commit: Commit) -> None:
        for order_key, updates in self._back.items():
            commit.put_back(updates, self._due[order_key])
        for update in self._new:
            commit.defer(update, self._due[update.order_key])
