"""Each send starts at its slot, once, and is written down before."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from sidecar import keys
from sidecar.lease import Lease
from sidecar.redis_client import UNAVAILABLE, Redis
from sidecar.tasks import cancel
from tests.eventually import eventually
from tests.workers.rows import CAMPAIGN, CLAIM, NUMBER, queued
from workers import pacer as module
from workers.ledger import Halted, Ledger, NotTheHolder
from workers.limiter import AHEAD_S, Grant, Limiter
from workers.pacer import LATE_S, Pacer
from workers.rows import QueuedRow, Rows

#: Redis's clock and this process's are compared by asking.
CLOCKS_S = 0.005


@dataclass
class Track:
    """A pacer, its rows, and what it has started, with the time of each."""

    redis: Redis
    lease: Lease
    ledger: Ledger
    limiter: Limiter
    rate: float = 200.0
    room: int = 10_000
    rows: Rows = field(default_factory=Rows)
    started: list[tuple[float, str, str]] = field(default_factory=list)
    pacer: Pacer = field(init=False)

    def __post_init__(self) -> None:
        self.pacer = Pacer(
            self.limiter,
            self.ledger,
            self.lease,
            CAMPAIGN,
            self.rows,
            number_of=lambda row: row.row.from_phone_number_id or NUMBER,
            rate_of=lambda _number: self.rate,
            room=lambda: self.room - len(self.started),
            start=self._start,
        )

    def _start(self, row: QueuedRow, number: str) -> None:
        self.started.append((asyncio.get_running_loop().time(), row.uid, number))

    @property
    def uids(self) -> list[str]:
        return [uid for _, uid, _ in self.started]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[list[asyncio.Task[None]]]:
        tasks = [
            asyncio.create_task(self.pacer.plan()),
            asyncio.create_task(self.pacer.start_at_slots()),
        ]
        try:
            yield tasks
        finally:
            await cancel(tasks)

    async def has_started(self, count: int) -> None:
        await eventually(lambda: len(self.started) >= count)


@pytest.fixture
def track(redis: Redis, campaign_lease_held: Lease, ledger: Ledger) -> Track:
    return Track(redis, campaign_lease_held, ledger, Limiter(redis))


async def test_every_row_starts_once_and_no_faster_than_the_rate(track: Track) -> None:
    rows = [queued() for _ in range(60)]
    track.rows.append(rows)
    began_at = asyncio.get_running_loop().time()
    async with track.running():
        await track.has_started(60)
    assert sorted(track.uids) == sorted(row.uid for row in rows)
    assert {number for _, _, number in track.started} == {NUMBER}
    for count, (at, _, _) in enumerate(track.started):
        assert at >= began_at + count / track.rate - CLOCKS_S


async def test_every_row_is_written_down_before_it_starts(track: Track) -> None:
    """Otherwise it would look unsent after a crash, and be sent again."""
    track.rows.append([queued(f"row-{n}") for n in range(30)])
    begun: set[str] = set()
    begin = track.ledger.begin

    async def note(lease: Lease, sends: list[tuple[QueuedRow, str]]) -> None:
        assert not {row.uid for row, _ in sends} & set(track.uids)
        await begin(lease, sends)
        begun.update(row.uid for row, _ in sends)

    track.ledger.begin = note  # type: ignore[method-assign]
    start = track.pacer._start

    def check(row: QueuedRow, number: str) -> None:
        assert row.uid in begun
        start(row, number)

    track.pacer._start = check
    async with track.running():
        await track.has_started(30)
    assert (await track.ledger.load()).sending == {f"row-{n}": (CLAIM, NUMBER) for n in range(30)}


async def test_rows_that_come_later_are_started_too(track: Track) -> None:
    async with track.running():
        await asyncio.sleep(0.02)
        track.rows.append([queued()])
        await track.has_started(1)
        track.rows.append([queued(), queued()])
        await track.has_started(3)


async def test_no_more_are_under_way_than_there_is_room_for(track: Track) -> None:
    track.room = 4
    track.rows.append([queued() for _ in range(10)])
    async with track.running():
        await track.has_started(4)
        await asyncio.sleep(0.1)
        assert len(track.started) == 4
        assert track.pacer.planned == 0
        track.room = 10
        track.rows.changed.set()
        await track.has_started(10)


async def test_rows_of_several_numbers_start_from_their_own(track: Track) -> None:
    track.rows.append([queued(from_phone_number_id=number) for number in ("1", "1", "2", "1")])
    async with track.running():
        await track.has_started(4)
    assert sorted(number for _, _, number in track.started) == ["1", "1", "1", "2"]
    assert await track.redis.exists(keys.rate("1"), keys.rate("2")) == 2


async def test_what_is_in_front_may_change_while_slots_are_asked_for(
    track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A send that failed puts its row back just then. Every row still starts once, and as one
    that is written down."""
    grant = track.limiter.grant
    late = [queued(f"late-{n}") for n in range(3)]

    async def meanwhile(*args: Any, **more: Any) -> Grant:
        given = await grant(*args, **more)
        if late:
            track.rows.put_back(late.pop())
        return given

    monkeypatch.setattr(track.limiter, "grant", meanwhile)
    track.rows.append([queued(f"row-{n}") for n in range(5)])
    async with track.running():
        await track.has_started(8)
    assert sorted(track.uids) == sorted(
        {f"late-{n}" for n in range(3)} | {f"row-{n}" for n in range(5)}
    )
    assert set((await track.ledger.load()).sending) == set(track.uids)


async def test_a_slot_is_not_used_for_another_number(
    track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = track.limiter.grant
    other = [queued("other", from_phone_number_id="2")]

    async def meanwhile(*args: Any, **more: Any) -> Grant:
        given = await grant(*args, **more)
        if other:
            track.rows.put_back(other.pop())
        return given

    monkeypatch.setattr(track.limiter, "grant", meanwhile)
    track.rows.append([queued("row", from_phone_number_id="1")])
    async with track.running():
        await track.has_started(2)
    assert {uid: number for _, uid, number in track.started} == {"other": "2", "row": "1"}


# -- ending --


async def test_rows_that_were_not_started_are_given_out_again(track: Track) -> None:
    track.rate = 20.0
    rows = [queued() for _ in range(20)]
    track.rows.append(rows)
    async with track.running():
        await track.has_started(2)
    unstarted = track.pacer.take_unstarted()
    assert track.pacer.planned == 0
    assert track.pacer.take_unstarted() == []
    left = track.rows.take(100)
    assert sorted([*track.uids, *(row.uid for row in [*unstarted, *left])]) == sorted(
        row.uid for row in rows
    )
    assert 0 < len(unstarted) <= AHEAD_S * track.rate + 1
    assert set((await track.ledger.load()).sending) == set(track.uids)


async def test_a_halted_campaign_starts_nothing_more(track: Track) -> None:
    track.rows.append([queued() for _ in range(200)])
    async with track.running() as tasks:
        await track.has_started(5)
        await track.redis.set(keys.halt(CAMPAIGN), "paused")
        await eventually(lambda: all(task.done() for task in tasks))
        count = len(track.started)
        assert {type(task.exception()) for task in tasks} == {Halted}
    rest = [*track.pacer.take_unstarted(), *track.rows.take(1000)]
    assert count + len(rest) == 200
    assert set((await track.ledger.load()).sending) == set(track.uids)


async def test_a_lost_lease_starts_nothing_more_not_even_what_has_a_slot(track: Track) -> None:
    track.rate = 20.0
    track.rows.append([queued() for _ in range(20)])
    async with track.running() as tasks:
        await track.has_started(2)
        await track.redis.set(track.lease.key, track.lease.token + 1)
        await eventually(tasks[1].done)
        assert isinstance(tasks[1].exception(), NotTheHolder)
    assert set((await track.ledger.load()).sending) == set(track.uids)


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
        raise UNAVAILABLE[0]("gone")

    monkeypatch.setattr(owner, what, fail)
    rows = [queued(f"row-{n}") for n in range(20)]
    track.rows.append(rows)
    while len(track.started) < 20:
        async with track.running() as tasks:
            await eventually(lambda: len(track.started) == 20 or any(t.done() for t in tasks))
        track.rows.append(track.pacer.take_unstarted())
    assert sorted(track.uids) == sorted(row.uid for row in rows)
    assert set((await track.ledger.load()).sending) == set(track.uids)


async def test_it_is_stopped_while_it_writes_down(
    track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those rows were certainly not started."""
    waiting = asyncio.Event()

    async def hang(*_: object) -> None:
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


async def test_what_piled_up_does_not_go_out_in_one_burst(track: Track) -> None:
    """The process stood still for longer than slots are given out ahead."""
    track.rate = 100.0
    track.rows.append([queued() for _ in range(60)])
    async with track.running():
        await track.has_started(3)
        time.sleep(0.4)
        went_on_at = asyncio.get_running_loop().time()
        before = len(track.started)
        await track.has_started(60)
    burst = LATE_S * track.rate + 1
    for count, (at, _, _) in enumerate(track.started[before:]):
        assert at >= went_on_at + (count - burst) / track.rate - CLOCKS_S
    assert len(set(track.uids)) == 60


async def test_redis_was_held_up_while_it_was_written_down(
    track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AHEAD_S", 0.02)
    begin = track.ledger.begin
    slow = [0.1]

    async def slowly(*args: Any) -> None:
        if slow:
            await asyncio.sleep(slow.pop())
        await begin(*args)

    monkeypatch.setattr(track.ledger, "begin", slowly)
    rows = [queued() for _ in range(10)]
    track.rows.append(rows)
    async with track.running():
        await track.has_started(10)
    assert sorted(track.uids) == sorted(row.uid for row in rows)


async def test_a_slow_number_is_not_starved_by_a_loop_that_is_a_little_late(
    track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row, at one in ten seconds, on a loop that is always 30 ms late: it is started at its
    first slot, and does not wait for another and another."""
    track.rate = 0.1
    sleep = asyncio.sleep

    async def late(seconds: float) -> None:
        await sleep(seconds + 0.03)

    class Lagging:
        def __getattr__(self, name: str) -> Any:
            return late if name == "sleep" else getattr(asyncio, name)

    track.rows.append([queued()])
    await track.limiter.hold(NUMBER, 0.1)
    monkeypatch.setattr(module, "asyncio", Lagging())
    async with track.running():
        await track.has_started(1)
