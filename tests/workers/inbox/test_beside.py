"""Batches beside the lane's, each of one vendor."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.inbox.partitions import drain_lease
from sidecar.redis import keys
from sidecar.redis.lease import Lease, Leases
from sidecar.redis.memory_guard import MemoryGuard
from tests.workers.conftest import MakeLane
from tests.workers.lane import LaneUnderTest
from tests.workers.payloads import make_update, texts
from workers.inbox.batch import Batch
from workers.inbox.beside import BUSY_MS, Beside
from workers.inbox.commit import Commit
from workers.inbox.isolation import SharedLock
from workers.inbox.processor import Deliver, Processor, Record
from workers.inbox.reader import FairReader, LanePolicy
from workers.inbox.retries import Retries
from workers.inbox.update import Update

A, B = "vendor-a", "vendor-b"


@dataclass
class Processing:
    """Stands for the processor: keeps what it is given; ``gate`` holds it up."""

    batches: list[Batch] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def process(self, batch: Batch, deliver: Deliver, lease: Lease, record: Record) -> bool:
        self.batches.append(batch)
        await self.gate.wait()
        return True


@dataclass
class Stand:
    lane: LaneUnderTest
    lease: Lease
    processing: Processing = field(default_factory=Processing)

    def __post_init__(self) -> None:
        policy = LanePolicy.of(self.lane.lane, self.lane.settings)
        guard = MemoryGuard(self.lane.redis, self.lane.settings.inbox_memory_share)
        self.isolated = self.lane.delivery.isolated
        self.beside = Beside(
            policy,
            FairReader(self.lane.redis, policy, guard),
            Retries(self.lane.redis, self.lane.lane),
            self.lane.delivery,
            cast(Processor, self.processing),
            SharedLock(),
        )

    async def wait(self, *updates: Update) -> None:
        """Have updates wait that are due."""
        commit = Commit(self.lane.redis, self.lane.lane, self.lease)
        for update in updates:
            commit.count(update.vendor_uid, "updates")
            commit.defer(update, 1)
        await commit.commit()

    async def start_due(self) -> list[str]:
        """Return the order keys that may go with what is fresh."""
        return sorted(await self.beside.start_due(self.lease))

    async def end(self) -> list[tuple[list[str], list[str]]]:
        """Let all end; return the vendors of what was fresh, and the order keys of what waited, of
        each batch."""
        self.processing.gate.set()
        while self.beside:
            await self.beside.wait(5)
            self.beside.clear_ended()
        return sorted(
            ([taken.vendor_uid for taken in batch.fresh], sorted(batch.waited))
            for batch in self.processing.batches
        )


def waiting(vendor_uid: str, contact: str, attempts: int = 0) -> Update:
    order_key = f"{vendor_uid}/{contact}"
    return make_update(vendor_uid=vendor_uid, order_key=order_key, attempts=attempts)


@pytest.fixture
async def stand(make_lane: MakeLane, leases: Leases) -> AsyncIterator[Stand]:
    async with leases.hold(drain_lease(Lane.MESSAGES)) as lease:
        assert lease is not None
        one = Stand(make_lane(Lane.MESSAGES), lease)
        yield one
        await one.beside.cancel()


async def test_nothing_waits(stand: Stand) -> None:
    assert not await stand.beside.anything_due()
    assert await stand.start_due() == []
    assert not stand.beside


async def test_what_php_has_refused_goes_alone(stand: Stand) -> None:
    await stand.wait(waiting(A, "1", attempts=1), waiting(A, "2"), waiting(B, "1", attempts=2))
    assert await stand.beside.anything_due()
    assert await stand.start_due() == [f"{A}/2"], "it was only behind another"
    assert await stand.end() == [([], [f"{A}/1"]), ([], [f"{B}/1"])]


async def test_everything_of_an_isolated_vendor_goes_alone(stand: Stand) -> None:
    stand.isolated.confirm(A, "500")
    await stand.wait(waiting(A, "1"), waiting(A, "2", attempts=1), waiting(B, "1"))
    await stand.lane.receive(*texts("a"), vendor=A)
    assert await stand.start_due() == [f"{B}/1"]
    assert await stand.end() == [([], [f"{A}/2"]), ([A], [f"{A}/1"])]


async def test_fresh_ones_of_isolated_vendors(stand: Stand) -> None:
    stand.isolated.confirm(A, "500")
    await stand.lane.receive(*texts("a"), vendor=A)
    stand.beside.start_fresh(stand.lease, [A])
    assert await stand.end() == [([A], [])]


async def test_what_is_under_way_is_not_started_again(stand: Stand) -> None:
    await stand.wait(waiting(A, "1", attempts=1))
    await stand.start_due()
    assert not await stand.beside.anything_due()
    assert await stand.start_due() == []
    assert len(await stand.end()) == 1


async def test_a_vendor_whose_batch_is_under_way_stands_aside(stand: Stand) -> None:
    """So that others are seen."""
    await stand.wait(waiting(A, "1", attempts=1))
    await stand.start_due()
    await stand.wait(waiting(A, "2", attempts=1))
    before = now_ms()
    await stand.start_due()
    due_at = await stand.lane.redis.zscore(keys.deferred(Lane.MESSAGES), f"{A}/2")
    assert due_at is not None
    assert due_at >= before + BUSY_MS
    assert await stand.end() == [([], [f"{A}/1"])]


async def test_a_vendor_that_has_to_wait_is_blocked(stand: Stand) -> None:
    assert stand.beside.blocked() == set()
    stand.isolated.confirm(A, "500")
    assert stand.beside.blocked() == set()
    stand.isolated.failed(A, "500")
    assert stand.beside.blocked() == {A}
    stand.beside.start_fresh(stand.lease, [A])
    assert not stand.beside


async def test_none_is_started_once_it_is_closed(stand: Stand) -> None:
    await stand.wait(waiting(A, "1", attempts=1))
    stand.beside.close()
    await stand.start_due()
    assert not stand.beside


async def test_a_failure_of_ours_is_raised(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(stand.processing, "process", fail)
    await stand.wait(waiting(A, "1", attempts=1))
    await stand.start_due()
    await stand.beside.wait(5)
    with pytest.raises(ZeroDivisionError):
        stand.beside.clear_ended()
