"""The accounting holds at every moment, whatever is done, repeated, late or killed."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts import backend as contract
from contracts.backend import SendOutcome
from contracts.jobs import Lane
from sidecar.ops.accounting import Accounting, Counters
from sidecar.ops.dead_letters import DeadLetters
from sidecar.redis import keys
from sidecar.redis.client import Redis, connect
from sidecar.redis.lease import Lease, LeaseLost, Leases
from tests.eventually import eventually
from tests.examples import examples
from tests.workers.conftest import MakeLane, MakeStage
from tests.workers.crashing import Process
from tests.workers.lane import LaneUnderTest
from tests.workers.payloads import message, status, webhook
from tests.workers.php import Answer, Call, Php, answer
from tests.workers.rows import CAMPAIGN, NUMBER, have_asked, have_claimed, queued, result, state_of
from workers.inbox.commit import Commit
from workers.sending.ledger import Ledger

VENDOR = "vendor-1"


async def assert_balanced(redis: Redis) -> dict[str, Accounting]:
    accounting = {one.vendor_uid: one for one in await Counters(redis).read()}
    for one in accounting.values():
        assert one.balanced, one
    return accounting


@asynccontextmanager
async def watched(redis_url: str) -> AsyncIterator[None]:
    """Read the accounting over and over. All that is read must balance."""
    seen: list[Accounting] = []
    over = asyncio.Event()

    async def watch() -> None:
        client = connect(redis_url, timeout_s=5)
        while not over.is_set():
            seen.extend(await Counters(client).read())
            await asyncio.sleep(0.001)
        await client.aclose()

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        over.set()
        await task
    assert seen
    assert [accounting for accounting in seen if not accounting.balanced] == []


# -- sends --

ROWS = st.lists(st.sampled_from(["row-1", "row-2", "row-3"]), min_size=1, unique=True)
CLAIMS = st.sampled_from(["claim-1", "claim-2"])
STEPS = st.tuples(
    st.sampled_from(["claim", "claimed", "begin", "not_sent", "known", "settled", "released"]),
    ROWS,
    CLAIMS,
    st.sampled_from(list(SendOutcome)),
)


async def take(ledger: Ledger, lease: Lease, step: tuple[str, list[str], str, SendOutcome]) -> None:
    what, rows, claim, outcome = step
    outcomes = [result(row, outcome, claim_uid=claim) for row in rows]
    match what:
        case "claim":
            await have_asked(ledger, claim)
        case "claimed":
            await have_claimed(ledger, claim, rows, expired=2, skipped=1)
        case "begin":
            await ledger.begin(lease, [(queued(row, claim), NUMBER) for row in rows])
        case "not_sent":
            await ledger.not_sent([queued(row, claim) for row in rows])
        case "known":
            await ledger.known(outcomes)
        case "settled":
            await ledger.settled(outcomes)
        case "released":
            await ledger.released(claim, rows)


@settings(
    deadline=None,
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, max_size=25))
async def test_sends_in_any_order_and_repeated(redis: Redis, leases: Leases, steps: Any) -> None:
    await redis.flushall()
    ledger = Ledger(redis, CAMPAIGN, VENDOR)
    async with leases.hold(f"campaign:{CAMPAIGN}") as lease:
        assert lease is not None
        for step in steps:
            await take(ledger, lease, step)
            accounting = await assert_balanced(redis)
            in_flight = await redis.hlen(keys.ledger(CAMPAIGN))
            if VENDOR in accounting:
                assert accounting[VENDOR].sends.parts["in_flight"] == in_flight
            assert bool(in_flight) == bool(await redis.hexists(keys.LEDGERS, CAMPAIGN))


async def test_a_row_is_counted_once_however_often_it_is_said(
    redis: Redis, ledger: Ledger, campaign_lease_held: Lease
) -> None:
    ends = {
        "row-1": SendOutcome.ACCEPTED,
        "row-2": SendOutcome.FAILED,
        "row-3": SendOutcome.REQUEUE,
    }
    ends["row-4"] = SendOutcome.UNKNOWN
    outcomes = [result(row, outcome) for row, outcome in ends.items()]
    for _ in range(2):
        await have_asked(ledger, "claim-1")
        await have_claimed(ledger, "claim-1", [*ends, "row-5"])
        await ledger.begin(campaign_lease_held, [(queued(row), NUMBER) for row in ends])
        await ledger.known(outcomes)
    for _ in range(2):
        await ledger.settled(outcomes)
        await ledger.released("claim-1", ["row-5"])
    sends = (await assert_balanced(redis))[VENDOR].sends
    assert sends.total == 5
    assert set(sends.parts.items()) == {
        *((name, 1) for name in ("accepted", "failed", "requeued", "unknown", "released")),
        ("in_flight", 0),
    }


async def test_expired_and_skipped_rows_are_counted_beside(redis: Redis, ledger: Ledger) -> None:
    await have_asked(ledger, "claim-1")
    for _ in range(2):  # the answer to the first was lost
        await have_claimed(ledger, "claim-1", [], expired=3, skipped=4)
    await have_asked(ledger, "claim-2")
    await have_claimed(ledger, "claim-2", [], skipped=2)
    accounting = (await assert_balanced(redis))[VENDOR]
    assert (accounting.expired, accounting.skipped, accounting.sends.total) == (3, 6, 0)


async def test_a_row_that_was_claimed_anew_is_not_touched_by_who_had_it(
    redis: Redis, ledger: Ledger, campaign_lease_held: Lease
) -> None:
    """He was stalled, and everything that he says is late."""
    late = result("row-1", SendOutcome.REQUEUE, claim_uid="old")
    await have_claimed(ledger, "old", ["row-1"])
    await ledger.known([late])
    await have_claimed(ledger, "new", ["row-1"])
    await ledger.begin(campaign_lease_held, [(queued("row-1", "new"), NUMBER)])
    await ledger.known([late])
    await ledger.not_sent([queued("row-1", "old")])
    await ledger.settled([late])
    await ledger.released("old", ["row-1"])
    assert (await state_of(ledger)).sending == {"row-1": ("new", NUMBER)}
    sends = (await assert_balanced(redis))[VENDOR].sends
    assert (sends.total, sends.parts["requeued"], sends.parts["in_flight"]) == (2, 1, 1)


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("done", [False, True], ids=["before it is done", "after it is done"])
@pytest.mark.parametrize("at", range(2, 40, 4))
async def test_sends_of_a_process_that_dies(
    make_stage: MakeStage, redis_url: str, at: int, done: bool
) -> None:
    shares = {130429: 0.15, 131026: 0.1, 131016: 0.1}
    stage = await make_stage(12, rate=300, claim_s=0.01, cloud={"error_shares": shares, "seed": at})
    async with watched(redis_url):
        process = Process(stage, redis_url, at, done=done)
        await process.start()
        await process.ended_or_failed()
        process.fail()
        await process.drop()
        await stage.drop_lease()
        await stage.run_to_the_end()
    [accounting] = await Counters(stage.redis).read()
    assert accounting.sends.parts["in_flight"] == 0
    assert (accounting.sends.parts["accepted"] or 0) <= len(stage.accepts())


async def test_redis_is_wiped(make_stage: MakeStage, redis_url: str) -> None:
    """The accounting starts anew, without what had begun before."""
    stage = await make_stage(60, rate=200)
    async with watched(redis_url):
        async with stage.held() as lease:
            run = asyncio.create_task(stage.make_run(lease).run())
            await eventually(lambda: len(stage.accepts()) >= 10)
            await stage.redis.flushall()
            await run
        await stage.run_to_the_end()


# -- updates --


def some_webhook(chance: random.Random, lane: Lane) -> bytes:
    """Return a webhook that may repeat, coalesce or be of no shape."""
    if chance.random() < 0.1:
        return b"not json"
    names = [f"wamid.{chance.randint(1, 8)}" for _ in range(chance.randint(1, 3))]
    if lane is Lane.STATUSES:
        kinds = ("sent", "delivered", "read")
        return webhook(statuses=[status(name, chance.choice(kinds)) for name in names])
    return webhook(messages=[message(f"999{chance.randint(1, 3)}", name) for name in names])


def moody(chance: random.Random) -> Any:
    """Make a rule by which PHP takes, refuses, forgets and fails as it likes."""

    def rule(call: Call) -> Answer:
        if chance.random() < 0.15:
            return Answer(chance.choice((500, 503)))
        words = ("done", "ignored", "retry", None)
        given = [(update["id"], chance.choice(words)) for update in call.json["updates"]]
        return answer({"results": [{"id": i, "result": word} for i, word in given if word]})

    return rule


async def step(lane: LaneUnderTest, chance: random.Random, die: list[str]) -> None:
    match chance.randint(0, 5):
        case 0 | 1:
            bodies = [some_webhook(chance, lane.lane) for _ in range(chance.randint(1, 4))]
            await lane.receive(*bodies)
        case 2:
            await lane.make_due()
        case 3:
            letters = DeadLetters(lane.redis)
            for letter in [letter async for letter in letters.all()][:2]:
                await letters.replay(letter)
                await letters.replay(letter)
        case _:
            die[:] = [chance.choice(("before", "after", "late", ""))]
            with suppress(_Died):
                await lane.drain()
            # It may also have noticed that its lease is somebody else's.
            await lane.redis.delete(keys.lease(f"drain:{lane.lane}"))


class _Died(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("lane_name", list(Lane))
@pytest.mark.parametrize("seed", range(6))
async def test_updates_whatever_happens(
    make_lane: MakeLane,
    php: Php,
    redis: Redis,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    lane_name: Lane,
    seed: int,
) -> None:
    chance = random.Random(seed)
    lane = make_lane(lane_name, update_max_attempts=2)
    php.when(contract.PROCESS_WEBHOOKS, moody(chance))
    php.when(
        contract.PROCESS_WEBHOOK.format(vendor_uid=VENDOR),
        lambda _call: answer({"result": chance.choice(("done", "ignored", "retry"))}),
    )
    die: list[str] = []
    commit = Commit.commit

    async def may_die(self: Commit) -> None:
        how = die.pop() if die else ""
        if how == "before":
            raise _Died
        if how == "late":
            await redis.incr(keys.lease(f"drain:{lane_name}"))
            with pytest.raises(LeaseLost):
                await commit(self)
            raise _Died
        await commit(self)
        if how == "after":
            raise _Died

    monkeypatch.setattr(Commit, "commit", may_die)
    async with watched(redis_url):
        for _ in range(60):
            await step(lane, chance, die)
            await lane.assert_balanced()
        php.rules.clear()
        die.clear()
        await lane.drain_when_it_may()
    [accounting] = (await assert_balanced(redis)).values()
    assert accounting.webhooks.parts["waiting"] == accounting.updates.parts["waiting"] == 0
    assert accounting.updates.total > 20
    assert accounting.updates.parts["duplicate"] or accounting.updates.parts["coalesced"]
