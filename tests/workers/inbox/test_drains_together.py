"""Several workers drain a lane, and one of them dies or stands still at any moment: every message
is applied once, in order, and the accounting balances."""

import asyncio

import pytest

from contracts.jobs import Lane
from sidecar.inbox.partitions import Partition, drain_leases
from sidecar.redis import keys
from tests.contract.under_test import Vendor
from tests.eventually import eventually
from tests.workers.conftest import MakeLane, MakeStage
from tests.workers.payloads import message, webhook
from tests.workers.stage import Stage
from tests.workers.state_machine import DrainProcess

LANE = Lane.MESSAGES
CONTACTS = ("99911", "99922")
OF_EACH = 5


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


@pytest.mark.parametrize("stands_still", [False, True])
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("at", [2, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 19, 22, 26, 31])
async def test_one_of_them_fails(
    make_stage: MakeStage,
    make_lane: MakeLane,
    redis_url: str,
    at: int,
    parts: int,
    stands_still: bool,
) -> None:
    small = {"message_batch_size": 4, "message_concurrency": 1, "lease_ttl_ms": 10_000}
    stage = await make_stage(**small)
    lane = make_lane(LANE, stage.backend, **small)
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
        await stage.redis.set(keys.partitions(LANE), parts)
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
        assert await stage.redis.get(keys.partitions(LANE)) in (None, b"2")
