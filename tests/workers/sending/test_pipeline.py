"""The pipeline: what it takes from its source, when it ends, and what is left then."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts.backend import SendError, SendOutcome, SendResult, VendorConfig
from contracts.modes import Mode, Modes
from sidecar.effects.outbox import replies_of
from sidecar.php.client import Backend, BackendError, BackendUnavailable
from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable
from sidecar.redis.lease import Lease
from sidecar.sending.pauses import Paused, Pauses
from tests.conftest import MakeSettings
from tests.eventually import eventually
from tests.workers.rows import CAMPAIGN, CLAIM, NUMBER, have_claimed, queued, result, state_of
from tests.workers.sending.test_sender import ACCEPTED, Scripted, refused
from tests.workers.simulated_time import held_lease
from workers.sending import pipeline as module
from workers.sending.cloud_api import Attempt
from workers.sending.holds import Hold, Pause, Scope
from workers.sending.ledger import Ledger
from workers.sending.limiter import Limiter
from workers.sending.limits import Limits
from workers.sending.pacer import Pacer
from workers.sending.pipeline import FORGOTTEN, LEFT_SENDING, End, Pipeline
from workers.sending.send_config import SendConfig
from workers.sending.send_queue import ClaimedSend
from workers.sending.services import Services

VENDOR = VendorConfig(vendor_uid="vendor-1", access_token="token", current_phone_number_id=NUMBER)

Feed = Callable[[Pipeline], Awaitable[None]]


class HangingApi(Scripted):
    """A Cloud API that answers when it is allowed to."""

    def __init__(self, *attempts: Attempt) -> None:
        super().__init__(*attempts)
        self.answers = asyncio.Event()
        self.answers.set()

    async def send(
        self, number: str, access_token: str, body: bytes, endpoint: str = "messages"
    ) -> Attempt:
        attempt = await super().send(number, access_token, body, endpoint)
        await self.answers.wait()
        return attempt


@dataclass
class Told:
    """A PHP side that says this of the vendor, or nothing. ``asked``: how often it was asked."""

    vendor: VendorConfig | None = VENDOR
    error: BackendError | None = None
    asked: int = 0

    async def get_since(self, key: str, since: float) -> VendorConfig | None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.vendor


@dataclass
class Bench:
    """A pipeline, a source that does what the test says, and what was reported."""

    services: Services
    api: HangingApi
    ledger: Ledger
    lease: Lease
    php: Told
    pipeline: Pipeline = field(init=False)
    feeding: Feed | None = None
    calls: list[str] = field(default_factory=list)
    reported: list[SendResult] = field(default_factory=list)

    async def feed(self) -> None:
        if self.feeding is not None:
            await self.feeding(self.pipeline)

    def start(self) -> None:
        self.calls.append("start")

    def add(self, result: SendResult) -> None:
        self.reported.append(result)

    def add_known(self, results: list[SendResult]) -> None:
        self.reported += results

    async def finish(self, timeout_s: float) -> None:
        self.calls.append("finish")

    async def stop(self) -> None:
        self.calls.append("stop")

    @property
    def outcomes(self) -> list[SendOutcome]:
        return [one.outcome for one in self.reported]

    async def run(self, *rows: ClaimedSend, longest_s: float | None = None) -> list[str]:
        """Run to the end, with these rows. Return those that were not sent."""

        async def put(pipeline: Pipeline) -> None:
            await have_claimed(self.ledger, CLAIM, [row.uid for row in rows])
            pipeline.put(list(rows))

        self.feeding = self.feeding or put
        await self.pipeline.run(longest_s)
        await self.pipeline.drain()
        await self.pipeline.close()
        return [row.uid for row in await self.pipeline.take_unstarted()]


Make = Callable[..., Awaitable[Bench]]


@pytest.fixture
def make(redis: Redis, backend: Backend, make_settings: MakeSettings) -> Make:
    async def make(
        *attempts: Attempt, campaign_uid: str | None = CAMPAIGN, **settings: float
    ) -> Bench:
        api = HangingApi(*(attempts or [ACCEPTED]))
        php = Told()
        found = make_settings(**{"messages_per_second": 500, **settings})
        stopping = asyncio.Event()
        services = Services(found, redis, backend, api, Limiter(redis), stopping, php)
        config = SendConfig(found, VENDOR, campaign_uid)
        ledger = Ledger(redis, config.name, config.vendor_uid)
        bench = Bench(services, api, ledger, await held_lease(redis, config.name), php)
        bench.pipeline = Pipeline(
            services, config, bench.lease, ledger, source=bench, results=bench
        )
        return bench

    return make


async def hold(bench: Bench, seconds: float) -> None:
    """Have the number's account held."""
    limits = Limits.of(VENDOR, NUMBER, bench.services.settings)
    pause = Pause(Scope.ACCOUNT, seconds, seconds)
    await bench.services.limiter.hold(limits, Hold(pause, "80007 limit"), sent_at=time.time())


# -- the way through --


async def test_what_is_put_in_is_sent_and_reported_and_then_it_ends(make: Make) -> None:
    bench = await make()
    rows = [queued() for _ in range(20)]
    assert await bench.run(*rows) == []
    assert sorted(one.uid for one in bench.reported) == sorted(row.uid for row in rows)
    assert set(bench.outcomes) == {SendOutcome.ACCEPTED}
    assert {one.campaign_uid for one in bench.reported} == {CAMPAIGN}
    assert bench.pipeline.end_reason is None
    assert bench.calls == ["start", "finish", "stop"]


async def test_what_is_put_in_later_is_sent_by_its_number(make: Make) -> None:
    bench = await make()

    async def feed(pipeline: Pipeline) -> None:
        for number in (NUMBER, "other", NUMBER):
            pipeline.put([queued(from_phone_number_id=number)])
            await eventually(lambda: len(bench.api.sent) == len(bench.reported) > 0)

    bench.feeding = feed
    assert await bench.run() == []
    assert sorted(call[0] for call in bench.api.sent) == [NUMBER, NUMBER, "other"]


async def test_it_goes_on_while_the_source_has_something_in_hand(make: Make) -> None:
    """Rows that are claimed and looked at are nowhere else meanwhile."""
    bench = await make()
    put = asyncio.Event()

    async def feed(pipeline: Pipeline) -> None:
        await put.wait()
        pipeline.put([queued()])

    bench.feeding = feed
    run = asyncio.create_task(bench.run())
    await eventually(lambda: bench.calls == ["start"])
    await asyncio.sleep(0.02)
    assert not run.done()
    put.set()
    assert await run == []
    assert bench.outcomes == [SendOutcome.ACCEPTED]


async def test_a_source_waits_while_enough_rows_wait(make: Make) -> None:
    bench = await make(send_concurrency=2)
    bench.api.answers.clear()
    put: list[int] = []

    async def feed(pipeline: Pipeline) -> None:
        for _ in range(5):
            await pipeline.has_room(4)
            pipeline.put([queued() for _ in range(4)])
            put.append(len(bench.api.sent))

    bench.feeding = feed
    run = asyncio.create_task(bench.run())
    await eventually(lambda: len(bench.api.sent) == 2)
    await asyncio.sleep(0.05)
    assert (len(put), len(bench.api.sent)) == (2, 2)
    bench.api.answers.set()
    assert await run == []
    assert len(bench.reported) == 20


# -- the end --


async def until_some_are_under_way(bench: Bench) -> asyncio.Task[list[str]]:
    bench.api.answers.clear()
    run = asyncio.create_task(bench.run(*[queued(f"row-{n}") for n in range(10)]))
    await eventually(lambda: len(bench.api.sent) == 3)
    return run


@pytest.mark.parametrize("reason", [End.STOPPING, End.LEASE_LOST, End.HALTED, End.MOVED])
async def test_something_ends_it_and_what_is_under_way_goes_on(make: Make, reason: End) -> None:
    bench = await make(send_concurrency=3)
    run = await until_some_are_under_way(bench)
    if reason is End.STOPPING:
        bench.services.stopping.set()
    elif reason is End.LEASE_LOST:
        bench.lease.lost.set()
    elif reason is End.HALTED:
        # It is noticed when the next slots are asked for.
        await bench.services.redis.set(keys.halt(CAMPAIGN), "paused")
        bench.api.answers.set()
    else:
        bench.pipeline.end(reason)
    await bench.pipeline.ended.wait()
    bench.api.answers.set()
    unsent = await run
    assert bench.pipeline.end_reason is reason
    sent = {one.uid for one in bench.reported}
    assert len(sent) >= 3
    assert sent.isdisjoint(unsent)
    assert len(sent) + len(unsent) == 10
    left = await state_of(bench.ledger)
    assert set(left.claimed) == set(unsent), "the others are the results' to drop"


async def test_it_ends_when_its_time_is_over(make: Make) -> None:
    bench = await make()
    await hold(bench, 5.0)
    assert await bench.run(queued("row-1"), longest_s=0.1) == ["row-1"]
    assert bench.pipeline.end_reason is None
    assert not bench.api.sent


async def test_what_the_source_has_begun_it_may_finish(make: Make) -> None:
    """A claim that is under way is better finished than found again by the next holder."""
    bench = await make()

    async def feed(pipeline: Pipeline) -> None:
        await pipeline.ended.wait()
        await asyncio.sleep(0.02)
        pipeline.put([queued("late")])

    bench.feeding = feed
    bench.services.stopping.set()
    assert await bench.run() == ["late"]
    assert not bench.api.sent


@pytest.mark.parametrize("where", ["source", "send"])
async def test_a_bug_ends_it(make: Make, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    bench = await make()

    async def wrong(*_: object) -> None:
        raise ValueError("a bug")

    if where == "source":
        bench.feeding = wrong
    else:
        monkeypatch.setattr(bench.api, "send", wrong)
    with capture_logs() as logs:
        assert await bench.run(queued()) == []
    assert bench.pipeline.end_reason is End.FAILED
    assert [one["event"] for one in logs] == ["sending.failed"]


async def test_a_wait_ends_with_it(make: Make) -> None:
    bench = await make()
    wait = asyncio.create_task(bench.pipeline.until(longest_s=1000))
    await asyncio.sleep(0)
    bench.pipeline.end(End.MOVED)
    await asyncio.wait_for(wait, 10)


# -- what keeps rows from going --


async def test_a_campaign_waits_as_a_whole_when_all_its_numbers_have_to(make: Make) -> None:
    bench = await make()
    await hold(bench, 100.0)
    assert await bench.run(queued("row-1")) == ["row-1"]
    assert bench.pipeline.end_reason is End.WAITING
    assert bench.pipeline.blocked is not None
    assert bench.pipeline.blocked.reason == "80007 limit"
    assert not bench.reported


async def test_replies_that_have_to_wait_come_again_later(make: Make) -> None:
    bench = await make(campaign_uid=None)
    await hold(bench, 100.0)
    assert await bench.run(queued("row-1")) == []
    [one] = bench.reported
    assert (one.uid, one.outcome, one.campaign_uid) == ("row-1", SendOutcome.REQUEUE, None)
    assert not one.attempted
    assert one.due_at == pytest.approx(one.at + 30_000, abs=1000)
    assert bench.pipeline.end_reason is None


async def test_a_defect_of_all_messages_pauses_a_campaign_once(make: Make) -> None:
    bench = await make(refused(131031))
    unsent = await bench.run(*[queued() for _ in range(5)])
    assert len(unsent) == 5
    assert not bench.reported
    assert bench.pipeline.end_reason is End.PAUSED
    assert bench.pipeline.pause_reason == "131031 error 131031"
    assert len((await state_of(bench.ledger)).claimed) == 5


async def test_a_defect_of_one_reply_stops_no_other(make: Make) -> None:
    bench = await make(refused(131005), ACCEPTED, campaign_uid=None)
    bench.api.answers.clear()
    run = asyncio.create_task(bench.run(queued(), queued()))
    await eventually(lambda: len(bench.api.sent) == 2)
    bench.api.answers.set()
    assert await run == []
    assert sorted(bench.outcomes) == [SendOutcome.ACCEPTED, SendOutcome.REQUEUE]
    assert bench.pipeline.end_reason is None


@pytest.mark.parametrize("campaign_uid", [CAMPAIGN, None])
async def test_a_row_that_somebody_else_sends_is_left_to_them(
    make: Make, redis: Redis, campaign_uid: str | None
) -> None:
    """For a reply that is the end: PHP must hear of it."""
    bench = await make(campaign_uid=campaign_uid)
    theirs = Ledger(redis, "theirs", VENDOR.vendor_uid)
    await have_claimed(theirs, "their claim", ["row-1"])

    async def feed(pipeline: Pipeline) -> None:
        pipeline.put([queued("row-1")])

    bench.feeding = feed
    assert await bench.run() == []
    assert not bench.api.sent
    assert bench.outcomes == ([] if campaign_uid else [SendOutcome.FAILED])


# -- settings that change --


def changed(**values: object) -> VendorConfig:
    return VENDOR.model_copy(update=values)


async def test_what_php_says_is_in_force_at_once(make: Make) -> None:
    bench = await make(send_concurrency=2)
    bench.api.answers.clear()
    rows = [queued() for _ in range(8)]
    run = asyncio.create_task(bench.run(*rows))
    await eventually(lambda: len(bench.api.sent) == 2)
    now = changed(access_token="new", current_phone_number_id="220")
    bench.pipeline.follow(now)
    bench.api.answers.set()
    assert await run == []
    ways = [call[:2] for call in bench.api.sent]
    assert ways == [(NUMBER, "token")] * 2 + [("220", "new")] * 6
    assert {one.phone_number_id for one in bench.reported} == {NUMBER, "220"}


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (None, End.MOVED),
        (changed(modes=Modes(campaigns=Mode.PHP)), End.MOVED),
        (changed(active=False), End.INACTIVE),
    ],
)
async def test_what_php_says_ends_a_campaign(
    make: Make, now: VendorConfig | None, reason: End
) -> None:
    """Its rows go back."""
    bench = await make(send_concurrency=3)
    run = await until_some_are_under_way(bench)
    bench.pipeline.follow(now)
    bench.api.answers.set()
    assert len(await run) == 7
    assert bench.pipeline.end_reason is reason
    assert len(bench.reported) == 3


async def test_replies_wait_until_the_vendor_is_active(make: Make) -> None:
    bench = await make(campaign_uid=None, send_concurrency=3)
    run = await until_some_are_under_way(bench)
    bench.pipeline.follow(changed(active=False, modes=Modes(campaigns=Mode.PHP)))
    bench.api.answers.set()
    assert await run == []
    outcomes = Counter(bench.outcomes)
    assert outcomes == {SendOutcome.ACCEPTED: 3, SendOutcome.REQUEUE: 7}
    later = [one for one in bench.reported if one.outcome is SendOutcome.REQUEUE]
    assert {one.error.message for one in later if one.error} == {"the vendor is not active"}
    assert not any(one.attempted for one in later)


async def test_many_refusals_at_once_ask_php_and_go_again(make: Make) -> None:
    """No row fails for a token that was replaced, and none is sent with it again."""
    bench = await make(*[refused(190)] * 5, ACCEPTED, send_concurrency=5)
    bench.api.answers.clear()
    rows = [queued() for _ in range(10)]
    run = asyncio.create_task(bench.run(*rows))
    await eventually(lambda: len(bench.api.sent) == 5)
    bench.php.vendor = changed(access_token="new")
    bench.api.answers.set()
    assert await run == []
    assert bench.outcomes == [SendOutcome.ACCEPTED] * 10
    assert [token for _, token, _ in bench.api.sent] == ["token"] * 5 + ["new"] * 10
    assert bench.php.asked <= 5
    assert bench.pipeline.pause_reason is None


async def test_a_row_that_moves_gives_back_the_slot_of_the_number_that_it_leaves(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one of the number that it goes from now: its recipient would get one too many from it."""
    bench = await make(refused(33), ACCEPTED)
    bench.php.vendor = changed(current_phone_number_id="220")
    limiter = bench.services.limiter
    grant = limiter.grant
    returned: list[tuple[str, str]] = []

    async def recording(
        lease: Lease, campaign: str, limits: Limits, *args: Any, **more: Any
    ) -> Any:
        returned.extend((limits.number, to) for to in more["unsent"])
        return await grant(lease, campaign, limits, *args, **more)

    monkeypatch.setattr(limiter, "grant", recording)
    row = queued()
    assert await bench.run(row, queued(from_phone_number_id=NUMBER)) == []
    assert [number for number, _, _ in bench.api.sent].count("220") == 1
    assert ("220", row.addressee) not in returned


async def test_rows_under_way_when_errors_stop_the_campaign_go_back(make: Make) -> None:
    bench = await make(refused(131009), send_concurrency=6, campaign_error_streak=3)
    bench.api.answers.clear()
    rows = [queued() for _ in range(10)]
    run = asyncio.create_task(bench.run(*rows))
    await eventually(lambda: len(bench.api.sent) == 6)
    bench.api.answers.set()
    back = await run
    assert len(back) >= 8
    assert bench.outcomes == [SendOutcome.FAILED] * (10 - len(back))
    assert bench.pipeline.stopped
    assert "3 errors in a row" in (bench.pipeline.pause_reason or "")
    assert set((await state_of(bench.ledger)).claimed) == set(back)


@pytest.mark.parametrize("silent", [False, True])
async def test_a_number_that_is_paused_is_asked_for_before_the_campaign_stops(
    make: Make, redis: Redis, silent: bool
) -> None:
    bench = await make()
    limits = Limits.of(VENDOR, NUMBER, bench.services.settings)
    paused = Paused("number", NUMBER, VENDOR.vendor_uid, 131048, "131048 spam", 1, shared=False)
    await Pauses(redis).put(paused)
    assert paused.name in limits.pauses
    if silent:
        bench.php.error = BackendUnavailable("gone")
        assert len(await bench.run(queued(), longest_s=0.2)) == 1
        assert bench.pipeline.pause_reason is None
    else:
        assert len(await bench.run(queued())) == 1
        assert "131048 spam" in (bench.pipeline.pause_reason or "")
    assert bench.php.asked >= 1


# -- what an earlier holder has left --


async def test_leftovers_are_reported_and_told(make: Make) -> None:
    bench = await make()
    rows = [queued(uid) for uid in ("claimed", "sending", "known")]
    await have_claimed(bench.ledger, CLAIM, [row.uid for row in rows])
    await bench.ledger.begin(bench.lease, [(row, NUMBER) for row in rows[1:]])
    await bench.ledger.known([result("known")])
    state = await bench.pipeline.settle_leftovers()
    assert state.claimed == {"claimed": CLAIM}
    found = {one.uid: (one.outcome, one.phone_number_id) for one in bench.reported}
    assert found == {
        "sending": (SendOutcome.UNKNOWN, NUMBER),
        "known": (SendOutcome.ACCEPTED, NUMBER),
    }
    assert LEFT_SENDING in [one.error for one in bench.reported]


async def test_it_is_told_that_redis_has_forgotten_whether_a_row_was_sent(make: Make) -> None:
    """Such a row has no number (``compared.lua``)."""
    bench = await make()
    await have_claimed(bench.ledger, CLAIM, ["r1"])
    await bench.ledger.begin(bench.lease, [(queued("r1"), "")])
    await bench.pipeline.settle_leftovers()
    [reported] = bench.reported
    assert (reported.outcome, reported.error) == (SendOutcome.UNKNOWN, FORGOTTEN)


# -- Redis is away --


async def test_pauses_begin_anew_when_redis_has_been_well(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failures that are hours apart are no outage that goes on."""
    bench = await make()
    monkeypatch.setattr(module, "WELL_S", 0.05)
    fails = asyncio.Event()
    pauses: list[float] = []
    until = Pipeline.until

    async def plan(self: Pacer) -> None:
        await fails.wait()
        fails.clear()
        raise RedisUnavailable[0]("gone")

    async def and_note(self: Pipeline, *arguments: Any, **options: Any) -> None:
        if "longest_s" in options and not arguments:
            pauses.append(options["longest_s"])
        await until(self, *arguments, **options)

    async def fail(times: int) -> None:
        fails.set()
        await eventually(lambda: len(pauses) == times)

    async def feed(pipeline: Pipeline) -> None:
        pipeline.put([queued("r1")])
        for times in (1, 2, 3):
            await fail(times)
        await asyncio.sleep(1.5)
        await fail(4)
        pipeline.end(End.STOPPING)

    monkeypatch.setattr(Pacer, "plan", plan)
    monkeypatch.setattr(Pipeline, "until", and_note)
    bench.feeding = feed
    with capture_logs() as logs:
        await bench.pipeline.run()
    assert pauses[2] > pauses[0]
    assert pauses[3] < pauses[2]
    assert [log["event"] for log in logs].count("sending.redis_unavailable") == 2


async def test_nothing_is_written_into_anothers_ledger(make: Make) -> None:
    bench = await make()
    row = queued()
    await have_claimed(bench.ledger, CLAIM, [row.uid])
    await bench.ledger.begin(bench.lease, [(row, NUMBER)])
    bench.pipeline.end(End.LEASE_LOST)
    bench.pipeline.put([row])
    assert await bench.pipeline.take_unstarted() == [row]
    assert set((await state_of(bench.ledger)).sending) == {row.uid}


# -- results --


async def test_results_say_whose_they_are(make: Make) -> None:
    reply = await make(campaign_uid=None)
    row = queued(from_phone_number_id="other")
    reply.pipeline.fail(row, SendError(code=None, message="expired"))
    reply.pipeline.postpone(row, 1.0, "the number is paused")
    failed, later = reply.reported
    assert (failed.campaign_uid, failed.phone_number_id) == (None, "other")
    assert failed.attempted
    assert later.error == SendError(code=None, message="the number is paused")
    assert replies_of("vendor-1") == reply.lease.name.removeprefix("campaign:")
