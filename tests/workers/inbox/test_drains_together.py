"""Several workers drain a lane, and one of them dies or stands still at any moment: every message
is applied once, in order, and the accounting balances."""

import asyncio
from dataclasses import replace

import pytest

from contracts import backend as contract
from contracts.jobs import Lane
from sidecar.inbox.partitions import Partition, drain_leases
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Leases
from tests.contract.under_test import Vendor
from tests.eventually import eventually
from tests.workers.conftest import MakeLane, MakeStage
from tests.workers.inbox.test_partitions import announce
from tests.workers.lane import LaneUnderTest
from tests.workers.payloads import message, texts, webhook
from tests.workers.php import Answer, Call, Php, results
from tests.workers.stage import Stage
from tests.workers.state_machine import DrainProcess

BATCH = contract.PROCESS_WEBHOOKS
LANE = Lane.MESSAGES
CONTACTS = ("99911", "99922")
OF_EACH = 5
SMALL = {"message_batch_size": 4, "message_concurrency": 1}


def vendors_of_both(stage: Stage) -> list[Vendor]:
    """Return two vendors of each of two partitions."""
    found: dict[bool, list[Vendor]] = {True: [], False: []}
    while min(map(len, found.values())) < 2:
        vendor = stage.embedded.seed_vendor()
        found[Partition(0, 2).holds(vendor.uid)].append(vendor)
    return [one for some in found.values() for one in some[:2]]


async def free_leases_of_the_dead(stage: Stage) -> None:
    for name in drain_leases(LANE):
        await stage.redis.delete(keys.lease(name))


async def test_a_lane_that_is_behind_is_divided_and_put_together_again(
    php: Php, messages: LaneUnderTest, redis: Redis
) -> None:
    await announce(redis, queue=LANE)
    settings = messages.settings.model_copy(update=SMALL)
    lane = replace(messages, settings=settings, leases=Leases(redis, 60_000))
    other = replace(lane, leases=Leases(redis, 60_000))
    woken: list[asyncio.Task[bool]] = []

    def wake(_: Lane) -> None:
        woken.append(asyncio.create_task(other.drain()))

    lane.wake = wake
    seen: set[frozenset[str]] = set()
    in_flight: set[str] = set()

    async def watch(call: Call) -> Answer:
        seen.add(frozenset(lane.leases.held | other.leases.held))
        theirs = {update["vendor_uid"] for update in call.json["updates"]}
        assert not theirs & in_flight, "a vendor is in two hands"
        in_flight.update(theirs)
        await asyncio.sleep(0.01)
        in_flight.difference_update(theirs)
        return results(call)

    php.when(BATCH, watch)
    vendors = [f"vendor-{number}" for number in range(8)]
    for number in range(20):
        for vendor in vendors:
            await lane.receive(*texts(f"{vendor}.{number}"), vendor=vendor)
    while await redis.exists(keys.ready(LANE)):
        await lane.drain()
    assert not any(await asyncio.gather(*woken))
    assert not await lane.drain()
    assert seen >= {
        frozenset({"drain:messages"}),
        frozenset({"drain:messages", "drain:messages:1"}),
    }
    for vendor in vendors:
        mine = [wamid for wamid in php.wamids if wamid.startswith(f"{vendor}.")]
        assert mine == [f"{vendor}.{number}" for number in range(20)]
    assert not await redis.exists(keys.partitions(LANE))


async def test_a_vendor_alone_is_nothing_to_divide(
    php: Php, messages: LaneUnderTest, redis: Redis
) -> None:
    await announce(redis, queue=LANE)
    lane = replace(messages, settings=messages.settings.model_copy(update=SMALL))
    await lane.receive(*texts(*(str(number) for number in range(40))))
    await lane.drain()
    assert not await redis.exists(keys.partitions(LANE))
    assert php.wamids == [str(number) for number in range(40)]


@pytest.mark.parametrize("stands_still", [False, True])
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("at", [4, 7, 8, 11, 14, 17, 22, 31])
async def test_one_of_them_fails(
    make_stage: MakeStage,
    make_lane: MakeLane,
    redis_url: str,
    at: int,
    parts: int,
    stands_still: bool,
) -> None:
    stage = await make_stage(**SMALL)
    lane = make_lane(LANE, stage.backend, **SMALL)
    vendors = vendors_of_both(stage)
    expected: dict[tuple[str, str], list[str]] = {}
    for number in range(OF_EACH):
        for vendor in vendors:
            for contact in CONTACTS:
                wamid = f"wamid.{vendor.uid}.{contact}.{number}"
                expected.setdefault((vendor.uid, contact), []).append(wamid)
                metadata = {"phone_number_id": vendor.phone_number_ids[0]}
                body = webhook(messages=[message(contact, wamid)], metadata=metadata)
                await lane.receive(body, vendor=vendor.uid)
    if parts > 1:
        await stage.redis.set(keys.partitions(LANE), f"{parts} 0")
    failing = DrainProcess(stage, redis_url, at, LANE, done=bool(at % 2))
    others = [DrainProcess(stage, redis_url, 0, LANE, done=False) for _ in range(parts)]
    await failing.start()
    await asyncio.sleep(0)
    for one in others:
        await one.start()
    await failing.ended_or_failed()
    failed = failing.failed.is_set()
    if failed and not stands_still:
        await failing.drop()
    await asyncio.gather(*(one.end() for one in others))
    if failed:
        await free_leases_of_the_dead(stage)

    async def drained() -> bool:
        one = DrainProcess(stage, redis_url, 0, LANE, done=False)
        await one.start()
        await one.end()
        return not await stage.redis.exists(keys.ready(LANE))

    await eventually(drained)
    if failed and stands_still:
        failing.go_on()
    if not failed or stands_still:
        await failing.end()
    for vendor in vendors:
        rows = stage.embedded.rows(
            "whatsapp_message_logs", vendors__id=vendor.id, is_incoming_message=1
        )
        for contact in CONTACTS:
            mine = [row["wamid"] for row in rows if row["contact_wa_id"] == contact]
            assert mine == expected[vendor.uid, contact]
    if parts > 1:
        assert await stage.redis.get(keys.partitions(LANE)) in (None, b"2 0")
