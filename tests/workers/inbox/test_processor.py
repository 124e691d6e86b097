"""One batch: what PHP is given of it, and what is recorded of what PHP has said."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from contracts.backend import UpdateKind
from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.effects.outbox import make_outbox
from sidecar.inbox.partitions import drain_lease
from sidecar.inbox.status_times import read_status_times
from sidecar.metrics import METRICS, STATUSES
from sidecar.ops.accounting import Counters
from sidecar.ops.dead_letters import DeadLetters
from sidecar.ops.ignored import last_ignored, read_ignored, read_ignored_messages
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease, Leases
from sidecar.settings import Settings
from sidecar.trace import traceparent
from tests.conftest import MakeSettings
from tests.workers.payloads import make_update
from workers.inbox.batch import Batch, Handled
from workers.inbox.commit import Commit
from workers.inbox.delivery import UNTRIED, Fate, Verdict, Verdicts
from workers.inbox.effects import UpdateEffects
from workers.inbox.processor import (
    ILL_MAX_MS,
    SET_ASIDE_FAILED,
    SET_ASIDE_REFUSED,
    Processor,
)
from workers.inbox.reader import Taken
from workers.inbox.retries import Retries
from workers.inbox.update import Update

A, B = "vendor-a", "vendor-b"
DONE = Verdict(Fate.DONE)
REFUSED = Verdict(Fate.RETRY, "locked")
REJECTED = Verdict(Fate.REJECTED, "SQLSTATE[22001] 1406 in contacts")
#: PHP has failed on it alone, and said nothing.
FAILED = Verdict(Fate.RETRY, "500", answered=False)


def fresh(*updates: Update) -> Batch:
    """Return a batch of updates out of the inbox."""
    vendors = dict.fromkeys(update.vendor_uid for update in updates)
    return Batch([Taken(v, [u for u in updates if u.vendor_uid == v]) for v in vendors])


@dataclass
class Desk:
    """Handles batches, with a PHP that says what it is told to; all else is done."""

    redis: Redis
    lease: Lease
    settings: Settings
    lane: Lane = Lane.MESSAGES
    says: Verdicts = field(default_factory=dict)
    given: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        effects = UpdateEffects(make_outbox(self.settings, self.redis), lambda *_: None)
        self.processor = Processor(self.lane, self.settings, self.redis, effects)

    async def handle(self, batch: Batch) -> Handled:
        async def deliver(updates: list[Update]) -> Verdicts:
            self.given += [update.id for update in updates]
            return {update.id: self.says.get(update.id, DONE) for update in updates}

        return await self.processor.handle(batch, deliver)

    async def process(self, batch: Batch) -> None:
        commit = Commit(self.redis, self.lane, self.lease)
        self.processor.record(await self.handle(batch), commit)
        await commit.commit()

    async def again(self) -> Batch:
        """Return what waits, as if all of it were due."""
        return Batch(waited=await Retries(self.redis, self.lane).due(2**50, limit=100))

    async def waiting(self) -> list[tuple[str, int]]:
        """Return what waits in order, and how often PHP has refused it."""
        waited = (await self.again()).waited.values()
        return [(one.id, one.attempts) for updates in waited for one in updates]

    async def due_in_ms(self) -> int:
        """Return when what waits is due, which must be under one order key."""
        scores = await cast(Any, self.redis).zrange(
            keys.deferred(self.lane), 0, -1, withscores=True
        )
        [(_, due_at)] = scores
        return int(due_at) - now_ms()

    async def dead(self) -> list[str]:
        return [letter.id async for letter in DeadLetters(self.redis).all()]

    async def count(self, what: str, vendor_uid: str = A) -> int:
        return int(await self.redis.hget(keys.counters(vendor_uid), what) or 0)


@pytest.fixture
async def desk(redis: Redis, leases: Leases, make_settings: MakeSettings) -> AsyncIterator[Desk]:
    async with leases.hold(drain_lease(Lane.MESSAGES)) as lease:
        assert lease is not None
        settings = make_settings(update_max_attempts=2, update_retry_first_ms=60_000)
        yield Desk(redis, lease, settings)


async def test_what_php_takes_is_counted_and_remembered(desk: Desk) -> None:
    one, twice = make_update(vendor_uid=A), make_update(vendor_uid=A)
    await desk.process(fresh(one))
    again = make_update(vendor_uid=A, wamid=one.wamid)
    await desk.process(fresh(again, twice))
    assert desk.given == [one.id, twice.id]
    assert (await desk.count("updates"), await desk.count("done")) == (3, 2)
    assert await desk.count("duplicates") == 1
    assert await desk.redis.get(keys.BACKEND_OK)


async def test_the_calls_of_a_batch_are_one_trace(desk: Desk) -> None:
    traces = []

    async def deliver(updates: list[Update]) -> Verdicts:
        traces.append([traceparent().split("-")[1] for _ in range(2)])
        return {update.id: DONE for update in updates}

    for _ in range(2):
        await desk.processor.handle(fresh(make_update(vendor_uid=A)), deliver)
    [[one, same], [other, _]] = traces
    assert one == same != other


async def test_those_behind_a_refused_one_wait_in_order_and_are_not_counted_as_tried(
    desk: Desk,
) -> None:
    first, second, third = (make_update(vendor_uid=A, order_key=f"{A}/x") for _ in range(3))
    desk.says = {first.id: REFUSED, second.id: UNTRIED}
    await desk.process(fresh(first, second))
    await desk.process(fresh(third))
    assert desk.given == [first.id, second.id], "the third waits behind them, untried"
    assert await desk.waiting() == [(first.id, 1), (second.id, 0), (third.id, 0)]
    assert 50_000 < await desk.due_in_ms() <= 60_000

    desk.says = {first.id: DONE, second.id: REFUSED, third.id: UNTRIED}
    await desk.process(await desk.again())
    assert await desk.waiting() == [(second.id, 1), (third.id, 0)]
    assert await desk.count("done") == 1


async def test_what_php_refuses_itself_is_given_up_after_so_many_attempts(desk: Desk) -> None:
    bad, behind = (make_update(vendor_uid=A, order_key=f"{A}/x") for _ in range(2))
    desk.says = {bad.id: REFUSED, behind.id: UNTRIED}
    await desk.process(fresh(bad, behind))
    assert await desk.dead() == []
    await desk.process(await desk.again())
    assert await desk.dead() == [bad.id]
    assert await desk.waiting() == [(behind.id, 0)]


async def test_what_php_fails_on_is_given_up_once_php_is_known_to_be_well(desk: Desk) -> None:
    bad = make_update(vendor_uid=A)
    desk.says = {bad.id: FAILED}
    await desk.process(fresh(bad))
    for attempt in (2, 3, 4):
        await desk.process(await desk.again())
        assert await desk.waiting() == [(bad.id, attempt)], "PHP may be ill, for all we know"
        assert 0 < await desk.due_in_ms() <= ILL_MAX_MS
    [[kept]] = (await desk.again()).waited.values()
    assert kept.first_failed_at is not None
    await desk.redis.set(keys.BACKEND_OK, kept.first_failed_at - 1)
    await desk.process(await desk.again())
    assert await desk.dead() == [], "it was well before, which says nothing"
    await desk.redis.set(keys.BACKEND_OK, kept.first_failed_at + 1)
    await desk.process(await desk.again())
    assert await desk.dead() == [bad.id]
    assert await desk.waiting() == []


async def test_what_cannot_be_read_goes_to_the_dead_letters_at_once(desk: Desk) -> None:
    bad = make_update(
        None, vendor_uid=A, unreadable=True, reason="statuses[0] cannot be read", body=b"nonsense"
    )
    good = make_update(vendor_uid=A)
    await desk.process(fresh(bad, good))
    assert desk.given == [good.id]
    assert await desk.dead() == [bad.id]
    assert (await desk.count("updates"), await desk.count("dead")) == (2, 1)


async def test_a_status_is_coalesced_with_those_of_its_message_that_wait(
    redis: Redis, leases: Leases, make_settings: MakeSettings
) -> None:
    async with leases.hold(drain_lease(Lane.STATUSES)) as lease:
        assert lease is not None
        desk = Desk(redis, lease, make_settings(update_retry_first_ms=60_000), Lane.STATUSES)
        sent, read = (
            make_update(
                UpdateKind.STATUS, vendor_uid=A, wamid="w", status_name=name, order_key=f"{A}/w"
            )
            for name in ("sent", "read")
        )
        desk.says = {sent.id: REFUSED}
        await desk.process(fresh(sent))
        await desk.process(fresh(read))
        assert desk.given == [sent.id], "it waits behind the one that was refused"
        await desk.process(await desk.again())
        assert desk.given == [sent.id, read.id]
        assert await desk.waiting() == []
        assert (await desk.count("done"), await desk.count("coalesced")) == (1, 1)


# -- what can never be applied --


async def test_statuses_that_php_has_are_counted_by_what_they_say(
    redis: Redis, leases: Leases, make_settings: MakeSettings
) -> None:
    def counted() -> dict[str, float]:
        names = ("sent", "delivered", "failed", "other", "of the future")
        return {name: METRICS.counter(STATUSES, name).value for name in names}

    async with leases.hold(drain_lease(Lane.STATUSES)) as lease:
        assert lease is not None
        desk = Desk(redis, lease, make_settings(), Lane.STATUSES)
        before = counted()
        statuses = [
            make_update(
                UpdateKind.STATUS, vendor_uid=A, wamid=wamid, status_name=name, order_key=wamid
            )
            for wamid, name in (
                ("w1", "sent"),
                ("w1", "delivered"),
                ("w2", "of the future"),
                ("w3", "failed"),
            )
        ]
        desk.says = {statuses[3].id: REFUSED}
        await desk.process(fresh(*statuses, make_update(vendor_uid=A)))
    grown = {name: value - before[name] for name, value in counted().items()}
    assert grown == {"sent": 1, "delivered": 1, "other": 1, "failed": 0, "of the future": 0}


async def test_what_php_rejects_is_given_up_at_once_and_holds_nothing_back(desk: Desk) -> None:
    before, bad, behind = (make_update(vendor_uid=A, order_key=f"{A}/x") for _ in range(3))
    desk.says = {before.id: REFUSED, bad.id: UNTRIED, behind.id: UNTRIED}
    await desk.process(fresh(before, bad, behind))
    desk.says = {bad.id: REJECTED, behind.id: UNTRIED}
    await desk.process(await desk.again())
    [letter] = [letter async for letter in DeadLetters(desk.redis).all()]
    assert (letter.id, letter.update["reason"]) == (bad.id, REJECTED.reason)
    assert letter.update["attempts"] == 1
    assert await desk.waiting() == [(behind.id, 0)]
    assert await desk.due_in_ms() <= 0
    assert await desk.redis.get(keys.BACKEND_OK), "PHP is well: it has answered"


# -- what is ignored --


async def test_what_is_ignored_is_counted_by_its_reason_and_the_last_kept(desk: Desk) -> None:
    strange, own, whole = (
        make_update(vendor_uid=A),
        make_update(vendor_uid=A),
        make_update(None, vendor_uid=A, body=b'{"messages":[{"a":1}]'),
    )
    status = make_update(UpdateKind.STATUS, vendor_uid=A)
    desk.says = {
        strange.id: Verdict(Fate.IGNORED, "phone_number_unknown"),
        own.id: Verdict(Fate.IGNORED, "own_number"),
        whole.id: Verdict(Fate.IGNORED, "body_not_json"),
        status.id: Verdict(Fate.IGNORED),
    }
    await desk.process(fresh(strange, own, whole, status))
    assert (await desk.count("updates"), await desk.count("ignored")) == (4, 4)
    found = {one.reason: one for one in await read_ignored(desk.redis, A)}
    names = {"phone_number_unknown", "own_number", "body_not_json", "no_reason"}
    assert {name: one.count for name, one in found.items()} == dict.fromkeys(names, 1)
    last = await last_ignored(desk.redis, found["body_not_json"], now_ms())
    assert last is not None
    assert last["payload"] == '{"messages":[{"a":1}]'
    looked_at = {one.reason for one in await read_ignored_messages(desk.redis, now_ms())}
    assert looked_at == {"phone_number_unknown", "body_not_json"}
    await desk.redis.sadd(keys.VENDORS, A)
    [books] = await Counters(desk.redis).read()
    assert books.balanced


async def test_what_the_split_ignores_is_not_brought_to_php(desk: Desk) -> None:
    empty = make_update(None, vendor_uid=A, body=b"null", ignored_reason="null_element")
    good = make_update(vendor_uid=A)
    await desk.process(fresh(empty, good))
    assert desk.given == [good.id]
    assert (await desk.count("updates"), await desk.count("ignored")) == (2, 1)
    [one] = await read_ignored(desk.redis, A)
    assert (one.reason, one.count) == ("null_element", 1)
    assert await read_ignored_messages(desk.redis, now_ms()) == []


# -- what holds others up --


async def refuse(desk: Desk, one: Update, behind: Update, verdict: Verdict, times: int) -> None:
    """Process what waits so often; PHP says this of the one, and does not try the other."""
    desk.says = {one.id: verdict, behind.id: UNTRIED}
    for _ in range(times):
        await desk.process(await desk.again())


async def test_what_php_refuses_again_and_again_lets_those_behind_it_pass(
    redis: Redis, leases: Leases, make_settings: MakeSettings
) -> None:
    async with leases.hold(drain_lease(Lane.MESSAGES)) as lease:
        assert lease is not None
        desk = Desk(redis, lease, make_settings(update_max_attempts=5))
        first, second, third = (make_update(vendor_uid=A, order_key=f"{A}/x") for _ in range(3))
        desk.says = {first.id: REFUSED, second.id: UNTRIED}
        await desk.process(fresh(first, second))
        await refuse(desk, first, second, REFUSED, SET_ASIDE_REFUSED - 2)
        assert await desk.waiting() == [(first.id, SET_ASIDE_REFUSED - 1), (second.id, 0)]

        await refuse(desk, first, second, REFUSED, 1)
        batch = await desk.again()
        assert {key: [u.id for u in some] for key, some in batch.waited.items()} == {
            f"{A}/x": [second.id],
            next(key for key in batch.waited if key != f"{A}/x"): [first.id],
        }
        due = dict(await cast(Any, redis).zrange(keys.deferred(desk.lane), 0, -1, withscores=True))
        assert due.pop(f"{A}/x".encode()) <= now_ms(), "the next one is tried at once"
        assert min(due.values()) > now_ms(), "the refused one is not"

        desk.says, desk.given = {first.id: REFUSED}, []
        await desk.process(fresh(third))
        assert desk.given == [], "the third waits behind the second, which has not been tried"
        await desk.process(await desk.again())
        assert [one for one in desk.given if one != first.id] == [second.id, third.id]
        assert await desk.waiting() == [(first.id, SET_ASIDE_REFUSED + 1)]
        await desk.process(await desk.again())
        assert await desk.dead() == [first.id], "it becomes a dead letter in the end"
        assert await desk.waiting() == []
        [books] = await Counters(redis).read()
        assert books.balanced


async def test_failures_of_php_are_no_refusals(desk: Desk) -> None:
    one, behind = (make_update(vendor_uid=A, order_key=f"{A}/x") for _ in range(2))
    desk.says = {one.id: FAILED, behind.id: UNTRIED}
    await desk.process(fresh(one, behind))
    await refuse(desk, one, behind, FAILED, SET_ASIDE_FAILED + 1)
    assert list((await desk.again()).waited) == [f"{A}/x"], "PHP may be ill"


async def test_what_php_fails_on_while_it_is_well_lets_those_behind_it_pass(
    redis: Redis, leases: Leases, make_settings: MakeSettings
) -> None:
    async with leases.hold(drain_lease(Lane.MESSAGES)) as lease:
        assert lease is not None
        desk = Desk(redis, lease, make_settings())
        one, behind = (make_update(vendor_uid=A, order_key=f"{A}/x") for _ in range(2))
        desk.says = {one.id: FAILED, behind.id: UNTRIED}
        await desk.process(fresh(one, behind))
        await redis.set(keys.BACKEND_OK, now_ms() + 60_000)
        await refuse(desk, one, behind, FAILED, SET_ASIDE_FAILED - 2)
        assert len((await desk.again()).waited) == 1
        await refuse(desk, one, behind, FAILED, 1)
        assert len((await desk.again()).waited) == 2


async def test_a_status_is_never_set_aside(
    redis: Redis, leases: Leases, make_settings: MakeSettings
) -> None:
    async with leases.hold(drain_lease(Lane.STATUSES)) as lease:
        assert lease is not None
        desk = Desk(redis, lease, make_settings(), Lane.STATUSES)
        one = make_update(UpdateKind.STATUS, vendor_uid=A, wamid="w", order_key=f"{A}/w")
        desk.says = {one.id: REFUSED}
        await desk.process(fresh(one))
        for _ in range(SET_ASIDE_REFUSED + 2):
            await desk.process(await desk.again())
        assert list((await desk.again()).waited) == [f"{A}/w"]


async def test_when_a_status_was_set_is_recorded_once_whatever_becomes_of_it(
    redis: Redis, leases: Leases, make_settings: MakeSettings
) -> None:
    async with leases.hold(drain_lease(Lane.STATUSES)) as lease:
        assert lease is not None
        desk = Desk(redis, lease, make_settings(), Lane.STATUSES)
        [sent, read, failed] = [
            make_update(
                UpdateKind.STATUS,
                vendor_uid=A,
                wamid=wamid,
                status_name=name,
                status_at=at,
                order_key=f"{A}/{wamid}",
            )
            for wamid, name, at in (("w", "sent", 7), ("w", "read", 9), ("v", "failed", 8))
        ]
        desk.says = {read.id: REFUSED, failed.id: REJECTED}
        await desk.process(fresh(sent, read, failed))
        assert desk.given == [read.id, failed.id]
        expected = [{"sent": 7000, "read": 9000}, {"failed": 8000}]
        assert await read_status_times(redis, [(A, "w"), (A, "v")]) == expected
        stored = {key: await redis.get(key) for key in await redis.keys("status:times:*")}
        await desk.process(await desk.again())
        assert desk.given[2:] == [read.id]
        again = {key: await redis.get(key) for key in await redis.keys("status:times:*")}
        assert again == stored
