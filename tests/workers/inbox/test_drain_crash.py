"""The process, or PHP, dies in the middle of a batch: every update is applied once."""

import itertools
from collections.abc import Callable

import orjson
import pytest

from contracts import backend as contract
from contracts.jobs import Lane
from sidecar.php.client import Backend
from tests.contract.embedded import EmbeddedBackend
from tests.contract.under_test import Row, Vendor
from tests.workers.conftest import MakeLane
from tests.workers.payloads import (
    account,
    change,
    envelope,
    message,
    status,
    value,
    webhook,
)
from tests.workers.php import Php
from workers.inbox.commit import Commit

BATCH = contract.PROCESS_WEBHOOKS
# -- dying, with a PHP that writes to tables --


_numbers = itertools.count()
COMMIT = "workers.inbox.commit.Commit.commit"


@pytest.fixture
def vendor(embedded: EmbeddedBackend) -> Vendor:
    return embedded.seed_vendor()


class Died(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def die_once(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the process end before or after the next commit."""

    def arrange(when: str) -> None:
        commit = Commit.commit

        async def die(self: Commit) -> None:
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
        webhook(
            messages=[message(f"9990000{n % 3}", f"wamid.drain.{next(_numbers)}")],
            metadata=metadata,
        )
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
    await lane.drain_when_it_may()
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
    await lane.drain_when_it_may()
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
        for mark in await lane.redis.keys("dedup:*"):
            await lane.redis.delete(mark)
    assert len(logged(embedded, vendor)) == 1


async def test_a_webhook_that_mixes_everything(
    embedded: EmbeddedBackend, vendor: Vendor, real_backend: Backend, make_lane: MakeLane
) -> None:
    """PHP's own routine sees the first element of the first change alone."""
    lane = make_lane(Lane.MESSAGES, real_backend)
    metadata = {"phone_number_id": vendor.phone_number_ids[0]}
    incoming = [f"wamid.drain.{next(_numbers)}" for _ in range(3)]
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
                    statuses=[status(f"wamid.drain.{next(_numbers)}", "read")],
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
    await lane.drain_when_it_may()
    assert [row["status"] for row in logged(embedded, vendor)] == ["read"] * 6
    assert embedded.rows("whatsapp_message_queue", campaigns__id=campaign.id) == []
