"""The process dies, or stands still, at any moment: nothing is sent twice, and every row ends."""

import asyncio
import random
from typing import Any

import pytest

from contracts.backend import QueueStatus
from sidecar.redis import keys
from sidecar.redis.lease import Lease
from tests.workers.conftest import MakeStage
from tests.workers.crashing import Process
from tests.workers.stage import Stage
from workers.sending.ledger import Ledger
from workers.sending.send_queue import ClaimedSend

MESSAGES = 12
#: What the Cloud API refuses by chance: throttled, failed, and to be tried again later.
SHARES = {130429: 0.15, 131026: 0.1, 131016: 0.1}


pytestmark = pytest.mark.usefixtures("short_pauses")


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The rows of which any process has written that it is about to send them."""
    rows: set[str] = set()
    begin = Ledger.begin

    async def note(
        self: Ledger, lease: Lease, sends: list[tuple[ClaimedSend, str]], *where: Any, **more: Any
    ) -> list[ClaimedSend]:
        rows.update(row.uid for row, _ in sends)
        return await begin(self, lease, sends, *where, **more)

    monkeypatch.setattr(Ledger, "begin", note)
    return rows


async def make(make_stage: MakeStage, *, faults: bool = True) -> Stage:
    return await make_stage(
        MESSAGES,
        rate=300,
        claim_s=0.01,
        lease_ttl_ms=60_000,
        cloud={"error_shares": SHARES if faults else {}, "seed": 7},
    )


async def finish(stage: Stage, begun: set[str]) -> None:
    """Have the next holder do the rest, and see that all is as it must be."""
    for _ in range(40):
        stage.embedded.change(
            "whatsapp_message_queue",
            {"scheduled_at": "2020-01-01 00:00:00"},
            campaigns__id=stage.campaign.id,
        )
        await stage.run_to_the_end()
        if not {QueueStatus.QUEUED, QueueStatus.PROCESSING} & set(stage.statuses()):
            break
    stage.assert_settled()
    unknown = {row["_uid"] for row in stage.queue() if row["status"] == QueueStatus.UNKNOWN}
    assert unknown <= begun, "what was never about to be sent is not called unknown"
    assert await stage.ledger.empty()
    assert not await stage.listed()


async def crash(stage: Stage, redis_url: str, at: int, *, done: bool) -> Process:
    process = Process(stage, redis_url, at, done=done)
    await process.start()
    await process.ended_or_failed()
    process.fail()
    await process.drop()
    await stage.drop_lease()
    return process


async def test_the_process_that_dies_is_like_the_real_one(
    make_stage: MakeStage, redis_url: str, begun: set[str]
) -> None:
    """Without a failure it sends everything; and it does enough for the tests below to hit."""
    stage = await make(make_stage, faults=False)
    process = Process(stage, redis_url, done=False)
    await process.start()
    await process.end()
    assert stage.all_accepted()
    assert process.operations > 40


@pytest.mark.parametrize("done", [False, True], ids=["before it is done", "after it is done"])
@pytest.mark.parametrize("at", [*range(1, 10), *range(10, 64, 6)])
async def test_it_dies(
    make_stage: MakeStage, redis_url: str, begun: set[str], at: int, done: bool
) -> None:
    stage = await make(make_stage)
    await crash(stage, redis_url, at, done=done)
    await finish(stage, begun)


async def test_it_dies_when_a_group_is_written_down_and_none_of_it_is_sent(
    make_stage: MakeStage, redis_url: str, begun: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """These are unknown and sent by nobody, however many they are; the others go out, once."""
    stage = await make_stage(40, rate=1000, claim_s=0.02, lease_ttl_ms=60_000)
    process = Process(stage, redis_url, done=False)
    begin, group = Ledger.begin, set[str]()

    async def and_die(
        self: Ledger, lease: Lease, sends: list[tuple[ClaimedSend, str]], *where: Any, **more: Any
    ) -> list[ClaimedSend]:
        refused = await begin(self, lease, sends, *where, **more)
        if len(sends) > 1 and not process.failed.is_set():
            group.update(row.uid for row, _ in sends)
            process.fail()
        return refused

    monkeypatch.setattr(Ledger, "begin", and_die)
    await process.start()
    await process.ended_or_failed()
    await process.drop()
    await stage.drop_lease()
    begun_by_then = set(begun)
    await finish(stage, begun)
    unknown = {row["_uid"] for row in stage.queue() if row["status"] == QueueStatus.UNKNOWN}
    assert group
    assert group <= unknown <= begun_by_then
    assert not group & set(stage.accepts())


@pytest.mark.parametrize("seed", range(8))
async def test_it_dies_at_any_moment_and_its_successor_too(
    make_stage: MakeStage, redis_url: str, begun: set[str], seed: int
) -> None:
    chance = random.Random(seed)
    stage = await make(make_stage)
    for _ in range(3):
        await crash(stage, redis_url, chance.randint(2, 40), done=chance.random() < 0.5)
    await finish(stage, begun)


@pytest.mark.parametrize("seed", range(6))
async def test_it_dies_between_two_operations(
    make_stage: MakeStage, redis_url: str, begun: set[str], seed: int
) -> None:
    stage = await make(make_stage)
    process = Process(stage, redis_url, done=False)
    await process.start()
    await asyncio.sleep(random.Random(seed).uniform(0.0, 0.15))
    process.fail()
    await process.drop()
    await stage.drop_lease()
    await finish(stage, begun)


@pytest.mark.parametrize("done", [False, True], ids=["before it is done", "after it is done"])
@pytest.mark.parametrize("at", range(3, 60, 8))
async def test_it_stands_still_while_its_successor_does_everything(
    make_stage: MakeStage, redis_url: str, begun: set[str], at: int, done: bool
) -> None:
    """And then goes on, as if nothing had happened."""
    stage = await make(make_stage)
    process = Process(stage, redis_url, at, done=done)
    await process.start()
    await process.ended_or_failed()
    await stage.drop_lease()
    await finish(stage, begun)
    process.go_on()
    await process.end()
    await finish(stage, begun)


#: At which operation the first stands still, at which its successor is when the first goes on, and
#: whether the operation of the first is done: in turn, like the colours of a chessboard.
OVERLAPS = [
    (first, then, (first // 3 + then // 4) % 2 == 0)
    for first in range(2, 41, 3)
    for then in range(2, 34, 4)
]


@pytest.mark.parametrize(("at", "then", "done"), OVERLAPS)
async def test_it_stands_still_and_goes_on_in_the_middle_of_its_successors_work(
    make_stage: MakeStage, redis_url: str, begun: set[str], at: int, then: int, done: bool
) -> None:
    """What the first believes to have in hand is the successor's by then."""
    stage = await make(make_stage, faults=False)
    first = Process(stage, redis_url, at, done=done)
    successor = Process(stage, redis_url, then, done=False)
    try:
        await first.start()
        await first.ended_or_failed()
        await stage.drop_lease()
        await successor.start()
        await successor.ended_or_failed()
        first.go_on()
        await first.end()
        successor.go_on()
        await successor.end()
    finally:
        await first.drop()
        await successor.drop()
    await finish(stage, begun)


@pytest.mark.parametrize("done", [False, True], ids=["before it is done", "after it is done"])
@pytest.mark.parametrize("at", range(4, 60, 14))
async def test_redis_is_wiped(
    make_stage: MakeStage, redis_url: str, begun: set[str], at: int, done: bool
) -> None:
    """What PHP holds for a claim that nobody knows of any more, it makes unknown in time."""
    stage = await make(make_stage)
    process = Process(stage, redis_url, at, done=done)
    await process.start()
    await process.ended_or_failed()
    await stage.redis.flushall()
    process.go_on()
    await process.end()
    await stage.redis.hset(keys.CAMPAIGNS, stage.campaign.uid, stage.vendor.uid)
    await stage.run_to_the_end()
    stage.embedded.change(
        "whatsapp_message_queue",
        {"status": QueueStatus.UNKNOWN},
        campaigns__id=stage.campaign.id,
        status=QueueStatus.PROCESSING,
    )
    await finish(stage, set(stage.campaign.row_uids))


@pytest.mark.parametrize("at", [5, 9, 14, 20])
async def test_the_lease_expires_and_nobody_takes_it(
    make_stage: MakeStage, redis_url: str, begun: set[str], at: int
) -> None:
    stage = await make(make_stage)
    process = Process(stage, redis_url, at, done=False)
    await process.start()
    await process.ended_or_failed()
    await stage.drop_lease()
    process.go_on()
    await process.end()
    await finish(stage, begun)
