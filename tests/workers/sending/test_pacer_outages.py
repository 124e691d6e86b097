"""What a pacer starts while the Cloud API does not answer, or is down."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease
from tests.conftest import MakeSettings
from tests.eventually import eventually
from tests.workers.rows import NUMBER, queued, state_of
from tests.workers.sending.test_pacer import Track
from workers.sending.cloud_api import Accepted, Attempt, NotSent, OutcomeUnknown, Prepared
from workers.sending.ledger import Ledger
from workers.sending.limiter import Limiter
from workers.sending.limits import Limits
from workers.sending.line_health import Call, Line, Tuning
from workers.sending.send_queue import ClaimedSend

ACCEPTED = Accepted("wamid.1", None, None, {})
QUICK = Tuning(silence_s=0.3, first_s=0.05, longest_free_s=0.1, longest_paid_s=0.1, trial_s=0.01)


@dataclass
class Calls(Track):
    """Rows that are started are calls that wait until the test answers."""

    calls: list[Call] = field(default_factory=list)

    def start(self, row: ClaimedSend, limits: Limits, prepared: Prepared | None) -> None:
        super().start(row, limits, prepared)
        self.calls.append(self.limiter.outages.began(limits.line, row.uid))

    @property
    def line(self) -> Line:
        return self.limiter.outages.line(NUMBER)

    async def answer(self, attempt: Attempt) -> None:
        """End the call that has waited for the longest time."""
        call = self.calls.pop(0)
        self.limiter.outages.over(call)
        await self.limiter.outages.ended(call, attempt)
        self.rows.changed.set()

    async def answers(self) -> None:
        """Answer whatever is asked, until cancelled."""
        while True:
            await eventually(lambda: bool(self.calls), timeout_s=60)
            await self.answer(ACCEPTED)


@pytest.fixture
async def track(
    redis: Redis, campaign_lease_held: Lease, ledger: Ledger, make_settings: MakeSettings
) -> Calls:
    limiter = Limiter(redis, jitter=lambda: 0.0, tuning=QUICK)
    return Calls(redis, campaign_lease_held, ledger, limiter, make_settings())


def sent(track: Calls, count: int) -> list[ClaimedSend]:
    rows = [queued(f"row-{number}") for number in range(count)]
    track.rows.append(rows)
    return rows


async def is_down(track: Calls) -> bool:
    return bool(await track.redis.hexists(keys.outage(NUMBER), "since"))


async def test_an_api_that_swallows_everything_gets_few(track: Calls) -> None:
    """Nobody answers; the rows that had slots go back, and the outage is noticed."""
    sent(track, 60)
    track.answers_of_asking = [NotSent("cannot connect")] * 100
    async with track.running():
        await eventually(lambda: is_down(track))
        assert len(track.started) == 8
        sending = (await state_of(track.ledger)).sending
        assert set(track.uids) <= sending.keys()
    assert track.pacer.unstarted == 52


async def test_a_silence_is_noticed_where_no_more_calls_may_be_made(track: Calls) -> None:
    """By the settings, or because other numbers of the campaign make them."""
    track.most = 4
    sent(track, 60)
    async with track.running():
        await eventually(lambda: is_down(track))
    assert len(track.started) == 4


async def test_rows_of_withdrawn_slots_are_said_to_be_unsent(track: Calls) -> None:
    sent(track, 30)
    async with track.running():
        await eventually(lambda: len(track.started) == 8)

        async def only_these() -> bool:
            return (await state_of(track.ledger)).sending.keys() == set(track.uids)

        await eventually(only_these)


async def test_answers_let_the_others_go(track: Calls) -> None:
    rows = sent(track, 30)
    async with track.running():
        await eventually(lambda: len(track.started) == 8)
        answering = asyncio.create_task(track.answers())
        await track.has_started(30)
        answering.cancel()
    assert sorted(track.uids) == sorted(row.uid for row in rows)


async def test_the_api_is_asked_before_a_row_is_tried(track: Calls) -> None:
    """One that does not answer costs no row; then one row goes, and when it has gone the others."""
    rows = sent(track, 30)
    track.answers_of_asking = [NotSent("cannot connect"), OutcomeUnknown("no answer")]
    async with track.running():
        await eventually(lambda: len(track.calls) == 8)
        for _ in range(3):
            await track.answer(OutcomeUnknown("502"))
        await eventually(lambda: track.api_asks > 0)
        # One may have got its slot while the third was answered, before the outage was noted.
        begun = len(track.started)
        assert begun in (8, 9)
        await eventually(lambda: len(track.started) > begun)
        assert track.api_asks == 3
        asked = track.asks
        await eventually(lambda: track.asks > asked)
        assert len(track.started) == begun + 1, "while the probe is under way nothing else is sent"
        track.calls = track.calls[-1:]
        await track.answer(ACCEPTED)
        assert not await is_down(track)
        answering = asyncio.create_task(track.answers())
        await track.has_started(30)
        answering.cancel()
    assert sorted(track.uids) == sorted(row.uid for row in rows)


async def test_a_probe_that_fails_is_followed_by_another(track: Calls) -> None:
    sent(track, 30)
    async with track.running():
        await eventually(lambda: len(track.calls) == 8)
        # The others hang. While the third is answered the first probe may begin.
        track.calls = track.calls[:3]
        for _ in range(3):
            await track.answer(OutcomeUnknown("502"))
        for _ in range(3):
            await eventually(lambda: bool(track.calls))
            assert len(track.calls) == 1
            await track.answer(OutcomeUnknown("502"))
        # The first of them may have had its slot before the outage was noted.
        await eventually(lambda: track.api_asks >= 3)
    assert len(set(track.uids)) == len(track.uids)


async def test_an_outage_that_another_process_has_noticed_stops_rows_with_slots(
    track: Calls,
) -> None:
    """It comes between the slot and the row's being written down, or is noticed with the next
    slots."""
    track.paced(20.0)
    sent(track, 60)
    async with track.running():
        await track.has_started(2)
        outage: dict[Any, Any] = {
            "since": 1,
            "reason": "r",
            "until": 4 * 10**15,
            "pause": 1,
            "failed": 0,
        }
        await track.redis.hset(keys.outage(NUMBER), mapping=outage)
        await eventually(lambda: track.line.down)
        started = len(track.started)
        await eventually(lambda: track.pacer.planned == 0)
        assert len(track.started) == started
        assert track.pacer.blocked is not None
        assert track.pacer.blocked.reason == "the Cloud API is down: r"
