"""A target gets what waits for it in order; one that fails is left alone for ever longer."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from sidecar.clock import now_ms
from sidecar.notify.delivery import GIVE_UP_MS, LONGEST_MS, Delivery
from sidecar.ops.notifications import LEASE, Notifications, TargetState
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease, Leases
from tests.sidecar.notify.told import Paper, make_notification


@dataclass
class Desk:
    redis: Redis
    lease: Lease
    stored: Notifications
    papers: dict[str, Paper]
    delivery: Delivery

    async def queue(self, *ids: str, at: int | None = None) -> None:
        for id_ in ids:
            one = make_notification(id_=id_, at=at or now_ms())
            await self.stored.record(self.lease, {}, [], dict.fromkeys(self.papers, one), one.at)

    async def state(self, name: str = "a") -> TargetState:
        return next(one for one in await self.stored.targets([name]) if one.name == name)

    async def run(self) -> None:
        await self.delivery.run(self.lease)

    async def let_pauses_end(self, name: str = "a") -> None:
        state = await self.state(name)
        await self.stored.failed(self.lease, state, state.reason, state.since, 0)

    def sent(self, name: str = "a") -> list[str]:
        return [one.id for one in self.papers[name].sent]


@pytest.fixture
async def desk(redis: Redis) -> AsyncIterator[Desk]:
    async with Leases(redis, 10_000).hold(LEASE) as lease:
        assert lease is not None
        stored, papers = Notifications(redis), {"a": Paper(), "b": Paper()}
        yield Desk(redis, lease, stored, papers, Delivery(redis, stored, dict(papers)))


async def test_each_target_gets_all_in_order(desk: Desk) -> None:
    await desk.queue("1", "2", "3")
    await desk.run()
    await desk.run()
    assert desk.sent("a") == desk.sent("b") == ["1", "2", "3"]


async def test_one_that_fails_delays_no_other_and_is_left_alone_for_a_while(desk: Desk) -> None:
    desk.papers["a"].trouble = "a.example answers 500"
    await desk.queue("1", "2")
    await desk.run()
    await desk.run()
    assert desk.sent("b") == ["1", "2"]
    assert desk.papers["a"].tried == 1
    state = await desk.state()
    assert (state.waiting, state.failures, state.reason) == (2, 1, "a.example answers 500")
    assert 4_000 < state.again_at - now_ms() <= 5_000


async def test_its_pauses_grow_and_end_with_what_it_takes(desk: Desk) -> None:
    desk.papers["a"].trouble = "down"
    await desk.queue("1")
    pauses = []
    for _ in range(3):
        await desk.run()
        state = await desk.state()
        pauses.append(round((state.again_at - now_ms()) / 1000))
        await desk.let_pauses_end()
    assert pauses == [5, 20, 80], "each time two failures further"
    desk.papers["a"].trouble = ""
    await desk.run()
    assert desk.sent() == ["1"]
    assert await desk.state() == TargetState("a")


async def test_no_pause_is_longer_than_there_are_where_the_clock_was_set_back(desk: Desk) -> None:
    desk.papers["a"].trouble = "down"
    await desk.queue("1")
    await desk.run()
    state, longest = await desk.state(), now_ms() + LONGEST_MS
    await desk.stored.failed(desk.lease, state, state.reason, state.since, longest - 1000)
    await desk.run()
    assert desk.papers["a"].tried == 1
    await desk.stored.failed(desk.lease, state, state.reason, state.since, longest + 60_000)
    await desk.run()
    assert desk.papers["a"].tried == 2


async def test_what_was_not_taken_for_a_day_is_given_up(desk: Desk) -> None:
    desk.papers["a"].trouble = "down"
    await desk.queue("old", "older", at=now_ms() - GIVE_UP_MS)
    await desk.queue("new")
    await desk.run()
    state = await desk.state()
    assert (state.waiting, state.dropped, state.failures) == (1, 2, 1)
    desk.papers["a"].trouble = ""
    await desk.let_pauses_end()
    await desk.run()
    assert desk.sent() == ["new"]


async def test_after_a_death_between_sending_and_its_record_it_is_sent_once_more(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.queue("1")

    async def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(desk.stored, "taken", die)
        with pytest.raises(SystemExit):
            await desk.delivery._send_to(desk.lease, await desk.state())
    await desk.run()
    await desk.run()
    assert desk.sent() == ["1", "1"], "with the same id"


async def test_after_a_death_before_sending_it_is_sent(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.queue("1")

    async def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(desk.papers["a"], "send", die)
        with pytest.raises(SystemExit):
            await desk.delivery._send_to(desk.lease, await desk.state())
    await desk.run()
    assert desk.sent() == ["1"]


async def test_who_has_lost_the_lease_sends_nothing_more(desk: Desk) -> None:
    await desk.queue("1")
    desk.lease.lost.set()
    await desk.run()
    assert desk.sent() == []


async def test_what_another_has_taken_meanwhile(desk: Desk) -> None:
    await desk.queue("1")
    state = await desk.state()
    await desk.redis.delete(keys.notify_queue("a"))
    await desk.delivery._send_to(desk.lease, state)
    assert desk.sent() == []


async def test_targets_that_are_not_there_any_more_are_forgotten(desk: Desk) -> None:
    await desk.stored.failed(desk.lease, TargetState("old"), "down", 1, 2)
    await desk.run()
    assert [one.name for one in await desk.stored.targets()] == []


async def test_a_fault_with_one_is_logged_and_passes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.queue("1")

    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched, capture_logs() as logged:
        patched.setattr(desk.papers["a"], "send", fail)
        await desk.run()
    assert "notification.failed" in [one["event"] for one in logged]
    assert "ZeroDivisionError" in (await desk.state()).reason
    assert desk.sent("b") == ["1"]
    await desk.let_pauses_end()
    await desk.run()
    assert desk.sent() == ["1"]


async def test_what_cannot_be_read_is_given_up_at_once(desk: Desk) -> None:
    """It was stored by another version, say."""
    await cast(Any, desk.redis).rpush(keys.notify_queue("a"), b'{"id": ""}')
    await desk.queue("1")
    await desk.run()
    assert desk.sent() == ["1"]
    assert (await desk.state()).dropped == 1
