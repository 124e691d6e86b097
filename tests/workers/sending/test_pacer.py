"""Each send starts at its slot, once, and is written down before."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from contracts.backend import VendorConfig
from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable
from sidecar.redis.lease import Lease, LeaseLost
from sidecar.settings import Settings
from sidecar.tasks import cancel
from tests.conftest import MakeSettings
from tests.eventually import eventually
from tests.workers.rows import CAMPAIGN, CLAIM, NUMBER, queued, state_of
from tests.workers.sending.test_slots import in_range
from tests.workers.slots import limits
from workers.sending import pacer as module
from workers.sending.cloud_api import Attempt, Prepared
from workers.sending.holds import Hold, Pause, Scope
from workers.sending.ledger import BEGIN_AHEAD_S, Halted, Ledger
from workers.sending.limiter import AHEAD_S, Grant, Limiter
from workers.sending.limits import Limits
from workers.sending.pacer import (
    LATE_S,
    LEAST_LEAD_S,
    LEAST_SLOTS,
    PATIENCE_S,
    SLOW_WRITES,
    Pacer,
)
from workers.sending.send_config import SendConfig
from workers.sending.send_queue import ClaimedSend, SendQueue
from workers.sending.slots import Planned, Range

#: Redis's clock and this process's are compared by asking.
CLOCKS_S = 0.005


@dataclass
class Track:
    """A pacer, its rows, and what it has started, with the time of each."""

    redis: Redis
    lease: Lease
    ledger: Ledger
    limiter: Limiter
    settings: Settings
    most: int = 10_000
    started: list[tuple[float, str]] = field(default_factory=list)
    postponed: list[tuple[str, float]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    passed_on: list[str] = field(default_factory=list)
    asks: int = 0
    api_asks: int = 0
    #: What comes of asking the API, before it answers.
    answers_of_asking: list[Attempt] = field(default_factory=list)
    pacer: Pacer = field(init=False)

    def __post_init__(self) -> None:
        self.paced(200.0)

    def paced(self, rate: float, **more: Any) -> None:
        """Have a pacer of this rate, before it runs."""
        where = limits(rate, **more)
        vendor = VendorConfig(vendor_uid="vendor-1", current_phone_number_id=where.number)
        config = SendConfig(self.settings, vendor, CAMPAIGN)
        self.pacer = Pacer(self.limiter, self.ledger, self.lease, where, config, outlet=self)

    @property
    def room(self) -> int:
        return self.most - len(self.started) - self.pacer.planned

    def prepare(self, row: ClaimedSend) -> Prepared | None:
        return Prepared(None, row.uid.encode())

    def start(self, row: ClaimedSend, limits: Limits, prepared: Prepared | None) -> None:
        assert prepared == self.prepare(row)
        self.started.append((time.monotonic(), row.uid))

    def postpone(self, row: ClaimedSend, wait_s: float) -> None:
        self.postponed.append((row.uid, wait_s))

    def refuse(self, row: ClaimedSend) -> None:
        self.refused.append(row.uid)

    def put(self, rows: list[ClaimedSend]) -> None:
        self.passed_on += [row.uid for row in rows]

    def asked(self, pacer: Pacer) -> None:
        self.asks += 1

    async def ask_api(self, limits: Limits, timeout_s: float) -> Attempt | None:
        self.api_asks += 1
        return self.answers_of_asking.pop(0) if self.answers_of_asking else None

    @property
    def rows(self) -> SendQueue:
        return self.pacer.queue

    @property
    def uids(self) -> list[str]:
        return [uid for _, uid in self.started]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[list[asyncio.Task[None]]]:
        tasks = [
            asyncio.create_task(self.pacer.plan()),
            asyncio.create_task(self.pacer.begin_before_slots()),
            asyncio.create_task(self.pacer.start_at_slots()),
        ]
        try:
            yield tasks
        finally:
            await cancel(tasks)

    async def has_started(self, count: int) -> None:
        await eventually(lambda: len(self.started) >= count)


@pytest.fixture
async def track(
    redis: Redis, campaign_lease_held: Lease, ledger: Ledger, make_settings: MakeSettings
) -> Track:
    limiter = Limiter(redis)
    for _ in range(20):  # the quickest answer tells how the clocks differ
        seconds, micros = await redis.time()
        limiter.clock.told(seconds + micros / 1e6)
    return Track(redis, campaign_lease_held, ledger, limiter, make_settings())


@pytest.fixture
def never_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow a busy machine writes, no row may be later for it."""
    monkeypatch.setattr(module, "SLOW_WRITES", 10**6)


async def test_every_row_starts_once_and_no_faster_than_the_rate(track: Track) -> None:
    rows = [queued() for _ in range(60)]
    track.rows.append(rows)
    began_at = time.monotonic()
    async with track.running():
        await track.has_started(60)
    assert sorted(track.uids) == sorted(row.uid for row in rows)
    for count, (at, _) in enumerate(track.started):
        assert at >= began_at + count / 200 - CLOCKS_S


async def test_every_row_is_written_down_before_it_starts(track: Track) -> None:
    """Otherwise it would look unsent after a crash, and be sent again."""
    track.rows.append([queued(f"row-{n}") for n in range(30)])
    begun: set[str] = set()
    begin = track.ledger.begin

    async def note(
        lease: Lease, sends: list[tuple[ClaimedSend, str]], *where: Any, **more: Any
    ) -> list[ClaimedSend]:
        assert not {row.uid for row, _ in sends} & set(track.uids)
        refused = await begin(lease, sends, *where, **more)
        begun.update(row.uid for row, _ in sends)
        return refused

    track.ledger.begin = note  # type: ignore[method-assign]
    start = track.start

    def check(row: ClaimedSend, limits: Limits, prepared: Prepared | None) -> None:
        assert row.uid in begun
        start(row, limits, prepared)

    track.start = check  # type: ignore[method-assign]
    async with track.running():
        await track.has_started(30)
    assert (await state_of(track.ledger)).sending == {
        f"row-{n}": (CLAIM, NUMBER) for n in range(30)
    }


async def test_rows_that_come_later_are_started_too(track: Track) -> None:
    async with track.running():
        await asyncio.sleep(0.02)
        track.rows.append([queued()])
        await track.has_started(1)
        track.rows.append([queued(), queued()])
        await track.has_started(3)


async def test_no_more_are_under_way_than_there_is_room_for(track: Track) -> None:
    track.most = 4
    track.rows.append([queued() for _ in range(10)])
    async with track.running():
        await track.has_started(4)
        await asyncio.sleep(0.1)
        assert len(track.started) == 4
        assert track.pacer.planned == 0
        track.most = 10
        track.rows.changed.set()
        await track.has_started(10)


async def test_a_row_that_comes_back_while_slots_are_asked_for_is_started_once(
    track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = track.limiter.grant
    late = [queued(f"late-{n}") for n in range(3)]

    async def meanwhile(*args: Any, **more: Any) -> Grant:
        given = await grant(*args, **more)
        if late:
            track.rows.put_back([late.pop()])
        return given

    monkeypatch.setattr(track.limiter, "grant", meanwhile)
    track.rows.append([queued(f"row-{n}") for n in range(5)])
    async with track.running():
        await track.has_started(8)
    assert sorted(track.uids) == sorted(
        {f"late-{n}" for n in range(3)} | {f"row-{n}" for n in range(5)}
    )
    assert set((await state_of(track.ledger)).sending) == set(track.uids)


async def test_rows_that_are_asked_slots_for_are_not_lost_from_sight(
    track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the campaign would look finished just then."""
    asked = asyncio.Event()

    async def hang(*_: object, **__: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(track.limiter, "grant", hang)
    track.rows.append([queued("row-1"), queued("row-2")])
    async with track.running():
        await asyncio.wait_for(asked.wait(), 5)
        assert (track.pacer.planned, track.pacer.unstarted, len(track.rows)) == (2, 2, 0)
    assert [row.uid for row in track.pacer.take_unstarted()] == ["row-1", "row-2"]


# -- together --


async def test_neighbouring_slots_are_written_down_together(
    track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, groups = track.ledger.begin, list[int]()

    async def note(lease: Lease, sends: Any, *where: Any, **more: Any) -> list[ClaimedSend]:
        groups.append(len(sends))
        return await begin(lease, sends, *where, **more)

    monkeypatch.setattr(track.ledger, "begin", note)
    track.pacer._writes_s.extend([0.001] * SLOW_WRITES)
    first, slots = time.monotonic() + 0.1, Range(time.monotonic() + 60)
    for place in range(10):
        track.pacer._planned.append(Planned(first + place / 1000, LATE_S, queued(), slots))
    async with track.running():
        await track.has_started(10)
    assert groups == [10]
    assert all(at >= first + n / 1000 for n, (at, _) in enumerate(track.started))


@pytest.mark.parametrize(
    ("slots_ms", "next_ms"),
    [([5], 5), ([5, 6, 7, 8, 9], 8), ([5, 17.5, 30], 5), ([5, 7, 9, 11], 7)],
)
def test_what_is_started_together(track: Track, slots_ms: list[float], next_ms: float) -> None:
    for at in slots_ms:
        track.pacer._begun.append(Planned(at / 1000, LATE_S, queued(), Range(1.0)))
    assert track.pacer._next_start_at() == next_ms / 1000


@pytest.mark.parametrize(
    ("writes_ms", "lead_s"),
    [
        ([1] * (SLOW_WRITES - 1), BEGIN_AHEAD_S),
        ([1] * SLOW_WRITES, LEAST_LEAD_S),
        ([1] * (SLOW_WRITES - 1) + [4.5], 0.009),
        ([1] * (SLOW_WRITES - 1) + [200], BEGIN_AHEAD_S),
    ],
    ids=["nothing is known", "quick", "slower", "slow"],
)
def test_a_write_is_given_the_time_that_writes_take(
    track: Track, writes_ms: list[float], lead_s: float
) -> None:
    track.pacer._writes_s.extend(write / 1000 for write in writes_ms)
    assert track.pacer._lead_s == lead_s


async def test_calls_that_end_one_by_one_do_not_ask_for_slots_one_by_one(track: Track) -> None:
    track.most = 40
    start = track.start

    def and_end(row: ClaimedSend, limits: Limits, prepared: Prepared | None) -> None:
        start(row, limits, prepared)
        track.most += 1
        asyncio.get_running_loop().call_later(len(track.started) / 1e5, track.pacer.wake)

    track.start = and_end  # type: ignore[method-assign]
    track.paced(5000.0)
    track.rows.append([queued() for _ in range(300)])
    async with track.running():
        await track.has_started(300)
    assert track.asks < 100


# -- recipients that have had too much --


async def test_a_row_that_comes_back_unsent_has_not_used_up_its_recipient(track: Track) -> None:
    row = queued()
    track.rows.append([row])
    async with track.running():
        for count in range(1, 100):
            await track.has_started(count)
            track.pacer.put_back([row])
        await track.has_started(100)
    assert not track.postponed


async def test_a_recipient_that_has_had_too_much_waits_alone(track: Track) -> None:
    await track.limiter.hold_pair(NUMBER, "1", 0.4)
    track.rows.append([queued("held", to="1"), *(queued(f"row-{n}") for n in range(20))])
    began_at = time.monotonic()
    async with track.running():
        await track.has_started(21)
    assert track.uids[-1] == "held"
    assert track.started[-1][0] >= began_at + 0.4 - CLOCKS_S
    assert not track.postponed


async def test_one_that_waits_for_long_does_so_in_the_queue(track: Track) -> None:
    await track.limiter.hold_pair(NUMBER, "1", PATIENCE_S + 30)
    track.rows.append([queued("held", to="1"), queued("other")])
    async with track.running():
        await track.has_started(1)
        await eventually(lambda: track.postponed)
    assert track.uids == ["other"]
    [(uid, wait_s)] = track.postponed
    assert uid == "held"
    assert PATIENCE_S + 25 < wait_s <= PATIENCE_S + 30
    assert track.pacer.unstarted == 0


async def test_not_too_many_wait_here(track: Track, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PARKED", 3)
    await track.limiter.hold_pair(NUMBER, "1", 20)
    track.rows.append([queued(to="1") for _ in range(10)])
    async with track.running():
        await eventually(lambda: len(track.postponed) == 7)
    assert track.rows.parked == 3


# -- being held --


@pytest.mark.parametrize("line", [NUMBER, f"vendor-1/{NUMBER}"], ids=["of all", "of a vendor"])
async def test_a_hold_stops_also_what_has_a_slot(track: Track, line: str) -> None:
    track.paced(40.0, line=line)
    track.rows.append([queued() for _ in range(40)])
    async with track.running():
        await track.has_started(3)
        await track.limiter.throttled(line, track.limiter.clock.now())
        held_at, before = time.monotonic(), len(track.started)
        await track.has_started(before + 5)
    late = [at for at, _ in track.started[before:]]
    begun = BEGIN_AHEAD_S * 40 + 1
    assert sum(at < held_at + 1 - CLOCKS_S for at in late) <= begun, "what was written down"
    rest = track.pacer.take_unstarted()
    assert len({*track.uids, *(row.uid for row in rest)}) == 40


@pytest.mark.parametrize(("seconds", "blocked"), [(PATIENCE_S + 5, True), (5.0, False)])
async def test_it_tells_when_all_has_to_wait_for_long(
    track: Track, seconds: float, blocked: bool
) -> None:
    pause = Pause(Scope.ACCOUNT, seconds, seconds)
    where = limits(200.0)
    await track.limiter.hold(where, Hold(pause, "80007 limit"), sent_at=time.time())
    track.rows.append([queued(), queued()])
    async with track.running():
        if blocked:
            block = await eventually(lambda: track.pacer.blocked)
            assert block.reason == "80007 limit"
            assert 30 < block.until - time.monotonic() < seconds * 1.25
            await track.redis.delete(keys.hold("account", where.account))
            await track.has_started(2)
        else:
            await eventually(lambda: track.pacer.planned == 0)
    assert track.pacer.blocked is None
    assert not track.postponed, "the campaign waits as a whole"


# -- ending --


async def test_rows_that_were_not_started_are_given_out_again(track: Track) -> None:
    track.paced(20.0)
    rows = [queued() for _ in range(20)]
    track.rows.append(rows)
    async with track.running():
        await track.has_started(2)
        planned = track.pacer.planned
    unstarted = track.pacer.take_unstarted()
    assert track.pacer.unstarted == 0
    assert track.pacer.take_unstarted() == []
    assert sorted([*track.uids, *(row.uid for row in unstarted)]) == sorted(row.uid for row in rows)
    assert planned > 0
    written_down = set((await state_of(track.ledger)).sending)
    assert set(track.uids) <= written_down
    assert len(written_down) < 20, "only what has its slot soon"


async def test_a_halted_campaign_starts_nothing_more(track: Track) -> None:
    track.rows.append([queued() for _ in range(200)])
    async with track.running() as tasks:
        await track.has_started(5)
        await track.redis.set(keys.halt(CAMPAIGN), "paused")
        await eventually(lambda: tasks[0].done() and tasks[1].done())
        assert {type(task.exception()) for task in tasks[:2]} == {Halted}
    count = len(track.started)
    assert count + len(track.pacer.take_unstarted()) == 200
    assert set(track.uids) <= set((await state_of(track.ledger)).sending)


async def test_a_lost_lease_starts_nothing_more_not_even_what_has_a_slot(track: Track) -> None:
    track.paced(20.0)
    track.rows.append([queued() for _ in range(20)])
    async with track.running() as tasks:
        await track.has_started(2)
        await track.redis.set(track.lease.key, track.lease.token + 1)
        written_down = set((await state_of(track.ledger)).sending)
        await eventually(tasks[1].done)
        assert isinstance(tasks[1].exception(), LeaseLost)
    assert set(track.uids) <= written_down, "nothing more was begun"
    assert len(track.started) < 20


Step = Callable[..., Awaitable[Any]]


@pytest.mark.parametrize("executed", [True, False], ids=["and answers too late", "at once"])
@pytest.mark.parametrize("what", ["grant", "begin"])
async def test_redis_goes_away_and_no_row_is_lost_or_started_twice(
    track: Track, monkeypatch: pytest.MonkeyPatch, what: str, executed: bool
) -> None:
    owner: Any = track.limiter if what == "grant" else track.ledger
    step: Step = getattr(owner, what)
    failures = [1, 2, 3]

    async def fail(*args: Any, **more: Any) -> Any:
        if not failures:
            return await step(*args, **more)
        failures.pop()
        if executed:
            await step(*args, **more)
        raise RedisUnavailable[0]("gone")

    monkeypatch.setattr(owner, what, fail)
    rows = [queued(f"row-{n}") for n in range(20)]
    track.rows.append(rows)
    while len(track.started) < 20:
        async with track.running() as tasks:
            await eventually(lambda: len(track.started) == 20 or any(t.done() for t in tasks))
        track.rows.append(track.pacer.take_unstarted())
    assert sorted(track.uids) == sorted(row.uid for row in rows)
    assert set((await state_of(track.ledger)).sending) == set(track.uids)


async def test_it_is_stopped_while_it_writes_down(
    track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those rows were certainly not started."""
    waiting = asyncio.Event()

    async def hang(*_: object, **more: object) -> None:
        waiting.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(track.ledger, "begin", hang)
    track.rows.append([queued("row-1")])
    async with track.running():
        await asyncio.wait_for(waiting.wait(), 5)
        assert track.pacer.planned == 1
    assert [row.uid for row in track.pacer.take_unstarted()] == ["row-1"]
    assert not track.started


# -- being late --


def test_rows_behind_one_that_is_too_late_are_no_burst(
    track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 0.07))
    gone = Planned(0.0, LATE_S, queued(), slots := Range(60.0), None, latest=0.05)
    waiting = deque([gone, *in_range(30, slots)])
    due, late = track.pacer._take(waiting, 0.0701)
    assert late == [gone.row]
    assert len(due) == 3, "as many as fit into what they may be late"


def test_what_is_too_late_in_a_range_leaves_at_once(
    track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = Range(0.2, behind_s=0.15)
    waiting = deque(in_range(20, slots))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 0.25))
    due, late = track.pacer._take(waiting, 0.25)
    assert (len(due), len(late), len(waiting)) == (0, 20, 0)


def test_a_process_that_cannot_keep_up_takes_fewer_slots_ahead(track: Track) -> None:
    late = [Planned(0.0, LATE_S, queued(), Range(0.0))]
    rooms = []
    for _ in range(12):
        track.pacer._take(deque(late), time.monotonic())
        track.pacer._adapt()
        rooms.append(track.pacer._room)
    assert rooms == sorted(rooms, reverse=True)
    assert (rooms[0] > 40, rooms[-1]) == (True, LEAST_SLOTS)
    for _ in range(20):
        track.pacer._adapt()
    assert track.pacer._room >= rooms[0], "and more again when it does"


async def test_a_process_that_was_held_up_loses_no_more_slots_than_passed(track: Track) -> None:
    """It goes on where it was, as far apart as before."""
    track.rows.append([queued() for _ in range(60)])
    async with track.running():
        await track.has_started(5)
        time.sleep(0.1)
        before = len(track.started)
        await track.has_started(60)
    burst = LATE_S * 200 + 1
    went_on_at = track.started[before][0]
    for count, (at, _) in enumerate(track.started[before:]):
        assert at >= went_on_at + (count - burst) / 200 - CLOCKS_S


@pytest.mark.usefixtures("never_slow")
async def test_what_piled_up_does_not_go_out_in_one_burst(track: Track) -> None:
    """The process stood still for longer than slots are given out ahead."""
    track.paced(100.0)
    track.rows.append([queued() for _ in range(60)])
    async with track.running():
        await track.has_started(3)
        time.sleep(0.4)
        went_on_at = time.monotonic()
        before = len(track.started)
        await track.has_started(60)
    burst = LATE_S * 100 + 1
    for count, (at, _) in enumerate(track.started[before:]):
        assert at >= went_on_at + (count - burst) / 100 - CLOCKS_S
    assert len(set(track.uids)) == 60


async def test_what_is_taken_back_in_the_ledger_is_still_there_meanwhile(
    track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A campaign's run ends when it sees no rows any more."""
    there: list[int] = []
    not_sent = track.ledger.not_sent

    async def look(rows: list[ClaimedSend]) -> None:
        there.append(track.pacer.unstarted + len(track.started))
        await not_sent(rows)

    monkeypatch.setattr(track.ledger, "not_sent", look)
    track.paced(100.0)
    track.rows.append([queued() for _ in range(30)])
    async with track.running():
        await track.has_started(3)
        await eventually(lambda: len(track.pacer._begun) > 0)
        time.sleep(0.4)
        await track.has_started(30)
    assert there == [30] * len(there)
    assert there, "nothing was too late"


@pytest.mark.usefixtures("never_slow")
async def test_redis_was_held_up_while_it_was_written_down(
    track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then these would be a burst, so they get other slots."""
    track.paced(100.0)
    begin = track.ledger.begin
    slow = [0.3]

    async def slowly(*args: Any, **more: Any) -> None:
        if slow:
            await asyncio.sleep(slow.pop())
        await begin(*args, **more)

    monkeypatch.setattr(track.ledger, "begin", slowly)
    rows = [queued() for _ in range(30)]
    track.rows.append(rows)
    async with track.running():
        await track.has_started(30)
    assert sorted(track.uids) == sorted(row.uid for row in rows)
    times = [at for at, _ in track.started]
    for earlier, later in zip(times, times[10:], strict=False):
        assert later - earlier >= 0.1 - LATE_S - CLOCKS_S


async def test_a_redis_that_is_always_slow_does_not_keep_everything_back(
    track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every write takes longer than a row may be late."""
    track.paced(100.0)
    begin = track.ledger.begin

    async def slowly(*args: Any, **more: Any) -> None:
        await asyncio.sleep(0.12)
        await begin(*args, **more)

    monkeypatch.setattr(track.ledger, "begin", slowly)
    track.rows.append([queued() for _ in range(20)])
    async with track.running():
        await track.has_started(20)


async def test_a_process_that_stood_still_does_not_send_what_it_has_written_down(
    track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even at a rate at which half a minute is not late: the campaign may be somebody else's
    by now."""
    track.paced(0.02)
    begin = track.ledger.begin
    written_down = asyncio.Event()

    async def says_that_it_was_not_sent() -> bool:
        return set((await state_of(track.ledger)).claimed) == {"row-1"}

    async def and_stand_still(*args: Any, **more: Any) -> None:
        await begin(*args, **more)
        written_down.set()
        asyncio.get_running_loop().call_soon(time.sleep, AHEAD_S + 0.1)

    monkeypatch.setattr(track.ledger, "begin", and_stand_still)
    track.rows.append([queued("row-1")])
    async with track.running():
        await asyncio.wait_for(written_down.wait(), 5)
        await eventually(says_that_it_was_not_sent)
        assert not track.started
    assert [row.uid for row in track.pacer.take_unstarted()] == ["row-1"]


async def test_a_slow_number_is_not_starved_by_a_loop_that_is_a_little_late(
    track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row, at one in ten seconds, on a loop that is always 30 ms late: it is started at its
    first slot, and does not wait for another and another."""
    track.paced(0.1)
    sleep = asyncio.sleep

    async def late(seconds: float) -> None:
        await sleep(seconds + 0.03)

    class Lagging:
        def __getattr__(self, name: str) -> Any:
            return late if name == "sleep" else getattr(asyncio, name)

    track.rows.append([queued()])
    pause = Pause(Scope.NUMBER, 0.1, 0.1)
    await track.limiter.hold(limits(0.1), Hold(pause, "a test"), sent_at=time.time())
    monkeypatch.setattr(module, "asyncio", Lagging())
    async with track.running():
        await track.has_started(1)


# -- settings that change --


async def test_rows_that_go_from_another_number_by_now_are_passed_on(track: Track) -> None:
    """Those that have a number of their own stay."""
    own = queued(from_phone_number_id=NUMBER)
    others = [queued() for _ in range(3)]
    track.rows.append([*others, own])
    track.rows.park(waiting := queued(), time.monotonic() + 100)
    track.pacer._config.vendor = VendorConfig(vendor_uid="vendor-1", current_phone_number_id="220")
    track.pacer.follow(limits(200.0))
    assert track.passed_on == [row.uid for row in (*others, waiting)]
    async with track.running():
        await track.has_started(1)
    assert track.uids == [own.uid]


async def test_a_row_without_a_slot_yet_is_passed_on_as_well(
    track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was being asked a slot for when the number changed."""
    grant = track.limiter.grant

    async def change(*args: Any, **more: Any) -> Any:
        monkeypatch.setattr(track.limiter, "grant", grant)
        vendor = VendorConfig(vendor_uid="vendor-1", current_phone_number_id="220")
        track.pacer._config.vendor = vendor
        track.pacer.follow(limits(200.0))
        raise RedisUnavailable[0]("gone")

    monkeypatch.setattr(track.limiter, "grant", change)
    rows = [queued() for _ in range(200)]
    track.rows.append(rows)
    with pytest.raises(RedisUnavailable):
        await track.pacer.plan()
    assert sorted(track.passed_on) == sorted(row.uid for row in rows)


async def test_a_changed_rate_counts_from_the_next_slots_on(track: Track) -> None:
    track.rows.append([queued() for _ in range(60)])
    async with track.running():
        await track.has_started(5)
        track.pacer.follow(limits(20.0))
        await track.has_started(52)
        slow = len(track.started)
        await track.has_started(slow + 3)
    late = [at for at, _ in track.started[slow:]]
    assert late[2] - late[0] >= 2 / 20 - CLOCKS_S
