"""The ledger: what is known of a row survives, and nothing is written for somebody else."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from contracts.backend import SendError, SendOutcome
from sidecar.clock import now_ms
from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable
from sidecar.redis.lease import Lease, LeaseLost
from sidecar.sending import row_states
from sidecar.sending.epoch import Begun
from tests.workers.payloads import VENDOR
from tests.workers.rows import (
    CAMPAIGN,
    CLAIM,
    NUMBER,
    have_asked,
    have_claimed,
    queued,
    result,
    state_of,
)
from workers.sending.ledger import Halted, Ledger, LedgerView, NumberHeld, refuse


@pytest.fixture
def lease(campaign_lease_held: Lease) -> Lease:
    return campaign_lease_held


async def test_an_empty_ledger(ledger: Ledger) -> None:
    assert await ledger.empty()
    assert await ledger.open_claims() == []
    state = await state_of(ledger)
    assert (state.claimed, state.sending, state.known) == ({}, {}, [])


async def test_a_claim_is_open_until_its_rows_are_recorded(ledger: Ledger) -> None:
    await have_asked(ledger, CLAIM)
    assert await ledger.open_claims() == [CLAIM]
    assert not await ledger.empty()
    await have_claimed(ledger, CLAIM, ["row-1", "row-2"])
    assert await ledger.open_claims() == []
    assert (await state_of(ledger)).claimed == {"row-1": CLAIM, "row-2": CLAIM}


async def test_a_claim_that_has_brought_nothing_is_closed(ledger: Ledger) -> None:
    await have_asked(ledger, CLAIM)
    await have_claimed(ledger, CLAIM, [])
    assert await ledger.empty()


async def test_a_row_goes_its_way(ledger: Ledger, lease: Lease) -> None:
    row = queued("row-1")
    await have_claimed(ledger, CLAIM, ["row-1"])
    await ledger.begin(lease, [(row, NUMBER)])
    assert (await state_of(ledger)).sending == {"row-1": (CLAIM, NUMBER)}
    known = result("row-1", message_status="accepted", wa_id="999", response={"messages": []})
    await ledger.known([known])
    state = await state_of(ledger)
    assert (state.claimed, state.sending, state.known) == ({}, {}, [known])
    await ledger.settled([known])
    assert await ledger.empty()


async def test_a_row_that_was_not_sent_after_all_is_claimed_again(
    ledger: Ledger, lease: Lease
) -> None:
    row = queued("row-1")
    await ledger.begin(lease, [(row, NUMBER)])
    await ledger.not_sent([row])
    state = await state_of(ledger)
    assert (state.claimed, state.sending) == ({"row-1": CLAIM}, {})


async def test_a_claim_that_is_recorded_again_forgets_nothing(ledger: Ledger, lease: Lease) -> None:
    """What is being sent must never look as if it had only been claimed."""
    await have_claimed(ledger, CLAIM, ["row-1", "row-2"])
    await ledger.begin(lease, [(queued("row-1"), NUMBER)])
    await ledger.known([result("row-2")])
    await have_claimed(ledger, CLAIM, ["row-1", "row-2", "row-3"])
    state = await state_of(ledger)
    assert list(state.sending) == ["row-1"]
    assert [one.uid for one in state.known] == ["row-2"]
    assert list(state.claimed) == ["row-3"]


async def test_outcomes_survive_as_they_are(ledger: Ledger) -> None:
    results = [
        result("row-1", SendOutcome.FAILED, error=SendError(code=1, message="x", details="ü")),
        result("row-2", SendOutcome.REQUEUE, due_at=7),
        result("row-3", SendOutcome.UNKNOWN, error=SendError(code=None, message="x")),
        result("row-4"),
    ]
    await have_claimed(ledger, CLAIM, [one.uid for one in results])
    await ledger.known(results)
    known = (await state_of(ledger)).known
    assert sorted(known, key=lambda one: one.uid) == results


async def test_nothing_is_recorded_of_a_row_that_has_ended(ledger: Ledger) -> None:
    """What is written late, after PHP was told, must not make it look as if it were to be told."""
    await have_claimed(ledger, CLAIM, ["row-1"])
    await ledger.settled([result("row-1")])
    await ledger.known([result("row-1")])
    await ledger.not_sent([queued("row-1")])
    assert await ledger.empty()


async def test_names_may_hold_what_separates_them(ledger: Ledger, lease: Lease) -> None:
    await ledger.begin(lease, [(queued("row:1"), "110:2")])
    assert (await state_of(ledger)).sending == {"row:1": (CLAIM, "110:2")}


# -- only for the holder, and while it is not halted --


HOLDERS_WORK: dict[str, Callable[[Ledger, Lease], Awaitable[object]]] = {
    "begins rows": lambda ledger, lease: ledger.begin(
        lease, [(queued("row-1"), NUMBER), (queued("row-2"), NUMBER)]
    ),
    "is about to claim": lambda ledger, lease: ledger.about_to_claim(lease, "late", 1),
    "brings rows in": lambda ledger, lease: ledger.claimed(
        lease, "late", ["row-1", "row-2"], expired=1, skipped=1
    ),
    "closes a claim": lambda ledger, lease: ledger.claimed(lease, "open", []),
    "takes what is left": lambda ledger, lease: ledger.leftovers(lease),
}


@pytest.mark.parametrize("taken", [True, False], ids=["it is another's", "it is nobody's"])
@pytest.mark.parametrize("work", HOLDERS_WORK.values(), ids=HOLDERS_WORK)
async def test_nothing_is_done_without_the_lease(
    ledger: Ledger,
    lease: Lease,
    redis: Redis,
    work: Callable[[Ledger, Lease], Awaitable[object]],
    taken: bool,
) -> None:
    await have_claimed(ledger, CLAIM, ["row-1"])
    await have_asked(ledger, "open")
    counted = await redis.hgetall(keys.counters(VENDOR))
    await (redis.set(lease.key, lease.token + 1) if taken else redis.delete(lease.key))
    with pytest.raises(LeaseLost, match=CAMPAIGN):
        await work(ledger, lease)
    state = await state_of(ledger)
    assert (state.claimed, state.sending) == ({"row-1": CLAIM}, {})
    assert await ledger.open_claims() == ["open"]
    assert await redis.hgetall(keys.counters(VENDOR)) == counted


async def test_nothing_begins_when_the_campaign_is_halted(
    ledger: Ledger, lease: Lease, redis: Redis
) -> None:
    await redis.set(keys.halt(CAMPAIGN), "paused")
    with pytest.raises(Halted, match=CAMPAIGN):
        await ledger.begin(lease, [(queued("row-1"), NUMBER)])
    assert await ledger.empty()


async def test_nothing_begins_while_its_number_is_held(
    ledger: Ledger, lease: Lease, redis: Redis
) -> None:
    """It was held after it had given the slots."""
    seconds, micros = await redis.time()
    hold_ends = seconds * 1_000_000 + micros + 60_000_000
    await redis.hset(keys.number("held"), "until", hold_ends)
    sends = [(queued("row-1"), NUMBER), (queued("row-2"), "held")]
    with pytest.raises(NumberHeld):
        await ledger.begin(lease, sends)
    assert (await state_of(ledger)).sending == {}
    await redis.hset(keys.number("held"), "pause", 10_000_000)
    # No pause is so long: the clock has been set back since.
    await ledger.begin(lease, [(queued("row-3"), "held")])
    await redis.hset(keys.number("held"), "pause", 60_000_000)
    with pytest.raises(NumberHeld):
        await ledger.begin(lease, sends[1:])
    await redis.hset(keys.number("held"), "until", hold_ends - 120_000_000)
    await ledger.begin(lease, sends)
    assert set((await state_of(ledger)).sending) == {"row-1", "row-2", "row-3"}


async def test_what_is_sent_when_the_hold_is_over_may_begin_before(
    ledger: Ledger, lease: Lease, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are written down a little before their slots."""
    monkeypatch.setattr("workers.sending.ledger.BEGIN_AHEAD_S", 60.0)
    seconds, _ = await redis.time()
    await redis.hset(keys.number(NUMBER), "until", (seconds + 50) * 1_000_000)
    await ledger.begin(lease, [(queued("row-1"), NUMBER)])
    assert set((await state_of(ledger)).sending) == {"row-1"}


async def test_nothing_begins_until_redis_is_compared(
    ledger: Ledger, lease: Lease, redis: Redis
) -> None:
    await redis.hset(keys.EPOCH, "run", "another")
    with pytest.raises(RedisUnavailable, match="compared with PHP"):
        await ledger.begin(lease, [(queued("row-1"), NUMBER)])
    assert await redis.hlen(keys.ledger(CAMPAIGN)) == 0


async def test_nothing_begins_under_a_lease_from_before_that(
    ledger: Ledger, lease: Lease, redis: Redis
) -> None:
    """A process that stood still may hold it again, in a Redis that has gone back."""
    await redis.hset(keys.EPOCH, "floor", lease.token)
    with pytest.raises(LeaseLost):
        await ledger.begin(lease, [(queued("row-1"), NUMBER)])
    assert await redis.hlen(keys.ledger(CAMPAIGN)) == 0


async def test_each_write_has_a_higher_number(redis: Redis, lease: Lease) -> None:
    begun = Begun()
    ledger = Ledger(redis, CAMPAIGN, VENDOR, begun)
    numbers = []
    for name in ("row-1", "row-2"):
        await ledger.begin(lease, [(queued(name), NUMBER)])
        numbers.append(begun.number)
        assert int(await redis.hget(keys.EPOCH, "begun") or 0) == begun.number
    assert 0 < numbers[0] < numbers[1]
    assert begun.at == pytest.approx(now_ms(), abs=60_000)


async def test_many_begin_at_once(ledger: Ledger, lease: Lease) -> None:
    rows = [queued(f"row-{number}") for number in range(5000)]
    await ledger.begin(lease, [(row, NUMBER) for row in rows])
    assert len((await state_of(ledger)).sending) == 5000


def test_what_a_script_answers() -> None:
    refuse(1, CAMPAIGN)
    refuse(0, CAMPAIGN)


# -- the view of the drain --


async def test_which_sends_are_not_recorded_yet(ledger: Ledger, redis: Redis) -> None:
    await have_claimed(ledger, CLAIM, ["row-1"])
    await have_claimed(Ledger(redis, "other", VENDOR), CLAIM, ["row-2"])
    await have_claimed(Ledger(redis, "c3", "vendor-2"), CLAIM, ["row-3"])
    rows = [(VENDOR, uid) for uid in ("row-1", "row-2", "row-3", "row-4")]
    assert await LedgerView(redis).unsettled(rows) == {"row-1", "row-2"}


async def test_another_vendors_rows_are_of_no_interest(ledger: Ledger, redis: Redis) -> None:
    await redis.hset(keys.CAMPAIGNS, CAMPAIGN, VENDOR)
    await have_claimed(ledger, CLAIM, ["row-1"])
    assert await LedgerView(redis).unsettled([("vendor-2", "row-1")]) == set()


async def test_each_ledger_is_asked_for_its_vendors_rows_alone(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand vendors with a status each cost no million questions."""
    asked: list[tuple[str, list[str]]] = []
    pipeline = redis.pipeline

    def watched(**options: Any) -> Any:
        made: Any = pipeline(**options)
        hmget = made.hmget

        def asks(name: str, rows: list[str]) -> Any:
            asked.append((name, rows))
            return hmget(name, rows)

        made.hmget = asks
        return made

    for number in range(3):
        campaign = Ledger(redis, f"c{number}", f"vendor-{number}")
        await have_claimed(campaign, CLAIM, [f"row-{number}"])
    monkeypatch.setattr(redis, "pipeline", watched)
    rows = [(f"vendor-{number}", f"row-{number}") for number in (1, 2, 3, 4)]
    await LedgerView(redis).unsettled(rows[:1] + rows[2:])
    assert asked == [(keys.ledger("c1"), ["row-1"])]


async def test_redis_is_not_asked_where_no_status_names_a_row(redis: Redis) -> None:
    await redis.aclose()
    assert await LedgerView(redis).unsettled([]) == set()


# -- states and what follows them --


async def put_in(ledger: Ledger, lease: Lease, before: str) -> None:
    """Have row-1 in a state, under the claim."""
    if before == "none":
        return
    await have_claimed(ledger, CLAIM, ["row-1"])
    if before == "sending":
        await ledger.begin(lease, [(queued("row-1"), NUMBER)])
    elif before != "claimed":
        await ledger.known([result("row-1", SendOutcome(before))])


async def state_now(redis: Redis) -> str:
    value = cast("bytes | None", await redis.hget(keys.ledger(CAMPAIGN), "row-1"))
    return "none" if value is None else row_states.load(value)[0].name.lower()


#: What each script may be asked to do with a row that is there, by the script.
CALLS: dict[str, list[Callable[[Ledger, Lease], Awaitable[object]]]] = {
    "claimed.lua": [
        lambda ledger, lease: have_claimed(ledger, CLAIM, ["row-1"]),
        lambda ledger, lease: have_claimed(ledger, "another", ["row-1"]),
        lambda ledger, lease: have_claimed(ledger, "another", ["row-1"], in_hand=[CLAIM]),
    ],
    "begin.lua": [lambda ledger, lease: ledger.begin(lease, [(queued("row-1"), NUMBER)])],
    "set_state.lua": [
        lambda ledger, lease: ledger.not_sent([queued("row-1")]),
        lambda ledger, lease: ledger.known([result("row-1")]),
    ],
    "settled.lua": [
        lambda ledger, lease: ledger.settled([result("row-1")]),
        lambda ledger, lease: ledger.released(CLAIM, ["row-1"]),
    ],
}


@pytest.mark.parametrize("script", list(CALLS))
async def test_a_script_does_what_the_table_says(
    ledger: Ledger, lease: Lease, redis: Redis, script: str
) -> None:
    """Each of its transitions happens, and no other: from every state, whatever it is asked."""
    made: set[tuple[str, str]] = set()
    for before in ("none", "claimed", "sending", *SendOutcome):
        for call in CALLS[script]:
            await redis.delete(keys.ledger(CAMPAIGN), keys.ROWS)
            await put_in(ledger, lease, before)
            was, value = await state_now(redis), await redis.hget(keys.ledger(CAMPAIGN), "row-1")
            await call(ledger, lease)
            is_now = await state_now(redis)
            if was != is_now or value != await redis.hget(keys.ledger(CAMPAIGN), "row-1"):
                made.add((was, is_now))
    allowed = row_states.TRANSITIONS.made_by(script)
    # Where it changes nothing, nobody can see that it was written again.
    unseen = {(one, one) for one in ("claimed", "sending")}
    assert made <= allowed <= made | unseen


async def test_a_reply_that_was_not_sent_may_be_sent(
    ledger: Ledger, lease: Lease, redis: Redis
) -> None:
    """It waits in the outbox again, and could not be dropped when that was written down."""
    await have_claimed(ledger, CLAIM, ["row-1"])
    await ledger.known([result("row-1", SendOutcome.REQUEUE)])
    assert await ledger.begin(lease, [(queued("row-1"), NUMBER)]) == []
    assert await state_now(redis) == "sending"


@pytest.mark.parametrize("outcome", [one for one in SendOutcome if one is not SendOutcome.REQUEUE])
async def test_what_is_known_is_not_sent_again(
    ledger: Ledger, lease: Lease, redis: Redis, outcome: SendOutcome
) -> None:
    await have_claimed(ledger, CLAIM, ["row-1"])
    await ledger.known([result("row-1", outcome)])
    row = queued("row-1")
    assert await ledger.begin(lease, [(row, NUMBER)]) == [row]
    await ledger.not_sent([queued("row-1")])
    assert await state_now(redis) == "known"
