"""PHP gives no answer in time on something: it holds nobody else up, and is found."""

import asyncio

import pytest

from contracts.backend import UpdateKind
from sidecar.php.bisect import MAX_TIMEOUTS
from sidecar.php.breaker import Breaker
from tests.workers.deliveries import (
    BATCH,
    deliver,
    deliver_isolated,
    fails_on,
    fates,
    of_vendors,
    statuses,
)
from tests.workers.payloads import VENDOR, make_update
from tests.workers.php import HTML_500, Answer, Call, Php, Rule, client, hang, results
from workers.inbox.delivery import Delivery, Fate
from workers.inbox.isolation import Why
from workers.inbox.update import Update

#: What nginx says when PHP hangs: to us it is the same as no answer, and costs no time here.
NO_ANSWER = Answer(504)
OTHER = "vendor-2"


def hangs_on(bad: list[Update]) -> Rule:
    """Make a PHP that does not answer a request with one of these."""
    found = fails_on(bad)
    return lambda call: NO_ANSWER if found(call) else None


# -- among the others --


async def test_a_request_without_an_answer_is_not_repeated_in_the_way_of_the_others(
    php: Php, delivery: Delivery
) -> None:
    updates = [*statuses(20), make_update(UpdateKind.STATUS, vendor_uid=OTHER)]
    php.when(BATCH, hangs_on(updates[3:4]))
    verdicts = await deliver(delivery, updates)
    assert set(fates(verdicts, updates)) == {Fate.UNTRIED}
    assert len(php.calls) == 1
    assert delivery.isolated.vendors() == {VENDOR, OTHER}
    assert delivery.breaker.wait_s == 0, "nothing says that PHP is ill"


async def test_what_is_isolated_is_not_tried_among_the_others(php: Php, delivery: Delivery) -> None:
    delivery.isolated.confirm(VENDOR, "it hung")
    updates = [*statuses(3), make_update(UpdateKind.STATUS, vendor_uid=OTHER)]
    verdicts = await deliver(delivery, updates)
    assert fates(verdicts, updates) == [*[Fate.UNTRIED] * 3, Fate.DONE]
    assert [[update["vendor_uid"] for update in batch] for batch in php.batches] == [[OTHER]]


async def test_requests_that_wait_their_turn_leave_out_who_came_to_be_isolated(
    php: Php, delivery: Delivery
) -> None:
    """A hundred bodies that PHP hangs on, each in a request of its own."""
    php.always(f"/internal/process-webhook/{VENDOR}", NO_ANSWER)
    updates = [*[make_update(None) for _ in range(100)], make_update(vendor_uid=OTHER)]
    verdicts = await deliver(delivery, updates, batch_size=50, concurrency=4)
    assert fates(verdicts, updates)[-1] is Fate.DONE
    assert len(php.calls) <= 5


async def test_one_vendor_that_hangs_makes_nobody_elses_requests_smaller(
    php: Php, delivery: Delivery
) -> None:
    """The request of all has failed because of another. What hangs then is of one alone."""
    updates = of_vendors(4)
    failing, hanging = fails_on(updates[1:2]), fails_on(updates[3:4])

    def rule(call: Call) -> Answer | None:
        if failing(call):
            return HTML_500
        return NO_ANSWER if hanging(call) else None

    php.when(BATCH, rule)
    await deliver(delivery, updates)
    php.calls.clear()
    await deliver(delivery, [*statuses(20), *of_vendors(2)])
    assert len(php.calls) == 1


async def test_a_vendors_own_request_hangs_after_the_shared_one_failed(
    php: Php, delivery: Delivery
) -> None:
    updates = of_vendors(4)
    failing, hanging = fails_on(updates[1:2]), fails_on(updates[3:4])
    php.when(
        BATCH, lambda call: HTML_500 if failing(call) else NO_ANSWER if hanging(call) else None
    )
    verdicts = await deliver(delivery, updates)
    assert fates(verdicts, updates) == [Fate.DONE, Fate.UNTRIED, Fate.DONE, Fate.UNTRIED]
    assert delivery.isolated.why("vendor-1") is Why.FAILS
    assert delivery.isolated.why("vendor-3") is Why.SUSPECTED
    assert delivery.breaker.wait_s == 0


async def test_a_request_that_vendors_share_gets_little_time(
    php: Php, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However patient this worker's settings are otherwise."""
    monkeypatch.setattr("workers.inbox.delivery.SHARED_TIMEOUT_S", 0.1)
    php.when(BATCH, hang)
    patient = client(php.url, timeout_s=3600.0)
    delivery = Delivery(patient, Breaker("php.failing"))
    updates = of_vendors(2)
    assert set(fates(await deliver(delivery, updates), updates)) == {Fate.UNTRIED}
    await patient.close()
    assert delivery.isolated.vendors() == {"vendor-0", "vendor-1"}
    assert len(php.calls) == 1


async def test_a_real_php_that_hangs(php: Php) -> None:
    updates = statuses(4)
    found = fails_on(updates[:1])
    php.when(BATCH, lambda call: hang(call) if found(call) else None)
    impatient = client(php.url, timeout_s=0.2)
    delivery = Delivery(impatient, Breaker("php.failing"))
    verdicts = await deliver(delivery, updates)
    await impatient.close()
    assert set(fates(verdicts, updates)) == {Fate.UNTRIED}
    assert delivery.isolated.vendors() == {VENDOR}


# -- isolated --


@pytest.mark.parametrize("place", [0, 617, 999])
async def test_the_one_update_that_php_hangs_on_is_found(
    php: Php, delivery: Delivery, place: int
) -> None:
    updates = statuses(1000)
    bad = updates[place]
    given = []
    found = fails_on([bad])

    def rule(call: Call) -> Answer | None:
        given.append(bool(found(call)))
        return NO_ANSWER if given[-1] else None

    php.when(BATCH, rule)
    verdicts = await deliver_isolated(delivery, updates)
    assert [one for one in updates if verdicts[one.id].fate is not Fate.DONE] == [bad]
    assert verdicts[bad.id].fate is Fate.RETRY
    assert not verdicts[bad.id].answered, "PHP has said nothing about it"
    assert sum(given) <= 5, "each of these costs a time-out"
    assert delivery.isolated.vendors() == {VENDOR}
    assert delivery.isolated.wait_s(VENDOR) == 0


async def test_a_vendor_on_all_of_whose_updates_php_hangs_waits_alone(
    php: Php, delivery: Delivery
) -> None:
    php.always(BATCH, NO_ANSWER)
    updates = statuses(1000)
    verdicts = await deliver_isolated(delivery, updates)
    tried = [one for one in updates if verdicts[one.id].fate is not Fate.UNTRIED]
    assert tried == updates[: len(tried)], "those that were found to hang alone"
    assert set(fates(verdicts, tried)) == {Fate.RETRY}
    assert not any(verdicts[one.id].answered for one in tried)
    assert len(php.calls) == MAX_TIMEOUTS
    assert delivery.isolated.wait_s(VENDOR) > 0
    assert delivery.isolated.wait_s(OTHER) == 0
    assert delivery.breaker.wait_s == 0
    await deliver_isolated(delivery, updates)
    assert len(php.calls) == MAX_TIMEOUTS, "nobody knocks meanwhile"


async def test_a_single_update_that_php_hangs_on_is_tried(php: Php, delivery: Delivery) -> None:
    php.always(BATCH, NO_ANSWER)
    [one] = updates = statuses(1)
    verdict = (await deliver_isolated(delivery, updates))[one.id]
    assert (verdict.fate, verdict.reason) == (Fate.RETRY, f"{BATCH} answered 504")
    assert not verdict.answered


async def test_several_get_less_time_than_one_alone(php: Php) -> None:
    async def slowly(call: Call) -> Answer:
        await asyncio.sleep(1.0)
        return results(call)

    php.when(BATCH, slowly)
    patient = client(php.url, timeout_s=3.0)
    delivery = Delivery(patient, Breaker("php.failing"))
    updates = statuses(2)
    verdicts = await deliver_isolated(delivery, updates)
    await patient.close()
    assert fates(verdicts, updates) == [Fate.DONE, Fate.DONE]
    assert [len(batch) for batch in php.batches] == [2, 1, 1]


async def test_php_is_not_there(php: Php, delivery: Delivery) -> None:
    await php.stop()
    updates = statuses(3)
    assert set(fates(await deliver_isolated(delivery, updates), updates)) == {Fate.UNTRIED}
    assert delivery.breaker.wait_s > 0, "that concerns everybody"
    assert await deliver_isolated(delivery, updates)


async def test_what_php_fails_on_is_no_reason_to_isolate_the_vendor_for_long(
    php: Php, delivery: Delivery
) -> None:
    updates = statuses(8)
    php.when(BATCH, fails_on(updates[:1]))
    verdicts = await deliver_isolated(delivery, updates)
    assert fates(verdicts, updates) == [Fate.RETRY, *[Fate.DONE] * 7]
    assert not delivery.isolated.vendors()
