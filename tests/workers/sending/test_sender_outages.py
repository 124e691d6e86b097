"""What becomes of rows that are sent in an outage of the Cloud API."""

import asyncio

from contracts.backend import SendOutcome
from sidecar.redis import keys
from sidecar.tasks import cancel
from tests.eventually import eventually
from tests.workers.rows import CAMPAIGN, CLAIM, NUMBER, have_claimed, queued, state_of
from tests.workers.sending.test_sender import ACCEPTED, Desk, desk, refused
from tests.workers.simulated_time import held_lease
from tests.workers.slots import limits
from workers.sending.cloud_api import Attempt, OutcomeUnknown
from workers.sending.outages import SPARED_S
from workers.sending.sender import Sender

__all__ = ["desk"]

FAULT = refused(131000)


async def in_row(desk: Desk, *attempts: Attempt) -> Sender:
    """Send so many rows at the same time, whose calls end like this."""
    sender = desk.sender()
    desk.api.attempts = [*attempts]
    rows = [queued(f"row-{number}", retries=3) for number in range(len(attempts))]
    await have_claimed(desk.ledger, CLAIM, [row.uid for row in rows])
    lease = await held_lease(desk.redis, CAMPAIGN)
    await desk.ledger.begin(lease, [(row, NUMBER) for row in rows])
    await asyncio.gather(*(sender.send(row, limits(80.0)) for row in rows))
    return sender


async def test_refusals_that_begin_an_outage_are_no_attempts(desk: Desk) -> None:
    """Nor would they be if it were their last one."""
    await in_row(desk, FAULT, FAULT, FAULT)
    assert desk.outlet.reported == []
    assert [(wait_s, reason) for _, wait_s, reason in desk.outlet.postponed] == [
        (SPARED_S, "131000 error 131000")
    ] * 3
    assert len((await state_of(desk.ledger)).claimed) == 3, "they were certainly not sent"


async def test_a_refusal_in_between_is_the_rows(desk: Desk) -> None:
    await in_row(desk, FAULT, FAULT, ACCEPTED)
    outcomes = sorted(one.outcome for one in desk.outlet.reported)
    assert outcomes == [SendOutcome.ACCEPTED, SendOutcome.FAILED, SendOutcome.FAILED]
    assert desk.outlet.postponed == []


async def test_rows_whose_outcome_nobody_knows_are_unknown_in_an_outage_too(desk: Desk) -> None:
    unknown = OutcomeUnknown("answer 502 without an error code of the Cloud API's")
    await in_row(desk, unknown, unknown, unknown)
    assert [one.outcome for one in desk.outlet.reported] == [SendOutcome.UNKNOWN] * 3
    assert await desk.redis.exists(keys.outage(NUMBER))


async def test_redis_is_away_when_a_refusal_is_noted(desk: Desk) -> None:
    """The row comes again all the same. It must not be left as one that may have been sent."""
    await desk.redis.set(keys.ledger(CAMPAIGN), "not a hash")
    sender = desk.sender()
    desk.api.attempts = [FAULT]
    rows = [queued(f"row-{number}") for number in range(3)]
    await asyncio.gather(*(sender.send(row, limits(80.0)) for row in rows))
    assert [row for row, _, _ in desk.outlet.postponed] == rows


async def test_a_row_that_probes_the_api_ends_the_outage(desk: Desk) -> None:
    sender = await in_row(desk, FAULT, FAULT, FAULT)
    await desk.redis.hset(keys.outage(NUMBER), "probe", "p-1")
    sender._outages.line(NUMBER).probe = ("row-9", "p-1")
    desk.api.attempts = [ACCEPTED]
    await sender.send(queued("row-9"), limits(80.0))
    assert not await desk.redis.hexists(keys.outage(NUMBER), "since")


async def test_a_row_that_was_to_probe_it_and_is_not_sent_leaves_that_to_another(
    desk: Desk,
) -> None:
    sender = await in_row(desk, FAULT, FAULT, FAULT)
    await desk.redis.hset(keys.outage(NUMBER), "probe", "p-1")
    sender._outages.line(NUMBER).probe = ("row-9", "p-1")
    await sender.send(queued("row-9", to=None), limits(80.0))
    assert not await desk.redis.hexists(keys.outage(NUMBER), "probe")
    assert await desk.redis.hget(keys.outage(NUMBER), "phase") == b"row"


async def test_a_call_that_is_broken_off_waits_for_no_answer(desk: Desk) -> None:
    async def hang(*args: object) -> Attempt:
        return await asyncio.Event().wait()  # type: ignore[return-value]

    desk.api.send = hang  # type: ignore[method-assign, assignment]
    sender = desk.sender()
    task = asyncio.create_task(sender.send(queued(), limits(80.0)))
    line = sender._outages.line(NUMBER)
    await eventually(lambda: bool(line._calls))
    await cancel([task])
    assert not line._calls
