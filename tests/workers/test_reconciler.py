"""Whatever nobody does is rung for again, and what falls due is found."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts import backend as contract
from contracts.effects import EffectKind
from contracts.jobs import Job, Lane, do_effects, drain, send_campaign
from sidecar.clock import now_ms
from sidecar.effects.outbox import effects_lease, replies_of
from sidecar.inbox.partitions import drain_lease
from sidecar.ops.history import INBOX, History
from sidecar.php.client import Backend
from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable, ResponseError
from sidecar.redis.lease import Leases
from sidecar.sending.campaigns import campaign_lease
from sidecar.sending.halts import Halt, Halts
from sidecar.tasks import cancel
from tests.conftest import MakeSettings
from tests.eventually import eventually
from tests.workers.php import Answer, Call, Php, answer
from tests.workers.rows import have_claimed
from workers.reconciler import IN_VAIN_S, LEASE, Reconciler
from workers.sending.ledger import Ledger

DUE = contract.DUE_CAMPAIGNS
JOB = send_campaign("vendor-1", "c1")


class FakeWakeups(list[Job]):
    """The jobs that were rung for."""

    def send(self, job: Job) -> None:
        self.append(job)


@pytest.fixture
def wakeups() -> FakeWakeups:
    return FakeWakeups()


@pytest.fixture
def reconciler(
    make_settings: MakeSettings,
    redis: Redis,
    backend: Backend,
    leases: Leases,
    wakeups: FakeWakeups,
) -> Reconciler:
    settings = make_settings(
        reconcile_interval_s=0.05, due_campaigns_interval_s=0.5, stale_claim_s=77
    )
    return Reconciler(settings, redis, backend, leases, wakeups.send)


def due(**more: Any) -> dict[str, Any]:
    return {"campaign_uid": "c1", "vendor_uid": "vendor-1", "state": "running", "due": 3, **more}


def say(php: Php, *campaigns: dict[str, Any], made_unknown: int = 0) -> None:
    php.always(DUE, answer({"campaigns": list(campaigns), "made_unknown": made_unknown}))


# -- what is woken in vain --


async def test_campaigns_that_nobody_sends_although_workers_are_woken(
    reconciler: Reconciler, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("workers.reconciler.time.monotonic", lambda: now)
    for uid in ("c1", "c2"):
        await redis.hset(keys.CAMPAIGNS, uid, "vendor-1")
    await reconciler.wake_unfinished()
    now += IN_VAIN_S
    assert reconciler.in_vain() == {}
    now += 1
    assert reconciler.in_vain() == {"c1": IN_VAIN_S + 1, "c2": IN_VAIN_S + 1}
    await redis.set(keys.lease(campaign_lease("c1")), 1)
    await reconciler.wake_unfinished()
    assert reconciler.in_vain() == {"c2": IN_VAIN_S + 1}, "somebody has begun with one"
    await redis.delete(keys.CAMPAIGNS)
    await reconciler.wake_unfinished()
    assert reconciler.in_vain() == {}


# -- what it costs --


async def reads(redis: Redis) -> int:
    """Return how often Redis has read from connections, this time aside."""
    stats: Any = await redis.info("stats")
    return int(stats["total_reads_processed"]) - 1


async def test_one_round_trip_says_that_there_is_nothing(
    reconciler: Reconciler, redis: Redis
) -> None:
    await reconciler.wake_unfinished()
    before = await reads(redis)
    await reconciler.wake_unfinished()
    assert await reads(redis) - before == 1 + 1, "and one that asked for it"


async def test_what_is_wrong_with_campaigns_stops_no_lane(
    reconciler: Reconciler, wakeups: FakeWakeups, redis: Redis
) -> None:
    await redis.set(keys.CAMPAIGNS, "not a hash")
    await redis.sadd(keys.ready(Lane.MESSAGES), "vendor-1")
    with pytest.raises(ResponseError):
        await reconciler.wake_unfinished()
    assert wakeups == [drain(Lane.MESSAGES)]


# -- lanes --


@pytest.mark.parametrize("lane", Lane)
async def test_a_lane_that_nobody_drains_is_rung_for(
    reconciler: Reconciler, wakeups: FakeWakeups, redis: Redis, lane: Lane
) -> None:
    await reconciler.wake_unfinished()
    assert wakeups == []
    await redis.sadd(keys.ready(lane), "vendor-1")
    await reconciler.wake_unfinished()
    assert wakeups == [drain(lane)]


@pytest.mark.parametrize(("due_in_ms", "times"), [(-1, 1), (60_000, 0)])
async def test_what_has_waited_is_rung_for_when_it_is_due(
    reconciler: Reconciler, wakeups: FakeWakeups, redis: Redis, due_in_ms: int, times: int
) -> None:
    await redis.zadd(keys.deferred(Lane.MESSAGES), {"a": now_ms() + due_in_ms})
    await reconciler.wake_unfinished()
    assert wakeups == [drain(Lane.MESSAGES)] * times


async def test_a_lane_that_somebody_drains_is_left_alone(
    reconciler: Reconciler, wakeups: FakeWakeups, redis: Redis, leases: Leases
) -> None:
    for lane in Lane:
        await redis.sadd(keys.ready(lane), "vendor-1")
    async with leases.hold(drain_lease(Lane.STATUSES)):
        await reconciler.wake_unfinished()
    assert wakeups == [drain(Lane.MESSAGES)]


# -- campaigns on the list --


async def test_campaigns_that_nobody_sends_are_rung_for(
    reconciler: Reconciler, wakeups: FakeWakeups, redis: Redis, leases: Leases
) -> None:
    await reconciler.wake_unfinished()
    assert wakeups == []
    await redis.hset(keys.CAMPAIGNS, mapping={"c1": "vendor-1", "c2": "vendor-2"})
    async with leases.hold(campaign_lease("c2")):
        await reconciler.wake_unfinished()
    assert wakeups == [JOB]
    await reconciler.wake_unfinished()
    assert wakeups[1:] == [JOB, send_campaign("vendor-2", "c2")]


async def test_a_campaign_that_is_not_listed_and_has_something_left_in_its_ledger(
    reconciler: Reconciler, wakeups: FakeWakeups, redis: Redis, leases: Leases
) -> None:
    ledger = Ledger(redis, "c1", "vendor-1")
    await have_claimed(ledger, "claim", ["row-1"])
    async with leases.hold(campaign_lease("c1")):
        await reconciler.wake_unfinished()
    assert wakeups == []
    await reconciler.wake_unfinished()
    assert wakeups == [JOB]
    await ledger.released("claim", ["row-1"])
    await reconciler.wake_unfinished()
    assert wakeups == [JOB]


@pytest.mark.parametrize(
    ("key", "times"),
    [
        (None, 0),
        (keys.halt("c1"), 1),
        (keys.ledger("c1"), 1),
        (keys.claims("c1"), 1),
    ],
)
async def test_a_campaign_that_waits_is_left_alone_unless_something_is_to_be_settled(
    reconciler: Reconciler, wakeups: FakeWakeups, redis: Redis, key: str | None, times: int
) -> None:
    await redis.hset(keys.CAMPAIGNS, "c1", "vendor-1")
    await redis.set(keys.wait("c1"), "it rests", px=60_000)
    if key is not None:
        await redis.hset(key, "a", "b")
    await reconciler.wake_unfinished()
    assert wakeups == [JOB] * times
    await redis.delete(keys.wait("c1"))
    await reconciler.wake_unfinished()
    assert wakeups == [JOB] * (times + 1)


async def test_a_clock_that_is_set_back_makes_no_campaign_wait_longer(
    reconciler: Reconciler, redis: Redis
) -> None:
    """Redis's keys expire by its clock; here it says what is less than it said last."""
    for campaign, wait_ms in (("c1", 1_230_000), ("c2", 30_000)):
        await redis.hset(keys.CAMPAIGNS, campaign, "vendor-1")
        await redis.set(keys.wait(campaign), "it rests", px=wait_ms)
    seconds, _ = await redis.time()
    await redis.set(keys.CLOCK, (seconds + 1200) * 1_000_000)
    await reconciler.wake_unfinished()
    await reconciler.wake_unfinished()
    assert await redis.pttl(keys.wait("c1")) == pytest.approx(30_000, abs=5000)
    assert await redis.pttl(keys.wait("c2")) < 10
    assert int(await redis.get(keys.CLOCK) or 0) < (seconds + 60) * 1_000_000


# -- effects --


@pytest.mark.parametrize("kind", EffectKind)
async def test_effects_that_are_due_and_that_nobody_runs_are_rung_for(
    reconciler: Reconciler, wakeups: FakeWakeups, redis: Redis, leases: Leases, kind: EffectKind
) -> None:
    for vendor_uid, due_at in (("v-1", now_ms()), ("v-2", now_ms() + 60_000)):
        await redis.sadd(keys.outbox(kind), vendor_uid)
        await redis.zadd(keys.outbox_of(kind, vendor_uid), {"effect": due_at})
    async with leases.hold(effects_lease(kind, "v-1")):
        await reconciler.wake_unfinished()
    assert wakeups == []
    await reconciler.wake_unfinished()
    assert wakeups == [do_effects(kind, "v-1")]


async def test_replies_that_are_left_in_a_ledger_are_rung_for(
    reconciler: Reconciler, wakeups: FakeWakeups, redis: Redis
) -> None:
    await have_claimed(Ledger(redis, replies_of("v-1"), "v-1"), "claim", ["reply-1"])
    await reconciler.wake_unfinished()
    assert wakeups == [do_effects(EffectKind.SEND_MESSAGE, "v-1")]


# -- how things were --


async def test_it_writes_the_history(
    reconciler: Reconciler, php: Php, wakeups: FakeWakeups, redis: Redis
) -> None:
    say(php)
    task = asyncio.create_task(reconciler.run())
    await eventually(lambda: redis.exists(keys.history(INBOX)))
    await cancel([task])
    assert (await History(redis).read([INBOX]))[INBOX].hour[-1].value == 0


# -- what has fallen due --


async def test_a_campaign_that_is_due_is_put_on_the_list_and_rung_for_once(
    php: Php, reconciler: Reconciler, wakeups: FakeWakeups, redis: Redis
) -> None:
    say(php, due())
    for _ in range(3):
        await reconciler.find_due_campaigns()
    assert wakeups == [JOB]
    assert await redis.hgetall(keys.CAMPAIGNS) == {b"c1": b"vendor-1"}
    assert php.calls[0].json == {"stale_after_s": 77}


@pytest.mark.parametrize("more", [{"state": "paused"}, {"state": "cancelled"}, {"due": 0}])
async def test_others_are_not(
    php: Php, reconciler: Reconciler, wakeups: FakeWakeups, redis: Redis, more: dict[str, Any]
) -> None:
    say(php, due(**more))
    await reconciler.find_due_campaigns()
    assert wakeups == []
    assert not await redis.exists(keys.CAMPAIGNS)


@pytest.mark.parametrize("told_s_ago", [None, 0, 50])
async def test_a_halted_campaign_is_not_begun_although_php_says_that_it_runs(
    php: Php, reconciler: Reconciler, wakeups: FakeWakeups, redis: Redis, told_s_ago: int | None
) -> None:
    acknowledged_at = None if told_s_ago is None else now_ms() - told_s_ago * 1000
    halt = Halt(contract.CampaignState.PAUSED, "why", acknowledged_at)
    await Halts(redis).put("c1", "vendor-1", halt)
    await redis.delete(keys.CAMPAIGNS)
    say(php, due())
    await reconciler.find_due_campaigns()
    assert wakeups == []
    assert not await redis.exists(keys.CAMPAIGNS)
    assert await Halts(redis).find("c1") == halt


async def test_a_halt_that_php_has_lifted_long_ago_goes(
    php: Php, reconciler: Reconciler, wakeups: FakeWakeups, redis: Redis
) -> None:
    """Whoever resumed the campaign died between PHP and Redis."""
    halt = Halt(contract.CampaignState.PAUSED, "why", now_ms() - 61_000)
    await Halts(redis).put("c1", "vendor-1", halt)
    await redis.delete(keys.CAMPAIGNS)
    say(php, due())
    with capture_logs() as logs:
        await reconciler.find_due_campaigns()
    assert wakeups == [JOB]
    assert await Halts(redis).find("c1") is None
    assert [log["event"] for log in logs] == ["halt.expired"]


async def test_a_halt_that_is_put_again_meanwhile_stays(redis: Redis) -> None:
    old = Halt(contract.CampaignState.PAUSED, "why", 1)
    new = Halt(contract.CampaignState.CANCELLED, "why not", None)
    await Halts(redis).put("c1", "vendor-1", new)
    assert not await Halts(redis).lift("c1", old)
    assert await Halts(redis).find("c1") == new


async def test_rows_that_php_has_made_unknown_are_told(php: Php, reconciler: Reconciler) -> None:
    say(php, made_unknown=4)
    with capture_logs() as logs:
        await reconciler.find_due_campaigns()
    assert [(log["event"], log["rows"]) for log in logs] == [("rows.outcome_unknown", 4)]


async def test_a_php_that_does_not_answer_is_logged_once(
    php: Php, reconciler: Reconciler, wakeups: FakeWakeups
) -> None:
    gone = php.always(DUE, Answer(500))
    with capture_logs() as logs:
        for _ in range(5):
            await reconciler.find_due_campaigns()
        php.forget(gone)
        await reconciler.find_due_campaigns()
    assert php.calls[0].json["stale_after_s"] == 77
    assert php.calls[-1].json["stale_after_s"] > 77, "results could not be told meanwhile"
    assert [log["event"] for log in logs] == [
        "php.due_campaigns.unavailable",
        "php.due_campaigns.unavailable.resolved",
    ]
    assert wakeups == []


# -- what PHP has stored --


def stored(count: int) -> dict[str, Any]:
    webhook = {"uid": "u", "vendor_uid": "vendor-1", "received_at": 0, "body": "{}"}
    return {"webhooks": [webhook] * count, "pending": 0}


async def test_nobody_asks_for_stored_webhooks_while_there_are_none(
    php: Php, reconciler: Reconciler
) -> None:
    say(php)
    async with running(reconciler):
        await eventually(lambda: len(php.to(DUE)) >= 3)
    assert php.to(contract.PENDING_WEBHOOKS) == []


async def test_stored_webhooks_are_taken_over_when_php_says_that_there_are_any(
    php: Php, reconciler: Reconciler, redis: Redis, wakeups: FakeWakeups
) -> None:
    waiting = [1]
    php.when(DUE, lambda _: answer({"campaigns": [], "pending_webhooks": len(waiting)}))

    def pending(call: Call) -> Answer:
        if call.json.get("taken"):
            assert waiting.pop()
            return answer({"webhooks": [], "deleted": 1})
        return answer(stored(len(waiting)))

    php.when(contract.PENDING_WEBHOOKS, pending)
    async with running(reconciler):
        await eventually(lambda: not waiting)
        asked = len(php.to(DUE))
        await eventually(lambda: len(php.to(DUE)) >= asked + 2)
    assert [call.json for call in php.to(contract.PENDING_WEBHOOKS)] == [
        {"limit": 500},
        {"limit": 0, "taken": ["u"]},
    ]
    assert await redis.xlen(keys.inbox(Lane.MESSAGES, "vendor-1")) == 1
    assert drain(Lane.MESSAGES) in wakeups


async def test_it_looks_after_other_things_while_there_is_much_to_take_over(
    php: Php,
    reconciler: Reconciler,
    redis: Redis,
    wakeups: FakeWakeups,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PHP is asked no more often for it, and lanes are rung for in between."""
    monkeypatch.setattr("workers.inbox.php_backlog.MAX_RUN_S", 0.05)
    php.always(DUE, answer({"campaigns": [], "pending_webhooks": 1000}))
    php.when(
        contract.PENDING_WEBHOOKS,
        lambda call: answer({**stored(call.json["limit"] and 1), "deleted": 1, "pending": 1000}),
    )
    async with running(reconciler):
        await eventually(lambda: len(php.to(contract.PENDING_WEBHOOKS)) > 4)
        await redis.sadd(keys.ready(Lane.STATUSES), "vendor-1")
        await eventually(lambda: drain(Lane.STATUSES) in wakeups)
        assert len(php.to(contract.PENDING_WEBHOOKS)) > 2 * len(php.to(DUE))


# -- all of it, again and again --


@asynccontextmanager
async def running(reconciler: Reconciler) -> AsyncIterator[None]:
    task = asyncio.create_task(reconciler.run())
    try:
        yield
    finally:
        await cancel([task])


async def test_it_goes_on_and_on(
    php: Php, reconciler: Reconciler, wakeups: FakeWakeups, redis: Redis
) -> None:
    async with running(reconciler):
        await redis.sadd(keys.ready(Lane.MESSAGES), "vendor-1")
        await eventually(lambda: wakeups.count(drain(Lane.MESSAGES)) >= 3)
        say(php, due())
        await eventually(lambda: wakeups.count(JOB) >= 2)
    asked = len(php.to(DUE))
    assert 1 <= asked < len(wakeups), "PHP is asked less often than Redis"


async def test_one_process_of_all_does_it(
    make_settings: MakeSettings, redis: Redis, backend: Backend, leases: Leases
) -> None:
    both_wakeups = [FakeWakeups(), FakeWakeups()]
    settings = make_settings(reconcile_interval_s=0.05)
    both = [Reconciler(settings, redis, backend, leases, wakeups.send) for wakeups in both_wakeups]
    await redis.sadd(keys.ready(Lane.MESSAGES), "vendor-1")
    async with running(both[1]):
        async with running(both[0]):
            await eventually(lambda: sum(map(len, both_wakeups)) >= 4)
            assert sum(bool(wakeups) for wakeups in both_wakeups) == 1
        await eventually(lambda: both_wakeups[1])


async def test_it_outlives_a_redis_that_is_away(
    reconciler: Reconciler, wakeups: FakeWakeups, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def gone(*_: object) -> None:
        nonlocal tries
        tries += 1
        raise RedisUnavailable[0]("gone")

    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(type(redis), "evalsha", gone)
        async with running(reconciler):
            await eventually(lambda: tries > 3)
            patch.undo()
            await redis.hset(keys.CAMPAIGNS, "c1", "vendor-1")
            await eventually(lambda: wakeups)
    assert [log["event"] for log in logs].count("reconciler.redis_unavailable") == 1


async def test_it_outlives_a_fault_in_redis(
    reconciler: Reconciler, wakeups: FakeWakeups, redis: Redis
) -> None:
    """That is no outage, and is said as what it is."""
    await redis.set(keys.CAMPAIGNS, "not a hash")
    with capture_logs() as logs:
        async with running(reconciler):
            await eventually(lambda: logs)
            await redis.delete(keys.CAMPAIGNS)
            await redis.hset(keys.CAMPAIGNS, "c1", "vendor-1")
            await eventually(lambda: wakeups)
    assert {(log["event"], log["log_level"]) for log in logs} == {("reconciler.failed", "error")}


async def test_it_gives_way_when_its_lease_is_lost(
    reconciler: Reconciler, redis: Redis, leases: Leases, wakeups: FakeWakeups
) -> None:
    short = Leases(redis, 300)
    reconciler._leases = short
    async with running(reconciler):
        await eventually(lambda: redis.exists(keys.lease(LEASE)))
        await redis.set(keys.lease(LEASE), "1", px=60_000)
        await asyncio.sleep(0.3)
        await redis.sadd(keys.ready(Lane.MESSAGES), "vendor-1")
        await asyncio.sleep(0.2)
        assert wakeups == []


# -- what PHP has asked for and nobody has --


async def test_php_is_asked_for_what_nobody_has_if_it_can_tell(
    reconciler: Reconciler, php: Php
) -> None:
    """A package from before has no such endpoint."""
    page = {"now": 1_700_000_000_000, "results": []}
    php.always(contract.PENDING_EFFECTS, answer(page))
    async with running(reconciler):
        await eventually(lambda: len(php.to(DUE)) >= 2)
        assert php.to(contract.PENDING_EFFECTS) == []
        php.always(DUE, answer({"campaigns": [], "lists_pending_effects": True}))
        await eventually(lambda: len(php.to(contract.PENDING_EFFECTS)) >= 2)
    assert reconciler.unasked() == {"messages": 0, "oldest_at": 0}


async def test_a_wiped_redis_is_noticed_at_once(
    reconciler: Reconciler, php: Php, redis: Redis
) -> None:
    php.always(contract.PENDING_EFFECTS, answer({"now": 1_700_000_000_000, "results": []}))
    php.always(DUE, answer({"campaigns": [], "lists_pending_effects": True}))
    async with running(reconciler):
        await eventually(lambda: len(php.to(contract.PENDING_EFFECTS)) == 2)
        await redis.delete(keys.MEMORY_SINCE)
        await eventually(lambda: len(php.to(contract.PENDING_EFFECTS)) == 4)
    kinds = [call.json["kind"] for call in php.to(contract.PENDING_EFFECTS)]
    assert kinds == ["ai_reply", "send_message"] * 2


async def test_it_gives_way_while_php_answers_others_only(
    reconciler: Reconciler, redis: Redis, wakeups: FakeWakeups
) -> None:
    async with running(reconciler):
        await eventually(lambda: redis.exists(keys.lease(LEASE)))
        reconciler._aside.set()
        await eventually(lambda: _is_free(redis))
        await redis.sadd(keys.ready(Lane.MESSAGES), "vendor-1")
        await asyncio.sleep(0.2)
        assert wakeups == []
        reconciler._aside.clear()
        await eventually(lambda: wakeups)


async def _is_free(redis: Redis) -> bool:
    return not await redis.exists(keys.lease(LEASE))
