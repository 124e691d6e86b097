"""Handing updates to PHP, and looking at what became of them."""

from collections.abc import Callable, Iterable

from contracts import backend as contract
from contracts.backend import UpdateKind
from tests.workers.payloads import VENDOR, make_update
from tests.workers.php import HTML_500, Answer, Call
from workers.inbox.delivery import Delivery, Fate, Verdicts
from workers.inbox.update import Update

STATUS = UpdateKind.STATUS
BATCH = contract.PROCESS_WEBHOOKS


async def deliver(
    delivery: Delivery, updates: list[Update], batch_size: int = 1000, concurrency: int = 1
) -> Verdicts:
    verdicts = await delivery.deliver(updates, batch_size=batch_size, concurrency=concurrency)
    assert set(verdicts) == {one.id for one in updates}
    return verdicts


async def deliver_isolated(
    delivery: Delivery, updates: list[Update], batch_size: int = 1000
) -> Verdicts:
    verdicts = await delivery.deliver_isolated(VENDOR, updates, batch_size=batch_size)
    assert set(verdicts) == {one.id for one in updates}
    return verdicts


def statuses(count: int, vendor_uid: str = VENDOR) -> list[Update]:
    return [make_update(STATUS, vendor_uid=vendor_uid) for _ in range(count)]


def of_vendors(count: int, *, each: int = 1) -> list[Update]:
    """Return statuses of so many vendors, each with so many."""
    return [one for number in range(count) for one in statuses(each, f"vendor-{number}")]


def fates(verdicts: Verdicts, updates: Iterable[Update]) -> list[Fate]:
    return [verdicts[one.id].fate for one in updates]


def fails_on(bad: list[Update]) -> Callable[[Call], Answer | None]:
    """Make a PHP that answers 500 to every request with one of these."""
    ids = {one.id for one in bad}

    def rule(call: Call) -> Answer | None:
        found = any(update["id"] in ids for update in call.json["updates"])
        return HTML_500 if found else None

    return rule
