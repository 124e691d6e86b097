"""What vendors have under way, by what stands in Redis."""

from typing import Any

import pytest

from contracts.campaigns import CampaignState
from contracts.jobs import Lane
from sidecar.inbox.store import Inbox
from sidecar.migration.in_flight import CampaignInFlight, InFlight, WebhooksInFlight
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.campaigns import campaign_lease
from sidecar.sending.halts import Halt, Halts

VENDORS = {"v-1", "v-2"}


@pytest.fixture
def in_flight(redis: Redis) -> InFlight:
    return InFlight(redis)


async def test_nothing(in_flight: InFlight, redis: Redis) -> None:
    assert await in_flight.campaigns(VENDORS) == []
    assert await in_flight.inboxes(VENDORS) == {}
    await redis.hset(keys.CAMPAIGNS, "c-1", "v-1")
    assert await in_flight.campaigns(VENDORS) == [], "it is listed, and nobody has it"


async def test_rows_and_claims_and_who_has_them(in_flight: InFlight, redis: Redis) -> None:
    await redis.hset(keys.LEDGERS, "c-1", "v-1")
    rows: dict[Any, Any] = {"r-1": "c:x", "r-2": "s:x:110"}
    await redis.hset(keys.ledger("c-1"), mapping=rows)
    await redis.hset(keys.claims("c-1"), "claim", "1")
    await redis.hset(keys.CAMPAIGNS, "c-2", "v-2")
    await redis.set(keys.lease(campaign_lease("c-2")), 1)
    first, second = sorted(await in_flight.campaigns(VENDORS), key=lambda one: one.campaign_uid)
    assert first == CampaignInFlight("c-1", "v-1", rows=2, claims=1, held=False)
    assert second == CampaignInFlight("c-2", "v-2", rows=0, claims=0, held=True)
    assert (first.unsettled, second.unsettled) == (True, False)


async def test_a_stop_that_php_does_not_know(in_flight: InFlight, redis: Redis) -> None:
    """Its cron would send the campaign."""
    halts, halt = Halts(redis), Halt(CampaignState.PAUSED)
    await halts.put("c-1", "v-1", halt)
    [found] = await in_flight.campaigns(VENDORS)
    assert (found.untold, found.unsettled) == (True, True)
    await halts.acknowledge("c-1", halt, 1)
    assert await in_flight.campaigns(VENDORS) == []


async def test_of_other_vendors_and_of_replies_nothing_is_said(
    in_flight: InFlight, redis: Redis
) -> None:
    for campaign, vendor in (("c-3", "v-3"), ("replies:v-1", "v-1")):
        await redis.hset(keys.LEDGERS, campaign, vendor)
        await redis.hset(keys.ledger(campaign), "r-1", "s:x:110")
    assert await in_flight.campaigns(VENDORS) == []


async def test_webhooks_that_wait(in_flight: InFlight, redis: Redis) -> None:
    inbox = Inbox(redis, timeout_s=5, pending_limit_bytes=10**8, wake=lambda _lane: None)
    for lane, vendor_uid in ((Lane.MESSAGES, "v-1"), (Lane.STATUSES, "v-1"), (Lane.STATUSES, "w")):
        await inbox.put(lane, vendor_uid, b"", b"{}")
    await inbox.close()
    assert await in_flight.inboxes(VENDORS) == {"v-1": WebhooksInFlight(2, 0)}


async def test_updates_that_wait_to_be_tried_again(in_flight: InFlight, redis: Redis) -> None:
    await redis.sadd(keys.VENDORS, "v-1")
    await redis.hset(keys.counters("v-1"), mapping={"updates": 1, "deferred_messages": 1})
    await redis.rpush(keys.deferred_updates(Lane.MESSAGES, "v-1/1"), b"{}")
    await redis.zadd(keys.deferred(Lane.MESSAGES), {"v-1/1": 10**15})
    assert await in_flight.inboxes(VENDORS) == {"v-1": WebhooksInFlight(0, 1)}


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (
            CampaignInFlight("c", "v", rows=1200, claims=0, held=True),
            "campaign c: 1,200 rows to be settled; a worker ends it",
        ),
        (
            CampaignInFlight("c", "v", rows=1, claims=2, held=False),
            "campaign c: 1 row to be settled, 2 claims without an answer; no worker has it",
        ),
        (
            CampaignInFlight("c", "v", rows=0, claims=0, held=True),
            "campaign c: no rows; a worker ends it",
        ),
        (
            CampaignInFlight("c", "v", rows=0, claims=0, held=False, untold=True),
            "campaign c: PHP does not know yet that it was stopped; no worker has it",
        ),
        (WebhooksInFlight(3, 0), "3 webhooks"),
        (WebhooksInFlight(0, 2), "2 updates that wait to be tried again"),
        (WebhooksInFlight(1, None), "1 webhook and many updates that wait to be tried again"),
    ],
)
def test_in_words(one: object, text: str) -> None:
    assert str(one) == text


@pytest.mark.parametrize(
    ("webhooks", "updates", "some"),
    [(0, 0, False), (1, 0, True), (0, 1, True), (0, None, True)],
)
def test_what_is_too_many_to_be_counted_is_some(
    webhooks: int, updates: int | None, some: bool
) -> None:
    assert bool(WebhooksInFlight(webhooks, updates)) is some
