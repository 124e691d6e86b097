"""PHP gives no answer in time on something: it holds nobody else up, and is found."""

import asyncio

import pytest

from contracts.backend import UpdateKind
from tests.workers.deliveries import BATCH, deliver, fails_on, fates, statuses
from tests.workers.payloads import VENDOR, item
from tests.workers.php import HTML_500, Answer, Call, Php, Rule, client, hang, results
from workers.breaker import Breaker
from workers.inbox.delivery import MAX_TIMEOUTS, Delivery, Fate, Verdicts
from workers.inbox.isolation import ISOLATED_S, Isolation
from workers.inbox.update import Update

#: What nginx says when PHP hangs: to us it is the same as no answer, and costs no time here.
NO_ANSWER = Answer(504)
OTHER = "vendor-2"


def hangs_on(bad: list[Update]) -> Rule:
    """Make a PHP that does not answer a request with one of these."""
    found = fails_on(bad)
    return lambda call: NO_ANSWER if found(call) else None


async def apart(delivery: Delivery, items: list[Update], batch_size: int = 1000) -> Verdicts:
    verdicts = await delivery.deliver_isolated(VENDOR, items, batch_size=batch_size)
    assert set(verdicts) == {one.id for one in items}
    return verdicts


# -- among the others --


async def test_a_request_without_an_answer_is_not_repeated_in_the_way_of_the_others(
    php: Php, delivery: Delivery
) -> None:
    items = [*statuses(20), item(UpdateKind.STATUS, vendor_uid=OTHER)]
    php.when(BATCH, hangs_on(items[3:4]))
    verdicts = await deliver(delivery, items)
    assert set(fates(verdicts, items)) == {Fate.UNTRIED}
    assert len(php.calls) == 1
    assert delivery.isolated.vendors() == {VENDOR, OTHER}
    assert delivery.breaker.wait_s == 0, "nothing says that PHP is ill"


async def test_what_is_apart_is_not_tried_among_the_others(php: Php, delivery: Delivery) -> None:
    delivery.isolated.convict(VENDOR, "it hung")
    items = [*statuses(3), item(UpdateKind.STATUS, vendor_uid=OTHER)]
    verdicts = await deliver(delivery, items)
    assert fates(verdicts, items) == [*[Fate.UNTRIED] * 3, Fate.DONE]
    assert [[update["vendor_uid"] for update in batch] for batch in php.batches] == [[OTHER]]


async def test_requests_that_wait_their_turn_leave_out_who_came_to_be_apart(
    php: Php, delivery: Delivery
) -> None:
    """A hundred bodies that PHP hangs on, each in a request of its own."""
    php.always(f"/internal/process-webhook/{VENDOR}", NO_ANSWER)
    items = [*[item(None) for _ in range(100)], item(vendor_uid=OTHER)]
    verdicts = await deliver(delivery, items, batch_size=50, concurrency=4)
    assert fates(verdicts, items)[-1] is Fate.DONE
    assert len(php.calls) <= 5


async def test_a_half_of_a_request_that_failed_hangs(php: Php, delivery: Delivery) -> None:
    items = statuses(4) + [item(UpdateKind.STATUS, vendor_uid=OTHER) for _ in range(4)]
    failing, hanging = fails_on(items[1:2]), fails_on(items[7:8])
    php.when(
        BATCH, lambda call: HTML_500 if failing(call) else NO_ANSWER if hanging(call) else None
    )
    verdicts = await deliver(delivery, items)
    assert fates(verdicts, items[4:]) == [Fate.UNTRIED] * 4
    assert fates(verdicts, items[:4]) == [Fate.DONE, Fate.RETRY, Fate.DONE, Fate.DONE]
    assert delivery.isolated.vendors() == {OTHER}


async def test_a_real_php_that_hangs(php: Php) -> None:
    items = statuses(4)
    found = fails_on(items[:1])
    php.when(BATCH, lambda call: hang(call) if found(call) else None)
    impatient = client(php.url, timeout_s=0.2)
    delivery = Delivery(impatient, Breaker("php_ill"))
    verdicts = await deliver(delivery, items)
    await impatient.close()
    assert set(fates(verdicts, items)) == {Fate.UNTRIED}
    assert delivery.isolated.vendors() == {VENDOR}


# -- apart --


@pytest.mark.parametrize("place", [0, 617, 999])
async def test_the_one_update_that_php_hangs_on_is_found(
    php: Php, delivery: Delivery, place: int
) -> None:
    items = statuses(1000)
    bad = items[place]
    given = []
    found = fails_on([bad])

    def rule(call: Call) -> Answer | None:
        given.append(bool(found(call)))
        return NO_ANSWER if given[-1] else None

    php.when(BATCH, rule)
    verdicts = await apart(delivery, items)
    assert [one for one in items if verdicts[one.id].fate is not Fate.DONE] == [bad]
    assert verdicts[bad.id].fate is Fate.RETRY
    assert verdicts[bad.id].answered, "PHP took others meanwhile, so it is the update's fault"
    assert sum(given) <= 5, "each of these costs a time-out"
    assert delivery.isolated.vendors() == {VENDOR}
    assert delivery.isolated.wait_s(VENDOR) == 0


async def test_a_vendor_on_all_of_whose_updates_php_hangs_waits_alone(
    php: Php, delivery: Delivery
) -> None:
    php.always(BATCH, NO_ANSWER)
    items = statuses(1000)
    verdicts = await apart(delivery, items)
    assert set(fates(verdicts, items)) == {Fate.UNTRIED}
    assert len(php.calls) == MAX_TIMEOUTS
    assert delivery.isolated.wait_s(VENDOR) > 0
    assert delivery.isolated.wait_s(OTHER) == 0
    assert delivery.breaker.wait_s == 0
    await apart(delivery, items)
    assert len(php.calls) == MAX_TIMEOUTS, "nobody knocks meanwhile"


async def test_a_single_update_that_php_hangs_on_is_tried(php: Php, delivery: Delivery) -> None:
    php.always(BATCH, NO_ANSWER)
    [one] = items = statuses(1)
    verdict = (await apart(delivery, items))[one.id]
    assert (verdict.fate, verdict.reason) == (Fate.RETRY, f"{BATCH} answered 504")
    assert not verdict.answered


async def test_several_get_less_time_than_one_alone(php: Php) -> None:
    async def slowly(call: Call) -> Answer:
        await asyncio.sleep(1.0)
        return results(call)

    php.when(BATCH, slowly)
    patient = client(php.url, timeout_s=3.0)
    delivery = Delivery(patient, Breaker("php_ill"))
    items = statuses(2)
    verdicts = await apart(delivery, items)
    await patient.close()
    assert fates(verdicts, items) == [Fate.DONE, Fate.DONE]
    assert [len(batch) for batch in php.batches] == [2, 1, 1]


async def test_php_is_not_there(php: Php, delivery: Delivery) -> None:
    await php.stop()
    items = statuses(3)
    assert set(fates(await apart(delivery, items), items)) == {Fate.UNTRIED}
    assert delivery.breaker.wait_s > 0, "that concerns everybody"
    assert await apart(delivery, items)


async def test_what_php_fails_on_is_no_reason_to_be_apart(php: Php, delivery: Delivery) -> None:
    items = statuses(8)
    php.when(BATCH, fails_on(items[:1]))
    verdicts = await apart(delivery, items)
    assert fates(verdicts, items) == [Fate.RETRY, *[Fate.DONE] * 7]
    assert not delivery.isolated.vendors()


# -- for how long --


def test_a_vendor_comes_back_when_php_has_long_hung_on_nothing_of_its() -> None:
    now = 0.0
    vendors = Isolation(Breaker("php_ill"), lambda: now)
    vendors.suspect([VENDOR, OTHER], "it hung")
    now = ISOLATED_S - 1
    vendors.convict(VENDOR, "it hung again")
    now = ISOLATED_S + 1
    assert vendors.vendors() == {VENDOR}
    now = 2 * ISOLATED_S
    assert vendors.vendors() == set()


def test_who_was_only_suspected_comes_back_when_php_does_not_hang() -> None:
    vendors = Isolation(Breaker("php_ill"))
    vendors.suspect([VENDOR, OTHER], "it hung")
    vendors.convict(VENDOR, "it hung again")
    vendors.suspect([VENDOR], "and again among others")
    for vendor in (VENDOR, OTHER, "vendor-3"):
        vendors.acquit(vendor)
    assert vendors.vendors() == {VENDOR}


def test_each_vendor_has_a_pause_of_its_own() -> None:
    like = Breaker("php_ill", first_s=1.0, longest_s=4.0, clock=lambda: 0.0, jitter=lambda: 0.5)
    vendors = Isolation(like)
    pauses = []
    for _ in range(4):
        vendors.failed(VENDOR, "it hung")
        pauses.append(vendors.wait_s(VENDOR))
    assert pauses == [1.0, 2.0, 4.0, 4.0]
    assert vendors.wait_s(OTHER) == like.wait_s == 0.0
    vendors.worked(VENDOR)
    vendors.worked(OTHER)
    assert vendors.wait_s(VENDOR) == 0.0
