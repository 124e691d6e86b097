"""An outage of the Cloud API holds all workers, is probed, and ends for all of them: the real
scripts on a clock of the test's."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs

from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable
from sidecar.sending.lifting import lift
from sidecar.sending.numbers import LastOutage, Outage
from tests.workers.rows import CAMPAIGN, CLAIM, have_claimed, queued
from tests.workers.sending.test_line_health import NOT_SENT, UNKNOWN
from tests.workers.sending.test_sender import ACCEPTED, refused
from tests.workers.simulated_time import START, Clock, held_lease, simulated_limiter
from tests.workers.slots import NUMBER, limits, recipients
from workers.sending.cloud_api import Attempt, OutcomeUnknown
from workers.sending.holds import Hold, Pause, Scope
from workers.sending.ledger import Ledger, NumberHeld
from workers.sending.limiter import Grant, Limiter
from workers.sending.line_health import Call, Health, Line

SILENT = "no answer to any of 8 calls for 3.0 s"


@dataclass
class Worker:
    """What one process does for one campaign, at times of the test's choice (seconds from the
    start)."""

    redis: Redis
    limiter: Limiter
    clock: Clock
    campaign: str = CAMPAIGN
    grants: list[Grant] = field(default_factory=list)

    @property
    def line(self) -> Line:
        return self.limiter.outages.line(NUMBER)

    async def ask(self, at: float, count: int = 5, **more: Any) -> Grant:
        await self.clock.set(START + at)
        lease = await held_lease(self.redis, self.campaign)
        grant = await self.limiter.grant(
            lease, self.campaign, limits(80.0), recipients(count), **more
        )
        self.grants.append(grant)
        return grant

    async def health(self, at: float) -> Health:
        return (await self.ask(at)).health

    def call(self, row_uid: str = "row") -> Call:
        return self.limiter.outages.began(NUMBER, row_uid)

    async def end(self, call: Call, attempt: Attempt) -> bool:
        """Return whether a refusal is spared."""
        self.limiter.outages.over(call)
        if not await self.limiter.outages.ended(call, attempt):
            return False
        return await self.limiter.outages.caused(call)

    async def goes_down(self, at: float, sign: Attempt = UNKNOWN) -> None:
        await self.ask(at)
        for row in range(3):
            await self.end(self.call(f"row-{at}-{row}"), sign)

    async def ask_api(self, at: float, attempt: Attempt | None) -> None:
        """Probe with a question."""
        grant = await self.ask(at)
        assert (grant.health, grant.count) == (Health.ASK, 0)
        await self.limiter.outages.asked(self.line, grant.probe, attempt)

    async def probe_row(self, at: float, attempt: Attempt) -> bool:
        """Probe with a row, after the question was answered."""
        grant = await self.ask(at)
        assert (grant.health, grant.count) == (Health.ROW, 1)
        self.line.probe = (f"probe-{at}", grant.probe)
        return await self.end(self.call(f"probe-{at}"), attempt)

    async def probe(self, at: float, attempt: Attempt) -> bool:
        await self.ask_api(at, None)
        return await self.probe_row(at, attempt)

    async def next_probe(self) -> float:
        """Return when the next one may be."""
        until = await self.redis.hget(keys.outage(NUMBER), "until")
        return round(int(until or 0) / 1e6 - START, 3)

    async def state(self) -> tuple[Outage | None, LastOutage | None]:
        state = await self.limiter.state(NUMBER)
        assert state is not None
        return state.outage, state.last_outage


@pytest.fixture
def worker(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Worker:
    return Worker(redis, simulated_limiter(redis, monkeypatch), Clock(redis))


@pytest.fixture
def other(redis: Redis, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """Another process, with another campaign of the same number."""
    limiter = simulated_limiter(redis, monkeypatch)
    return Worker(redis, limiter, worker.clock, campaign="another")


# -- it begins --


async def test_it_holds_all_workers_and_says_why(worker: Worker, other: Worker) -> None:
    with capture_logs() as logs:
        await worker.goes_down(0)
    assert [(one["event"], one["line"]) for one in logs] == [("cloud_api.outage_began", NUMBER)]
    assert logs[0]["reason"] == UNKNOWN.reason
    grant = await other.ask(0.5)
    assert (grant.count, grant.health) == (0, Health.DOWN)
    assert grant.reason == f"the Cloud API is down: {UNKNOWN.reason}"
    assert grant.again_s == pytest.approx(0.5, abs=0.1)
    assert other.line.down


async def test_who_notices_it_second_changes_nothing(worker: Worker, other: Worker) -> None:
    await other.ask(0)
    await worker.goes_down(0)
    with capture_logs() as logs:
        for row in range(3):
            await other.end(other.call(f"row-{row}"), NOT_SENT)
    assert logs == []
    assert other.line.down
    assert (await other.ask(0.1)).reason == f"the Cloud API is down: {UNKNOWN.reason}"


async def test_replies_wait_as_well_and_go_first(worker: Worker, other: Worker) -> None:
    await worker.goes_down(0)
    assert (await other.ask(0.5, urgent=True)).health is Health.DOWN
    grant = await other.ask(1.0, urgent=True)
    assert grant.health is Health.ASK
    await other.limiter.outages.asked(other.line, grant.probe, None)
    assert (await worker.ask(1.1)).count == 0
    assert (await other.ask(1.1, urgent=True)).health is Health.ROW


async def test_rows_that_have_slots_are_not_begun(worker: Worker, ledger: Ledger) -> None:
    lease = await held_lease(worker.redis, CAMPAIGN)
    row = queued()
    await have_claimed(ledger, CLAIM, [row.uid])
    await worker.redis.hset(keys.outage(NUMBER), mapping={"since": 1, "probe": "p"})
    for probe in ("", "another"):
        with pytest.raises(NumberHeld):
            await ledger.begin(lease, [(row, NUMBER)], NUMBER, probe=probe)
    assert await ledger.begin(lease, [(row, NUMBER)], NUMBER, probe="p", probe_s=9.0) == []
    until = await worker.redis.hget(keys.outage(NUMBER), "probe_until")
    seconds, micros = await worker.redis.time()
    assert int(until or 0) / 1e6 == pytest.approx(seconds + micros / 1e6 + 9, abs=2)


async def test_a_campaign_that_gets_no_slots_says_why(worker: Worker) -> None:
    await worker.goes_down(0)
    assert not await worker.redis.exists(keys.blocked(CAMPAIGN))
    await worker.ask(0.5)
    blocked = await worker.redis.get(keys.blocked(CAMPAIGN))
    assert blocked == f"the Cloud API is down: {UNKNOWN.reason}".encode()
    await worker.probe(1, ACCEPTED)
    assert not await worker.redis.exists(keys.blocked(CAMPAIGN))


async def test_it_is_seen(worker: Worker) -> None:
    await worker.goes_down(0)
    assert await worker.state() == (Outage(UNKNOWN.reason, START), None)
    await worker.ask_api(1, refused(131016))
    outage, _ = await worker.state()
    assert outage == Outage("131016 error 131016", START)
    await worker.probe(3, ACCEPTED)
    last = LastOutage("131016 error 131016", START, START + 3)
    assert await worker.state() == (None, last)


# -- probes --


async def test_one_probe_at_a_time(worker: Worker, other: Worker) -> None:
    await worker.goes_down(0)
    grant = await worker.ask(1)
    assert grant.health is Health.ASK
    assert await other.health(1.5) is Health.DOWN
    await worker.limiter.outages.asked(worker.line, grant.probe, None)
    assert (await other.ask(1.6, 30)).count == 1, "whoever comes first sends the row"
    assert other.grants[-1].health is Health.ROW
    assert (await worker.ask(1.7)).count == 0
    assert worker.grants[-1].again_s <= 1


async def test_it_ends_for_all_when_a_row_goes_out(worker: Worker, other: Worker) -> None:
    await worker.goes_down(0)
    await other.ask(0.5)
    with capture_logs() as logs:
        await worker.probe(1, ACCEPTED)
    [ended] = logs
    assert (ended["event"], ended["seconds"]) == ("cloud_api.outage_ended", 1.0)
    assert not worker.line.down
    grant = await other.ask(1.1)
    assert (grant.count, grant.health) == (5, Health.WELL)
    assert not other.line.down


@pytest.mark.parametrize("code", [130429, 131026, 190, 131057])
async def test_any_answer_of_the_api_ends_it(worker: Worker, code: int) -> None:
    await worker.goes_down(0)
    assert await worker.probe(1, refused(code)) is False
    assert (await worker.state())[0] is None


async def test_probes_that_cost_nothing_follow_within_half_a_minute(worker: Worker) -> None:
    await worker.goes_down(0)
    times = [await worker.next_probe()]
    for _ in range(7):
        await worker.ask_api(times[-1], NOT_SENT)
        times.append(await worker.next_probe())
    assert times == [1, 3, 7, 15, 31, 61, 91, 121]


async def test_probes_that_cost_a_row_become_rare(worker: Worker) -> None:
    await worker.goes_down(0)
    times = [await worker.next_probe()]
    for _ in range(11):
        await worker.probe(times[-1], UNKNOWN)
        times.append(await worker.next_probe())
    assert times[:6] == [1, 3, 7, 15, 31, 63]
    assert times[-1] - times[-2] == 600


async def test_a_refused_probe_costs_nothing_and_no_attempt(worker: Worker) -> None:
    await worker.goes_down(0, refused(131000))
    times = [await worker.next_probe()]
    for _ in range(6):
        assert await worker.probe(times[-1], refused(131000)) is True
        times.append(await worker.next_probe())
    assert times == [1, 3, 7, 15, 31, 61, 91]


async def test_rows_that_are_always_refused_come_to_an_end(worker: Worker) -> None:
    """The API answers, and nothing is left but rows that it has a fault with."""
    await worker.goes_down(0, refused(131000))
    spared = [await worker.probe(await worker.next_probe(), refused(131000)) for _ in range(22)]
    assert spared == [*[True] * 20, False, False]


async def test_the_time_of_a_probe_is_over_whose_worker_died(worker: Worker, other: Worker) -> None:
    await worker.goes_down(0)
    grant = await worker.ask(1)
    assert grant.health is Health.ASK
    assert await other.health(11) is Health.DOWN
    await other.ask_api(12, None)
    assert (await worker.ask(12.1)).health is Health.ROW, "and is not begun"
    assert await other.health(14) is Health.DOWN
    assert await other.health(15) is Health.ROW
    await worker.limiter.outages.asked(worker.line, grant.probe, NOT_SENT)
    assert await other.next_probe() == 12, "what comes of the old one later says nothing"


async def test_a_probe_whose_time_was_over_ends_it_all_the_same(
    worker: Worker, other: Worker
) -> None:
    await worker.goes_down(0)
    await worker.ask_api(1, None)
    grant = await worker.ask(1)
    worker.line.probe = ("row", grant.probe)
    call = worker.call("row")
    assert (await other.ask(4)).health is Health.ROW
    await worker.end(call, ACCEPTED)
    assert (await other.state())[0] is None


async def test_another_row_takes_the_place_of_one_for_which_no_call_is_made(
    worker: Worker, other: Worker
) -> None:
    await worker.goes_down(0)
    await worker.ask_api(1, None)
    grant = await worker.ask(1)
    worker.line.probe = ("row", grant.probe)
    await worker.limiter.outages.not_made(NUMBER, "another row")
    assert await other.health(1.1) is Health.DOWN
    await worker.limiter.outages.not_made(NUMBER, "row")
    assert await other.health(1.1) is Health.ROW


async def test_a_hold_for_another_reason_is_kept_meanwhile(worker: Worker) -> None:
    await worker.goes_down(0)
    hold = Hold(Pause(Scope.ACCOUNT, 60, 3600), "80007 limit of the account")
    await worker.limiter.hold(limits(80.0), hold, sent_at=START)
    grant = await worker.ask(5)
    assert (grant.count, grant.health) == (0, Health.DOWN)
    assert grant.reason == "80007 limit of the account"
    assert await worker.health(61) is Health.ASK


async def test_a_recipient_who_must_wait_is_no_probe(worker: Worker) -> None:
    await worker.goes_down(0)
    await worker.limiter.hold_pair(NUMBER, "1", 60)
    await worker.ask_api(1, None)
    lease = await held_lease(worker.redis, CAMPAIGN)
    grant = await worker.limiter.grant(lease, CAMPAIGN, limits(80.0), ["1"])
    assert (grant.count, grant.health) == (0, Health.DOWN)
    assert await worker.health(1.1) is Health.ROW, "and keeps nobody else from it"


# -- old calls --


async def test_a_call_from_before_ends_a_silence(worker: Worker) -> None:
    """The API was slow, and not away."""
    await worker.ask(0)
    call = worker.call()
    await worker.clock.set(START + 3)
    await worker.limiter.outages.begin(worker.line, SILENT, START + 3, silent=True)
    await worker.end(call, ACCEPTED)
    assert (await worker.state())[0] is None


async def test_a_call_from_before_ends_nothing_else(worker: Worker) -> None:
    await worker.ask(0)
    call = worker.call()
    await worker.goes_down(1)
    await worker.end(call, ACCEPTED)
    assert (await worker.state())[0] is not None


async def test_calls_that_hung_through_an_outage_begin_no_other(
    worker: Worker, other: Worker
) -> None:
    await other.ask(0)
    calls = [other.call(f"hung-{row}") for row in range(8)]
    await worker.goes_down(1)
    await worker.probe(2, ACCEPTED)
    for call in calls:
        await other.end(call, OutcomeUnknown("the Cloud API did not answer in time"))
    assert (await worker.state())[0] is None
    assert not other.line.down


# -- flapping --


async def test_one_that_comes_again_soon_is_probed_as_rarely_as_the_last(worker: Worker) -> None:
    await worker.goes_down(0)
    for at in (1, 3, 7):
        await worker.ask_api(at, NOT_SENT)
    await worker.probe(15, ACCEPTED)
    assert await worker.health(16) is Health.TRIAL
    await worker.end(worker.call(), UNKNOWN)
    assert await worker.next_probe() == 17, "the first one is as soon"
    await worker.ask_api(17, NOT_SENT)
    assert await worker.next_probe() == 33
    await worker.probe(33, ACCEPTED)
    assert await worker.health(94) is Health.WELL


async def test_one_whose_probes_were_only_refused_prolongs_no_other(worker: Worker) -> None:
    """It has cost nothing; the rows of one campaign may be at fault, and others wait."""
    await worker.goes_down(0, refused(131000))
    for at in (1, 3, 7):
        await worker.probe(at, refused(131000))
    await worker.probe(15, ACCEPTED)
    assert await worker.health(16) is Health.WELL
    await worker.limiter.outages.begin(worker.line, "131000", START + 16)
    await worker.probe(17, refused(131000))
    assert await worker.next_probe() == 19


async def test_a_false_alarm_does_not_prolong_the_trial(worker: Worker) -> None:
    await worker.goes_down(0)
    await worker.ask_api(1, NOT_SENT)
    await worker.probe(3, ACCEPTED)
    await worker.ask(50)
    await worker.end(worker.call(), UNKNOWN)
    await worker.probe(51, ACCEPTED)
    assert await worker.health(62) is Health.TRIAL
    assert await worker.health(64) is Health.WELL


# -- clocks, people and Redis --


@pytest.mark.parametrize("back_s", [90, 1200])
async def test_a_clock_that_is_set_back_makes_no_outage_longer(
    worker: Worker, back_s: float
) -> None:
    await worker.goes_down(back_s)
    for at in (1, 3, 7, 15):
        await worker.ask_api(back_s + at, NOT_SENT)
    await worker.ask(back_s + 16)
    grant = await worker.ask(0)
    assert grant.again_s == pytest.approx(15, abs=0.1)
    outage, _ = await worker.state()
    assert outage == Outage(NOT_SENT.reason, START - 16)
    await worker.probe(15, ACCEPTED)
    assert await worker.health(16) is Health.TRIAL


async def test_a_person_lifts_it(worker: Worker) -> None:
    await worker.goes_down(0)
    assert await lift(worker.redis, "number", NUMBER) == [f"the outage: {UNKNOWN.reason}"]
    assert (await worker.ask(0.5)).count == 5
    assert not worker.line.down


async def test_it_ends_also_while_redis_is_full(worker: Worker) -> None:
    await worker.goes_down(0)
    await worker.ask_api(1, NOT_SENT)
    await worker.ask_api(3, None)
    grant = await worker.ask(3)
    worker.line.probe = ("probe", grant.probe)
    await worker.redis.config_set("maxmemory", 1)
    try:
        await worker.end(worker.call("probe"), ACCEPTED)
        assert not await worker.redis.hexists(keys.outage(NUMBER), "since")
    finally:
        await worker.redis.config_set("maxmemory", 0)


async def test_a_person_lifts_it_also_while_redis_is_full(worker: Worker) -> None:
    await worker.goes_down(0)
    await worker.redis.config_set("maxmemory", 1)
    try:
        assert await lift(worker.redis, "number", NUMBER)
        assert not await worker.redis.hexists(keys.outage(NUMBER), "since")
    finally:
        await worker.redis.config_set("maxmemory", 0)


async def test_one_that_nobody_looks_at_is_forgotten(worker: Worker) -> None:
    """Who has nothing to send does not probe."""
    await worker.goes_down(0)
    assert await worker.redis.pttl(keys.outage(NUMBER)) == pytest.approx(301_000, abs=5000)


async def test_redis_is_away(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process stops by itself, until Redis says how it stands."""
    await worker.ask(0)

    async def fail(*_: object, **more: object) -> None:
        raise RedisUnavailable[0]("away")

    monkeypatch.setattr(worker.limiter.outages, "_begin", fail)
    with capture_logs() as logs:
        for row in range(3):
            await worker.end(worker.call(f"row-{row}"), UNKNOWN)
    assert [one["event"] for one in logs] == ["cloud_api.outage_not_written"]
    assert worker.line.down
    assert (await worker.ask(0.1)).health is Health.WELL
    assert not worker.line.down
