"""One turn: updates on their way through, from the inbox or from waiting, to PHP and into the
record of what became of them."""

from collections.abc import Awaitable, Callable

import structlog

from contracts.jobs import Lane
from sidecar import keys
from sidecar.clock import now_ms
from sidecar.lease import Lease
from sidecar.redis_client import Redis
from sidecar.settings import Settings
from sidecar.tally import HANDOVER_SECONDS, TALLY
from workers.inbox.coalesce import Folded, fold
from workers.inbox.commit import Settlement
from workers.inbox.dedup import Seen
from workers.inbox.delivery import UNTRIED, Fate, Verdict, Verdicts
from workers.inbox.effects import TurnEffects
from workers.inbox.retries import Deferred
from workers.inbox.update import Item
from workers.ledger import LedgerView
from workers.signals import Signals

log = structlog.get_logger()

#: A status whose send is not recorded yet waits for it for at most so long. Then PHP gets it all
#: the same, and finds the send by its callback data.
EARLY_LONGEST_MS = 60_000

#: How long it waits at least before it is looked at again.
EARLY_SHORTEST_MS = 50

#: An update that failed while PHP may have been ill is tried again after at most so long: when PHP
#: is well again, a customer's message need not wait for the end of a long pause.
ILL_LONGEST_MS = 10_000

#: Hands over items of which none has to come before another.
Deliver = Callable[[list[Item]], Awaitable[Verdicts]]


class Turn:
    """Makes turns of a lane under its lease. What PHP should get is given to ``deliver``.

    What has waited comes by its order key, as :meth:`workers.inbox.retries.Deferred.due` gives it.
    ``effects`` takes what PHP asks for, and ``signals`` what statuses tell of more than their
    message.
    """

    def __init__(
        self,
        lane: Lane,
        settings: Settings,
        redis: Redis,
        lease: Lease,
        deliver: Deliver,
        effects: TurnEffects,
        signals: Signals | None = None,
    ) -> None:
        self._lane = lane
        self._statuses = lane is Lane.STATUSES
        self._settings = settings
        self._redis = redis
        self._lease = lease
        self._deliver_free = deliver
        self._signals = signals
        self._effects = effects
        self._deferred = Deferred(redis, lane)
        self._seen = Seen(redis, settings.duplicate_window_s)
        self._ledger = LedgerView(redis)
        self._backend_ok_at = 0
        self._handover_seconds = TALLY.histogram(HANDOVER_SECONDS, lane.value)

    async def make(
        self,
        fresh: list[Item],
        waited: dict[str, list[Item]],
        close: Callable[[Settlement], None],
    ) -> bool:
        """Hand over what should go to PHP, and settle it all; ``close`` adds to the settlement what
        becomes of the entries that ``fresh`` comes from. Return False if PHP could not be asked
        for any of them; then all stays where it is. Raises
        :class:`~workers.inbox.commit.LeaseLost`."""
        settlement = Settlement(self._redis, self._lane, self._lease)
        folded = fold([item for items in waited.values() for item in items] + fresh)
        ready, behind, early = await self._sift(folded, set(waited), settlement)
        verdicts = await self._deliver(ready)
        if ready and all(verdicts[item.id].fate is Fate.UNTRIED for item in ready):
            return False
        for item in fresh:
            settlement.count(item.vendor_uid, "updates")
        for item in folded.duplicates:
            settlement.count(item.vendor_uid, "duplicates")
        for item in folded.lower:
            settlement.count(item.vendor_uid, "folded")
        now = now_ms()
        for order_key, items in waited.items():
            settlement.take_deferred(order_key, len(items), next_due_at=now)
        for item in behind:
            settlement.defer(item, now)
        for item in early:
            item.reason = "its send is not recorded yet"
            pause_ms = max(self._settings.status_wait_ms, EARLY_SHORTEST_MS)
            self._wait(item, now + pause_ms, waited, settlement)
        await self._look_whether_php_is_well(ready)
        for item in ready:
            self._record(item, verdicts[item.id], waited, settlement)
        heard = self._signals.hear(ready, verdicts) if self._signals else None
        if heard:
            heard.settle(settlement)
        close(settlement)
        # Before the updates are settled: whoever dies in between is told the same effects again,
        # and the outbox knows them.
        put = await self._effects.put(ready, verdicts)
        await settlement.commit()
        self._effects.wake(put)
        if self._signals and heard:
            await self._signals.act(heard)
        return True

    # -- what PHP should get --

    async def _sift(
        self, folded: Folded, waited: set[str], settlement: Settlement
    ) -> tuple[list[Item], list[Item], list[Item]]:
        """Return the items that PHP should get now, those that have to wait behind an earlier
        one of the same contact, and those whose send is not recorded yet. The rest are
        duplicates."""
        held = await self._deferred.held(folded.items)
        seen = set() if self._statuses else await self._seen.which(folded.items)
        early = await self._ledger.unsettled(folded.items) if self._statuses else set()
        if self._statuses:
            held -= waited  # all of their statuses are here, folded
        ready: list[Item] = []
        behind: list[Item] = []
        too_early: list[Item] = []
        now = now_ms()
        first_of = {item.order_key: item.id for item in reversed(folded.items)}
        for item in folded.items:
            is_waited = item.order_key in waited and first_of[item.order_key] == item.id
            if item.id in seen:
                settlement.count(item.vendor_uid, "duplicates")
            elif item.order_key in held and not is_waited:
                behind.append(item)
            elif item.id in early and now - item.received_at < EARLY_LONGEST_MS:
                too_early.append(item)
            else:
                ready.append(item)
        return ready, behind, too_early

    async def _deliver(self, items: list[Item]) -> Verdicts:
        """Hand items over. Of one contact's messages the next goes only when PHP has taken the
        one before; otherwise it waits behind it, untried."""
        verdicts: Verdicts = {}
        stuck: set[str] = set()
        waves = [items] if self._statuses else _waves(items)
        for wave in waves:
            free = [item for item in wave if item.order_key not in stuck]
            verdicts.update({i.id: UNTRIED for i in wave if i.order_key in stuck})
            verdicts.update(await self._deliver_free(free))
            stuck.update(
                item.order_key
                for item in wave
                if verdicts[item.id].fate in (Fate.RETRY, Fate.UNTRIED)
            )
        return verdicts

    # -- outcomes --

    async def _look_whether_php_is_well(self, items: list[Item]) -> None:
        if any(item.attempts for item in items):
            self._backend_ok_at = int(await self._redis.get(keys.BACKEND_OK) or 0)

    def _wait(
        self, item: Item, due_at: int, waited: dict[str, list[Item]], settlement: Settlement
    ) -> None:
        if item.order_key in waited:
            settlement.put_back(item, due_at)
        else:
            settlement.defer(item, due_at)

    def _record(
        self,
        item: Item,
        verdict: Verdict,
        waited: dict[str, list[Item]],
        settlement: Settlement,
    ) -> None:
        now = now_ms()
        if verdict.answered:
            settlement.note_backend_worked(now)
        if verdict.fate in (Fate.DONE, Fate.IGNORED):
            settlement.count(item.vendor_uid, verdict.fate.value)
            self._handover_seconds.observe((now - item.received_at) / 1000)
            if key := self._seen.key(item):
                settlement.remember(key, self._settings.duplicate_window_s)
            return
        if verdict.fate is Fate.UNTRIED:
            self._wait(item, now + 1000, waited, settlement)
            return
        item.attempts += 1
        item.reason = verdict.reason
        item.first_failed_at = item.first_failed_at or now
        php_is_well = verdict.answered or self._backend_ok_at > item.first_failed_at
        if item.attempts >= self._settings.update_max_attempts and php_is_well:
            log.error(
                "update_given_up",
                vendor=item.vendor_uid,
                update=item.id,
                wamid=item.wamid,
                attempts=item.attempts,
                reason=item.reason,
            )
            settlement.bury(item, now)
        else:
            pause_ms = self._pause_ms(item, verdict)
            if not php_is_well:
                pause_ms = min(pause_ms, ILL_LONGEST_MS)
            self._wait(item, now + pause_ms, waited, settlement)

    def _pause_ms(self, item: Item, verdict: Verdict) -> int:
        """PHP may ask for a longer pause than the doubling one, and not for a shorter one: the
        attempts together are to last longer than PHP waits for a message it does not know."""
        doubled: int = self._settings.update_retry_first_ms * 2 ** min(item.attempts - 1, 30)
        pause_ms = max(doubled, verdict.retry_after_ms or 0)
        return min(pause_ms, self._settings.update_retry_longest_ms)


def _waves(items: list[Item]) -> list[list[Item]]:
    """Return the items so that each wave has at most one of every order key."""
    waves: list[list[Item]] = []
    places: dict[str, int] = {}
    for item in items:
        place = places.get(item.order_key, 0)
        places[item.order_key] = place + 1
        if place == len(waves):
            waves.append([])
        waves[place].append(item)
    return waves
