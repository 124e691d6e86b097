"""Starting each send from one number at its slot."""

import asyncio
import math
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import structlog

from sidecar.metrics import METRICS, ROWS_REFUSED
from sidecar.redis.lease import Lease
from workers.sending.cloud_api import Attempt, Prepared
from workers.sending.ledger import BEGIN_AHEAD_S, Ledger, NumberHeld
from workers.sending.limiter import AHEAD_S, Grant, Limiter
from workers.sending.limits import Limits
from workers.sending.line_health import Health, Line
from workers.sending.send_config import SendConfig
from workers.sending.send_queue import ClaimedSend, SendQueue
from workers.sending.slots import Planned, Ranges

log = structlog.get_logger()

#: Where a row's slot is further in the past than this, and than half the time between two slots, it
#: puts off those behind it, or gets another one: the process was held up, and sends that have piled
#: up would otherwise go out in one burst, above the rate.
LATE_S = 0.02

#: When so many writes in a row take longer, rows may be late by two of them, the one before and
#: their own: where every write is slow, nothing would ever be in time.
SLOW_WRITES = 8

#: The least time that is left for writing down what is about to be sent. What has its slot between
#: this and ``BEGIN_AHEAD_S`` is written down together.
LEAST_LEAD_S = 0.006

#: Slots that are no further apart than this are started together, at the last of them. It is far
#: less than an answer takes, and each time that the process wakes up costs about as much as a send.
TOGETHER_S = 0.003

#: For so many rows slots are always taken. A process that cannot keep up with its slots takes half
#: as many each time, as TCP does, and then a few more: rows that are late take others, which costs
#: more than it would to send them.
LEAST_SLOTS = 8

#: How long to wait before slots are asked for again, at most: a hold may be lifted.
POLL_S = 1.0

#: The same at least, for a campaign. Where its calls under way are what bounds it, each that ends
#: makes room for one row, which would have a round trip of its own.
ASK_EVERY_S = 0.01

#: How often it is looked whether answers have come, or the silence has lasted for too long.
WINDOW_POLL_S = 0.05

#: What has to wait for longer than this does so in PHP's queue, and not in status 3.
PATIENCE_S = 30.0

#: Rows that are kept here although their recipients have had too much for the moment.
MAX_PARKED = 100


@dataclass(frozen=True, slots=True)
class Blocked:
    """Nothing goes out until then (``time.monotonic``), and why."""

    until: float
    reason: str


class Outlet(Protocol):
    """Where a pacer's rows go. ``room`` is for how many more to have slots or be under way;
    ``prepare`` makes what can be made before the slot, and ``start`` starts a send; ``postpone``
    takes a row that cannot be sent for so many seconds, and ``refuse`` one that somebody else has
    in hand, ``put`` those that go from another number by now.
    ``asked``: the pacer has asked for slots. ``ask_api`` asks the Cloud API something that costs no
    row (:meth:`CloudApi.ask`)."""

    @property
    def room(self) -> int: ...
    def prepare(self, row: ClaimedSend) -> Prepared | None: ...
    def start(self, row: ClaimedSend, limits: Limits, prepared: Prepared | None) -> None: ...
    def postpone(self, row: ClaimedSend, wait_s: float) -> None: ...
    def refuse(self, row: ClaimedSend) -> None: ...
    def put(self, rows: list[ClaimedSend]) -> None: ...
    def asked(self, pacer: "Pacer") -> None: ...
    async def ask_api(self, limits: Limits, timeout_s: float) -> Attempt | None: ...


class Pacer:
    """Takes slots for the rows of a campaign, or the replies, that are sent from one number, and
    starts each send at its slot. ``limits`` are the number's as they are now (:meth:`follow`).
    ``blocked`` is set while a hold or a budget keeps everything back for longer than rows should
    wait here."""

    def __init__(
        self,
        limiter: Limiter,
        ledger: Ledger,
        lease: Lease,
        limits: Limits,
        config: SendConfig,
        outlet: Outlet,
    ) -> None:
        self._limiter = limiter
        self._ledger = ledger
        self._lease = lease
        self.limits = limits
        self._config = config
        self._outlet = outlet
        self._unsent: list[str] = []
        self._asking: list[ClaimedSend] = []
        self._planned: deque[Planned] = deque()
        self._beginning: list[Planned] = []
        self._begun: deque[Planned] = deque()
        self._late: list[ClaimedSend] = []
        self._writes_s: deque[float] = deque(maxlen=SLOW_WRITES)
        self._most_slots = math.inf
        self._was_late = False
        self._ranges = Ranges()
        self._more = asyncio.Event()
        self._more_begun = asyncio.Event()
        self.queue = SendQueue()
        self.blocked: Blocked | None = None

    @property
    def planned(self) -> int:
        """How many rows have a slot, or are asked one for, and are not started yet."""
        slots = len(self._planned) + len(self._beginning) + len(self._begun)
        return len(self._asking) + slots + len(self._late)

    @property
    def unstarted(self) -> int:
        """How many rows are here at all."""
        return self.planned + len(self.queue) + self.queue.parked

    def take_unstarted(self) -> list[ClaimedSend]:
        """Return the rows that were certainly not started, once nothing runs any more. The ledger
        may say of some that they are being sent; they are not."""
        planned = [*self._begun, *self._beginning, *self._planned]
        rows = [*self._late, *(one.row for one in planned), *self.queue.take_all()]
        self._late = []
        self._begun.clear()
        self._beginning = []
        self._planned.clear()
        return rows

    def put_back(self, rows: list[ClaimedSend]) -> None:
        """Take rows again that had slots and certainly were not sent."""
        if rows:
            self._unsent += [row.addressee for row in rows]
            self._queue_again(rows)

    def wake(self) -> None:
        """Have it look again whether slots can be taken, if rows wait for any."""
        if self.queue or self.queue.parked:
            self.queue.changed.set()

    def follow(self, limits: Limits) -> None:
        """Keep to these limits of the number from now on, and pass on the rows that wait here and
        go from another number by now. Those that have slots are passed on when these come."""
        self.limits = limits
        self._queue_again(self.queue.take_all())

    def _queue_again(self, rows: list[ClaimedSend]) -> None:
        ours: list[ClaimedSend] = []
        others: list[ClaimedSend] = []
        for row in rows:
            is_ours = self._config.number_of(row) == self.limits.number
            (ours if is_ours else others).append(row)
        self.queue.put_back(ours)
        self._outlet.put(others)

    # -- taking slots --

    async def plan(self) -> None:
        """Take slots until cancelled. Raises what the limiter raises; it may then go on."""
        while True:
            if self._late:
                await self._withdraw()
            await self._limiter.outages.check(self._line)
            room = self._room
            asked = self.queue.take(room, time.monotonic()) if room > 0 else []
            if asked:
                grant = await self._ask(asked)
                if grant.health is Health.ASK:
                    await self._ask_api(grant.probe)
                least_s = ASK_EVERY_S if self._config.of_campaign else 0.0
                await asyncio.sleep(min(max(least_s, grant.again_s), POLL_S))
            else:
                await self._wait_for_rows()

    async def _ask_api(self, probe: str) -> None:
        line = self._line
        attempt = await self._outlet.ask_api(self.limits, line.ask_s)
        await self._limiter.outages.asked(line, probe, attempt)

    @property
    def _line(self) -> Line:
        return self._limiter.outages.line(self.limits.line)

    @property
    def _room(self) -> int:
        """For how many rows slots may be taken now."""
        rate = self.limits.rate
        room = self._line.room(rate, self.planned)
        kept_up = self._most_slots - self.planned
        return int(min(room, self._outlet.room, kept_up, math.ceil(rate * AHEAD_S) + 1))

    async def _withdraw(self) -> None:
        """Have the ledger say of rows that were too late that they were not sent; otherwise nobody
        could tell if the process died now."""
        late = list(self._late)  # they stay there meanwhile: a run that sees no rows ends
        try:
            await self._ledger.not_sent(late)
            for row in late:
                await self._limiter.outages.not_made(self.limits.line, row.uid)
        finally:
            del self._late[: len(late)]
            self.put_back(late)

    async def _wait_for_rows(self) -> None:
        self.queue.changed.clear()
        wait_s = None
        if self._outlet.room > 0 and (unparks_at := self.queue.unparks_at) is not None:
            wait_s = max(0.0, unparks_at - time.monotonic())
        if len(self.queue):
            wait_s = WINDOW_POLL_S  # answers are missing, which nobody may wake us for
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self.queue.changed.wait()

    async def _ask(self, asked: list[ClaimedSend]) -> Grant:
        self._asking = asked
        left = asked
        unsent, self._unsent = self._unsent, []
        try:
            grant = await self._limiter.grant(
                self._lease,
                self._config.name,
                self.limits,
                [row.addressee for row in asked],
                unsent=unsent,
                urgent=not self._config.of_campaign,
                more=len(self.queue) > 0,
            )
            self._adapt()
            left = self._assign(asked, grant)
        finally:
            self._asking = []
            self._queue_again(left)
        self._outlet.asked(self)
        return grant

    def _adapt(self) -> None:
        """Take slots for fewer rows if some were late since the last time, else for more."""
        usual = 2 * math.ceil(self.limits.rate * AHEAD_S) + 2
        if self._was_late:
            self._most_slots = max(LEAST_SLOTS, min(self._most_slots, usual) // 2)
        else:
            self._most_slots = min(max(LEAST_SLOTS, usual), self._most_slots * 1.25)
        self._was_late = False

    def _assign(self, asked: list[ClaimedSend], grant: Grant) -> list[ClaimedSend]:
        """Give the rows what the limiter has said; return those that have nothing yet."""
        now = time.monotonic()
        at = self._limiter.clock.local(grant.clock_s + grant.delay_s)
        late_s = max(LATE_S, grant.gap_s / 2)
        if len(self._writes_s) == SLOW_WRITES:
            late_s = max(late_s, 2 * min(self._writes_s))
        if grant.health is not Health.WELL and self._line.down:
            self._drop_slots()  # they are of before
        looked_at = grant.count + len(grant.refused)
        slots = self._ranges.of(grant.clock_s + grant.delay_s, grant.count, grant.gap_s, at)
        for place, row in enumerate(asked[:looked_at]):
            if place in grant.refused:
                self._wait_for_recipient(row, grant.refused[place], now)
            else:
                self._planned.append(Planned(at, late_s, row, slots))
                at += grant.gap_s
                if grant.health is Health.ROW:
                    self._line.probe = (row.uid, grant.probe)
        self._more.set()
        blocked = grant.reason is not None and grant.again_s > PATIENCE_S
        self.blocked = Blocked(now + grant.again_s, grant.reason or "") if blocked else None
        return asked[looked_at:]

    def _wait_for_recipient(self, row: ClaimedSend, wait_s: float, now: float) -> None:
        if wait_s > PATIENCE_S or self.queue.parked >= MAX_PARKED:
            self._outlet.postpone(row, wait_s)
        else:
            self.queue.park(row, now + wait_s)

    # -- writing down, and starting --

    async def begin_before_slots(self) -> None:
        """Write down what is about to be sent, shortly before its slots, until cancelled. Raises
        what the ledger raises; it may then go on, and no row is lost."""
        while True:
            if not self._planned:
                self._more.clear()
                await self._more.wait()
                continue
            pause_s = self._planned[0].due_at - self._lead_s - time.monotonic()
            if pause_s > 0:
                await asyncio.sleep(pause_s)
                continue
            due, late = self._take(self._planned, time.monotonic() + BEGIN_AHEAD_S)
            self.put_back(late)
            if due:
                await self._begin(due)

    async def start_at_slots(self) -> None:
        """Start what is written down at its slots, until cancelled."""
        while True:
            if not self._begun:
                self._more_begun.clear()
                await self._more_begun.wait()
                continue
            pause_s = self._next_start_at() - time.monotonic()
            if pause_s > 0:
                await asyncio.sleep(pause_s)
                continue
            due, late = self._take(self._begun, time.monotonic())
            started = 0
            for planned in due:
                if self._line.may_start(planned.row.uid, started):
                    self._outlet.start(planned.row, self.limits, planned.prepared)
                    started += 1
                else:
                    late.append(planned.row)
                    self._drop_slots()
            if late:
                self._late += late
                self.queue.changed.set()
            self.wake()

    @property
    def _lead_s(self) -> float:
        """How long before the first slot of some rows they are written down: long enough for the
        write, as the last ones went, so that as many others as possible come along. A probe has
        none, and must be written down before slots are asked for again."""
        if self._line.down or len(self._writes_s) < SLOW_WRITES:
            return BEGIN_AHEAD_S
        return min(BEGIN_AHEAD_S, max(LEAST_LEAD_S, 2 * max(self._writes_s)))

    def _next_start_at(self) -> float:
        """Return when the next rows are to be started."""
        first = at = self._begun[0].due_at
        for planned in self._begun:
            if planned.due_at > first + TOGETHER_S:
                break
            at = planned.due_at
        return at

    def _take(self, rows: deque[Planned], until: float) -> tuple[list[Planned], list[ClaimedSend]]:
        """Take what has its slot until then, and apart from it what is too late by now."""
        due: list[Planned] = []
        late: list[ClaimedSend] = []
        now = time.monotonic()
        while rows:
            rows[0].catch_up(now)
            if rows[0].due_at > until and not rows[0].is_late(now):
                break
            planned = rows.popleft()
            if planned.is_late(now):
                self._was_late = True
                late.append(planned.row)
            else:
                due.append(planned)
        return due, late

    async def _begin(self, due: list[Planned]) -> None:
        self._beginning = due
        began_at = time.monotonic()
        # A process that stood still may hold the campaign no more, and somebody else has called
        # these rows unknown.
        latest = began_at + AHEAD_S
        try:
            prepared = [self._outlet.prepare(one.row) for one in due]
            number, line = self.limits.number, self.limits.line
            refused = await self._ledger.begin(
                self._lease,
                [(p.row, number) for p in due],
                line,
                probe=self._line.probe_of(due[0].row.uid),
                probe_s=self._config.settings.send_timeout_s + POLL_S,
            )
        except NumberHeld:
            # It was held after it gave these slots, and so the later ones do not count either.
            self._beginning = []
            self._drop_slots()
            self.put_back([one.row for one in due])
            return
        except Exception:
            self._beginning = []
            self.put_back([one.row for one in due])
            raise
        self._beginning = []
        self._writes_s.append(time.monotonic() - began_at)
        if refused:
            self._refused(refused)
        for one, body in zip(due, prepared, strict=True):
            if not (refused and one.row in refused):
                begun = Planned(one.at, one.late_s, one.row, one.range, body, latest)
                self._begun.append(begun)
        self._more_begun.set()

    def _drop_slots(self) -> None:
        """Have the rows that are not written down take other slots."""
        rows = [one.row for one in self._planned]
        self._planned.clear()
        self.put_back(rows)

    def _refused(self, rows: list[ClaimedSend]) -> None:
        """Leave rows to those who have them in hand."""
        METRICS.counter(ROWS_REFUSED, "in_hand").add(len(rows))
        uids = [row.uid for row in rows]
        log.error("rows.in_another_ledger", campaign=self._config.name, rows=uids[:5])
        for row in rows:
            self._outlet.refuse(row)
