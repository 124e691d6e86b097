"""Draining while things break: nothing is lost, and nothing is applied twice."""

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from structlog.testing import capture_logs

from contracts import backend as contract
from contracts.jobs import Lane
from sidecar import keys
from sidecar.backend import Backend
from sidecar.inbox import InboxUnavailable, drain_lease
from sidecar.lease import Leases
from sidecar.redis_client import connect
from tests.conftest import MakeSettings
from tests.contract.embedded import EmbeddedBackend
from tests.contract.under_test import Row, Vendor
from tests.eventually import eventually
from tests.valkey import start_valkey, url_of
from tests.workers.conftest import MakeLane
from tests.workers.lane import LaneUnderTest
from tests.workers.payloads import account, change, envelope, message, status, value, webhook
from tests.workers.php import DROP, HTML_500, Answer, Call, Php, results
from workers import drain as drain_module
from workers.breaker import Breaker
from workers.clock import now_ms
from workers.drain import ILL_LONGEST_MS
from workers.settlement import Settlement

BATCH = contract.PROCESS_WEBHOOKS
COMMIT = "workers.settlement.Settlement.commit"

_wamids = (f"wamid.drain.{number}" for number in itertools.count())


def texts(count: int, sender: str = "99911") -> list[bytes]:
    return [webhook(messages=[message(sender, next(_wamids))]) for _ in range(count)]


async def drain_when_it_may(lane: LaneUnderTest) -> None:
    """Drain as the reconciler would have it done: again and again, until nothing is left."""

    async def empty() -> bool:
        await lane.make_due()
        await lane.drain()
        ready = await lane.redis.exists(keys.ready(lane.lane))
        return not ready and not await lane.deferred()

    await eventually(empty)


# -- PHP --


@pytest.mark.parametrize("given", [HTML_500, Answer(503), Answer(200, b"<html>"), DROP])
async def test_everything_waits_for_a_php_that_is_ill(
    php: Php, make_lane: MakeLane, given: Answer
) -> None:
    lane = make_lane(Lane.MESSAGES, update_max_attempts=1, update_retry_first_ms=10)
    illness = php.always(BATCH, given)
    await lane.receive(*texts(5), *texts(3, "99922"))
    for _ in range(5):
        await lane.drain()
        await lane.make_due()
        await asyncio.sleep(0.02)
    await lane.assert_books_balance()
    assert "done" not in await lane.counters()
    php.forget(illness)
    await drain_when_it_may(lane)
    assert (await lane.counters())["done"] == 8


async def test_when_php_is_well_again_nobody_waits_for_long(php: Php, make_lane: MakeLane) -> None:
    """PHP failed on everything for an hour."""
    lane = make_lane(Lane.MESSAGES, update_retry_first_ms=1000, update_retry_longest_ms=3_600_000)
    php.always(BATCH, HTML_500)
    await lane.receive(*texts(1))
    for _ in range(9):
        await lane.drain()
        lane.delivery.breaker.worked()
        await lane.make_due()
    before = now_ms()
    await lane.drain()
    [(_, due_at)] = await lane.redis.zrange(keys.deferred(lane.lane), 0, -1, withscores=True)
    assert before < due_at <= now_ms() + ILL_LONGEST_MS


async def test_the_inbox_waits_for_a_php_that_is_down_and_says_why_once(
    php: Php, messages: LaneUnderTest
) -> None:
    await php.stop()
    await messages.receive(*texts(20))
    with capture_logs() as logs:
        for _ in range(30):
            await messages.drain()
        await php.start()
        await drain_when_it_may(messages)
    assert [log["event"] for log in logs] == ["php_ill", "php_ill_over"]
    assert "cannot connect" in logs[0]["reason"]
    assert (await messages.counters())["done"] == 20


async def test_nobody_knocks_while_the_breaker_is_open(
    php: Php, statuses: LaneUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "QUANTUM_S", 0.05)
    php.always(BATCH, Answer(503))
    statuses.delivery.breaker = Breaker("php_ill", first_s=60, longest_s=60)
    await statuses.receive(webhook(statuses=[status()]))
    for _ in range(3):
        assert await statuses.drain() is False, "the reconciler comes back to it"
    assert len(php.calls) == 1


async def test_a_status_is_not_given_up_because_php_is_down(php: Php, make_lane: MakeLane) -> None:
    lane = make_lane(Lane.STATUSES, update_max_attempts=1)
    php.always(BATCH, Answer(503))
    await lane.receive(webhook(statuses=[status()]))
    for _ in range(3):
        await lane.drain()
        lane.delivery.breaker.worked()
    assert await lane.waiting() == 1
    assert not await lane.redis.exists(keys.DEAD)


async def test_a_deferred_update_outlives_a_php_that_is_down(
    php: Php, statuses: LaneUnderTest
) -> None:
    refusing = php.when(BATCH, lambda call: results(call, "retry"))
    await statuses.receive(webhook(statuses=[status("wamid.1")]))
    await statuses.drain()
    php.forget(refusing)
    await php.stop()
    await statuses.make_due()
    await statuses.drain()
    [[waiting]] = (await statuses.deferred()).values()
    assert waiting.attempts == 1, "it was not tried"
    await php.start()
    await drain_when_it_may(statuses)
    assert (await statuses.counters())["done"] == 1


async def test_messages_after_one_that_php_went_away_on_stay_behind_it(
    php: Php, messages: LaneUnderTest
) -> None:
    """The first of three is taken, then PHP goes away."""
    taken: list[Call] = []

    def rule(call: Call) -> Answer | None:
        taken.append(call)
        return Answer(503) if len(taken) == 2 else None

    php.when(BATCH, rule)
    await messages.receive(*texts(3))
    await messages.drain()
    [waiting] = (await messages.deferred()).values()
    assert [one.attempts for one in waiting] == [0, 0]
    assert (await messages.counters())["done"] == 1
    messages.delivery.breaker.worked()
    await messages.make_due()
    await messages.drain()
    assert (await messages.counters())["done"] == 3
    order = [u["id"] for batch in php.batches for u in batch]
    assert order == sorted(order)


# -- the lease --


async def steal(lane: LaneUnderTest) -> None:
    """Let somebody else have the lane, as when this process had stood still."""
    name = drain_lease(lane.lane)
    token = int(await lane.redis.get(keys.fence(name)) or 0) + 1
    await lane.redis.set(keys.fence(name), token)
    await lane.redis.set(keys.lease(name), token)


async def give_back(lane: LaneUnderTest) -> None:
    await lane.redis.delete(keys.lease(drain_lease(lane.lane)))


async def test_nothing_is_recorded_after_the_lease_is_lost(
    php: Php, messages: LaneUnderTest
) -> None:
    async def lose(call: Call) -> Answer:
        await steal(messages)
        return results(call)

    losing = php.when(BATCH, lose)
    await messages.receive(*texts(4))
    assert await messages.drain() is False
    assert await messages.counters() == {"webhooks_received": 4}
    assert await messages.waiting() == 4
    php.forget(losing)
    await give_back(messages)
    await messages.drain()
    assert (await messages.counters())["done"] == 4


async def test_two_holders_at_once_record_each_update_once(
    php: Php, messages: LaneUnderTest
) -> None:
    """The first one stands still while PHP has its batch; the second does all of it."""
    nested: list[Call] = []

    async def meanwhile(call: Call) -> Answer:
        if not nested:
            nested.append(call)
            await give_back(messages)
            await messages.drain()
            assert (await messages.counters())["done"] == 4
        return results(call)

    php.when(BATCH, meanwhile)
    await messages.receive(*texts(4))
    await messages.drain()
    assert (await messages.counters())["done"] == 4


async def test_redis_is_wiped_in_the_middle(php: Php, messages: LaneUnderTest) -> None:
    async def wipe(call: Call) -> Answer:
        await messages.redis.flushdb()
        return results(call)

    php.when(BATCH, wipe)
    await messages.receive(*texts(4))
    assert await messages.drain() is False
    assert await messages.counters() == {}


# -- dying, with a PHP that writes to tables --


@pytest.fixture
def vendor(embedded: EmbeddedBackend) -> Vendor:
    return embedded.seed_vendor()


class Died(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def die_once(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the process end before or after the next settlement."""

    def arrange(when: str) -> None:
        commit = Settlement.commit

        async def die(self: Settlement) -> None:
            monkeypatch.setattr(COMMIT, commit)
            if when == "after":
                await commit(self)
            raise Died

        monkeypatch.setattr(COMMIT, die)

    return arrange


def logged(embedded: EmbeddedBackend, vendor: Vendor) -> list[Row]:
    return embedded.rows("whatsapp_message_logs", vendors__id=vendor.id)


def for_vendor(vendor: Vendor, count: int) -> list[bytes]:
    """Return webhooks with messages to the vendor's number."""
    metadata = {"phone_number_id": vendor.phone_number_ids[0]}
    return [
        webhook(messages=[message(f"9990000{n % 3}", next(_wamids))], metadata=metadata)
        for n in range(count)
    ]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_it_dies_when_php_has_the_batch(
    embedded: EmbeddedBackend,
    vendor: Vendor,
    real_backend: Backend,
    make_lane: MakeLane,
    die_once: Callable[[str], None],
    when: str,
) -> None:
    lane = make_lane(Lane.MESSAGES, real_backend)
    await lane.receive(*for_vendor(vendor, 9), vendor=vendor.uid)
    die_once(when)
    with pytest.raises(Died):
        await lane.drain()
    await drain_when_it_may(lane)
    rows = logged(embedded, vendor)
    assert len(rows) == len({row["wamid"] for row in rows}) == 9
    assert (await lane.counters(vendor.uid))["done"] == 9


async def test_php_dies_after_its_commit(
    embedded: EmbeddedBackend,
    vendor: Vendor,
    real_php: Php,
    real_backend: Backend,
    make_lane: MakeLane,
) -> None:
    lane = make_lane(Lane.MESSAGES, real_backend)
    real_php.do_and_drop(BATCH, times=3)
    await lane.receive(*for_vendor(vendor, 9), vendor=vendor.uid)
    await drain_when_it_may(lane)
    assert len(logged(embedded, vendor)) == 9


async def test_the_same_webhook_again_and_again(
    embedded: EmbeddedBackend, vendor: Vendor, real_backend: Backend, make_lane: MakeLane
) -> None:
    """Also when the marks of what PHP has are gone."""
    lane = make_lane(Lane.MESSAGES, real_backend)
    body = for_vendor(vendor, 1)
    for _ in range(3):
        await lane.receive(*body * 2, vendor=vendor.uid)
        await lane.drain()
        for mark in await lane.redis.keys(keys.seen("*")):
            await lane.redis.delete(mark)
    assert len(logged(embedded, vendor)) == 1


async def test_a_webhook_that_mixes_everything(
    embedded: EmbeddedBackend, vendor: Vendor, real_backend: Backend, make_lane: MakeLane
) -> None:
    """PHP's own routine sees the first element of the first change alone."""
    lane = make_lane(Lane.MESSAGES, real_backend)
    metadata = {"phone_number_id": vendor.phone_number_ids[0]}
    incoming = [next(_wamids) for _ in range(3)]
    body = envelope(
        account(
            change(value(metadata=metadata, messages=[message("99911", incoming[0])])),
            change({"event": "DISABLED_UPDATE"}, "account_update"),
        ),
        account(
            change(
                value(
                    metadata=metadata,
                    messages=[message("99922", incoming[1]), message("99911", incoming[2])],
                    statuses=[status(next(_wamids), "read")],
                )
            ),
        ),
    )
    await lane.receive(orjson.dumps(body), b"not json", vendor=vendor.uid)
    await lane.drain()
    rows = logged(embedded, vendor)
    assert sorted(row["wamid"] for row in rows) == sorted(incoming)
    counts = await lane.counters(vendor.uid)
    assert counts["updates"] == 6
    assert len(await lane.deferred()) == 1, "a status whose message PHP does not know (yet)"


async def test_a_poisoned_message_in_php_is_retried_alone_and_taken_when_php_is_cured(
    embedded: EmbeddedBackend, vendor: Vendor, real_backend: Backend, make_lane: MakeLane
) -> None:
    lane = make_lane(Lane.MESSAGES, real_backend)
    metadata = {"phone_number_id": vendor.phone_number_ids[0]}
    bodies = for_vendor(vendor, 5)
    bad = webhook(messages=[message("99977", "wamid.poison")], metadata=metadata)
    embedded.poison("wamid.poison")
    await lane.receive(*bodies, bad, vendor=vendor.uid)
    await lane.drain()
    assert len(logged(embedded, vendor)) == 5
    embedded.cure()
    await lane.make_due()
    await lane.drain()
    assert len(logged(embedded, vendor)) == 6


async def test_statuses_end_in_the_right_state_whatever_dies(
    embedded: EmbeddedBackend,
    vendor: Vendor,
    real_php: Php,
    real_backend: Backend,
    make_lane: MakeLane,
    die_once: Callable[[str], None],
) -> None:
    lane = make_lane(Lane.STATUSES, real_backend)
    campaign = embedded.seed_campaign(vendor, 6)
    embedded.change("whatsapp_message_queue", {"status": 6}, campaigns__id=campaign.id)
    for name in ("read", "sent", "delivered"):
        bodies = [
            webhook(statuses=[status(f"wamid.{row}", name, row)]) for row in campaign.row_uids
        ]
        await lane.receive(*bodies, vendor=vendor.uid)
        die_once("before" if name == "sent" else "after")
        with pytest.raises(Died):
            await lane.drain()
        real_php.do_and_drop(BATCH)
    await drain_when_it_may(lane)
    assert [row["status"] for row in logged(embedded, vendor)] == ["read"] * 6
    assert embedded.rows("whatsapp_message_queue", campaigns__id=campaign.id) == []


# -- Redis --


async def test_a_full_redis_is_drained(
    php: Php, backend: Backend, make_settings: MakeSettings, tmp_path: Path
) -> None:
    """It takes nothing more in; but what is in it leaves, and that makes room."""
    server = start_valkey(tmp_path)
    redis = connect(url_of(server), timeout_s=5)
    try:
        lane = LaneUnderTest(Lane.MESSAGES, make_settings(), redis, Leases(redis, 10_000), backend)
        php.rules.append(lambda call: results(call, "retry") if b"99922" in call.body else None)
        await lane.receive(*texts(20), *texts(5, "99922"))
        await redis.config_set("maxmemory", 1)
        with pytest.raises(InboxUnavailable):
            await lane.receive(*texts(1))
        await lane.drain()
        await lane.assert_books_balance()
        assert (await lane.counters())["done"] == 20
        assert await lane.waiting() == 0
        assert [len(waiting) for waiting in (await lane.deferred()).values()] == [5]
    finally:
        await redis.aclose()
        server.stop()
