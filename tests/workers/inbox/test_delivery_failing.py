"""PHP fails on a request as a whole, or is not there: whose updates it fails on is found, and then,
out of the others' way, on which of them."""

import math
import random
from collections import Counter

import pytest

from contracts import backend as contract
from sidecar.php.bisect import MAX_FAILURES
from sidecar.php.breaker import Breaker
from sidecar.php.client import Backend
from tests.workers.deliveries import (
    BATCH,
    deliver,
    deliver_isolated,
    fails_on,
    fates,
    of_vendors,
    statuses,
)
from tests.workers.payloads import VENDOR
from tests.workers.php import (
    DROP,
    HTML_500,
    Answer,
    Call,
    Php,
    answer,
    refusal,
)
from workers.inbox.delivery import Delivery, Fate

#: What PHP may answer instead of results.
FAILURES = [
    HTML_500,
    Answer(502),
    Answer(200, b"<html>maintenance</html>"),
    Answer(200, b""),
    answer({"results": "all done"}),
    answer([]),
    answer({"results": []}),
    answer({"results": [{"id": "someone else's", "result": "done"}]}),
    Answer(301),
    Answer(400, b"<html>bad</html>"),
    refusal(400, contract.ErrorCode.REQUEST_INVALID),
    refusal(413, contract.ErrorCode.BODY_TOO_LARGE),
    DROP,
]


def name_of(given: Answer) -> str:
    return f"{given.status} {given.content[:20]!r} {given.drop}"


# -- a request that vendors share --


@pytest.mark.parametrize("given", FAILURES, ids=name_of)
async def test_whatever_php_fails_with_may_be_one_vendors_fault(
    php: Php, delivery: Delivery, given: Answer
) -> None:
    updates = of_vendors(8, each=3)
    found = fails_on([updates[10]])
    php.when(BATCH, lambda call: given if found(call) else None)
    verdicts = await deliver(delivery, updates)
    assert [one for one in updates if verdicts[one.id].fate is not Fate.DONE] == updates[9:12]
    assert fates(verdicts, updates[9:12]) == [Fate.UNTRIED] * 3, "which of them it is, is not known"
    assert delivery.isolated.vendors() == {"vendor-3"}
    assert delivery.breaker.wait_s == 0
    assert len(php.calls) == 1 + 8


async def test_several_vendors_may_have_such_updates(php: Php, delivery: Delivery) -> None:
    updates = of_vendors(8)
    php.when(BATCH, fails_on(updates[2:4]))
    verdicts = await deliver(delivery, updates)
    assert fates(verdicts, updates) == [Fate.DONE] * 2 + [Fate.UNTRIED] * 2 + [Fate.DONE] * 4
    assert delivery.isolated.vendors() == {"vendor-2", "vendor-3"}
    assert delivery.breaker.wait_s == 0


async def test_a_vendor_that_is_isolated_is_left_out(php: Php, delivery: Delivery) -> None:
    updates = of_vendors(3)
    php.when(BATCH, fails_on(updates[1:2]))
    await deliver(delivery, updates)
    php.calls.clear()
    again = of_vendors(3)
    verdicts = await deliver(delivery, again)
    assert fates(verdicts, again) == [Fate.DONE, Fate.UNTRIED, Fate.DONE]
    assert len(php.calls) == 1


@pytest.mark.parametrize("given", FAILURES, ids=name_of)
@pytest.mark.parametrize("each", [1, 20])
async def test_a_php_that_fails_on_everybody_is_ill(
    php: Php, delivery: Delivery, each: int, given: Answer
) -> None:
    php.always(BATCH, given)
    updates = of_vendors(5, each=each)
    verdicts = await deliver(delivery, updates)
    assert set(fates(verdicts, updates)) == {Fate.UNTRIED}
    assert not any(verdicts[one.id].answered for one in updates)
    assert len(php.calls) <= 1 + 5
    assert not delivery.isolated.vendors()
    assert delivery.breaker.wait_s > 0


@pytest.mark.parametrize("given", [HTML_500, answer({"results": []})])
async def test_one_vendor_alone_is_isolated_and_does_not_stop_the_lane(
    php: Php, delivery: Delivery, given: Answer
) -> None:
    php.always(BATCH, given)
    updates = statuses(1000)
    verdicts = await deliver(delivery, updates)
    assert set(fates(verdicts, updates)) == {Fate.UNTRIED}
    assert len(php.calls) == 1
    assert delivery.isolated.vendors() == {VENDOR}
    assert delivery.breaker.wait_s == 0


# -- a request of one vendor that is isolated --


async def test_the_one_update_that_php_fails_on_is_found(php: Php, delivery: Delivery) -> None:
    updates = statuses(1000)
    bad = updates[617]
    php.when(BATCH, fails_on([bad]))
    verdicts = await deliver_isolated(delivery, updates)
    assert [one for one in updates if verdicts[one.id].fate is not Fate.DONE] == [bad]
    assert verdicts[bad.id].fate is Fate.RETRY
    assert "500" in (verdicts[bad.id].reason or "")
    assert not verdicts[bad.id].answered, "PHP has said nothing about it"
    assert len(php.calls) <= 2 * math.ceil(math.log2(1000)) + 1
    assert delivery.breaker.wait_s == delivery.isolated.wait_s(VENDOR) == 0


@pytest.mark.parametrize("count", [2, 5, 20])
async def test_all_that_php_fails_on_are_found(php: Php, delivery: Delivery, count: int) -> None:
    updates = statuses(200)
    bad = random.Random(count).sample(updates, count)
    php.when(BATCH, fails_on(bad))
    verdicts = await deliver_isolated(delivery, updates)
    for one in updates:
        assert verdicts[one.id].fate is (Fate.RETRY if one in bad else Fate.DONE)
    assert len(php.calls) <= 2 * count * math.ceil(math.log2(200)) + 1


async def test_every_update_goes_out_in_some_request_that_worked_exactly_once(
    php: Php, delivery: Delivery
) -> None:
    updates = statuses(64)
    rule = fails_on(updates[10:13])
    taken: list[str] = []

    def note(call: Call) -> Answer | None:
        failed = rule(call)
        if failed is None:
            taken.extend(update["id"] for update in call.json["updates"])
        return failed

    php.when(BATCH, note)
    await deliver_isolated(delivery, updates)
    assert sorted(taken) == sorted(one.id for one in updates if one not in updates[10:13])


@pytest.mark.parametrize("given", FAILURES, ids=name_of)
async def test_whatever_php_fails_with_may_be_one_updates_fault(
    php: Php, delivery: Delivery, given: Answer
) -> None:
    updates = statuses(8)
    found = fails_on(updates[3:4])
    php.when(BATCH, lambda call: given if found(call) else None)
    verdicts = await deliver_isolated(delivery, updates)
    assert [one for one in updates if verdicts[one.id].fate is not Fate.DONE] == updates[3:4]
    assert verdicts[updates[3].id].fate is Fate.RETRY


@pytest.mark.parametrize("given", [HTML_500, answer({"results": []}), Answer(200, b"<html>")])
@pytest.mark.parametrize("count", [1, 2, 50, 1000])
async def test_what_fails_alone_was_tried_and_the_vendor_waits_if_nothing_works(
    php: Php, delivery: Delivery, count: int, given: Answer
) -> None:
    """Were it not tried, nothing of a vendor all of whose updates fail would ever leave."""
    php.always(BATCH, given)
    updates = statuses(count)
    verdicts = await deliver_isolated(delivery, updates)
    assert verdicts[updates[0].id].fate is Fate.RETRY
    assert set(fates(verdicts, updates)) <= {Fate.RETRY, Fate.UNTRIED}
    assert not any(verdicts[one.id].answered for one in updates)
    assert len(php.calls) < min(2 * MAX_FAILURES, 2 * count)
    assert delivery.isolated.wait_s(VENDOR) > 0
    assert delivery.breaker.wait_s == 0


async def test_who_is_isolated_because_php_failed_comes_back_when_it_takes_all(
    php: Php, delivery: Delivery
) -> None:
    updates = statuses(4)
    rule = php.when(BATCH, fails_on(updates[:1]))
    await deliver(delivery, updates)
    await deliver_isolated(delivery, updates)
    assert delivery.isolated.vendors() == {VENDOR}
    php.forget(rule)
    await deliver_isolated(delivery, updates)
    assert delivery.isolated.vendors() == set()


# -- PHP is not there --


@pytest.mark.parametrize(
    "given",
    [
        Answer(503, b"<html>down</html>"),
        Answer(429),
        refusal(401, "key_unknown"),
        refusal(403, "forbidden"),
        refusal(404, "not_found"),
    ],
    ids=lambda given: str(given.status),
)
async def test_nothing_was_tried_when_php_is_not_there(
    php: Php, delivery: Delivery, given: Answer
) -> None:
    """Wrong keys and a missing route are nobody's fault among the updates either."""
    php.always(BATCH, given)
    updates = statuses(10)
    verdicts = await deliver(delivery, updates)
    assert set(fates(verdicts, updates)) == {Fate.UNTRIED}
    assert len(php.calls) == 1
    assert delivery.breaker.wait_s > 0


async def test_nothing_was_tried_when_php_refuses_connections(php: Php, delivery: Delivery) -> None:
    await php.stop()
    updates = statuses(1)
    assert fates(await deliver(delivery, updates), updates) == [Fate.UNTRIED]
    assert delivery.breaker.wait_s > 0


async def test_nobody_knocks_while_the_breaker_is_open(php: Php, delivery: Delivery) -> None:
    delivery.breaker.failed("PHP was ill")
    updates = statuses(3)
    assert set(fates(await deliver(delivery, updates), updates)) == {Fate.UNTRIED}
    assert not php.calls


async def test_php_goes_away_in_the_middle(php: Php, delivery: Delivery) -> None:
    """What PHP took is done, what was found alone was tried, and of the rest nothing is known;
    the breaker stays open."""
    updates = statuses(64)
    seen: list[int] = []

    def rule(call: Call) -> Answer | None:
        size = len(call.json["updates"])
        seen.append(size)
        if len(seen) == 1 or size == 32:
            return HTML_500 if seen.count(32) < 2 else Answer(503)
        return None

    php.when(BATCH, rule)
    verdicts = await deliver_isolated(delivery, updates)
    counts = Counter(fates(verdicts, updates))
    assert counts == {Fate.DONE: 32, Fate.UNTRIED: 32}
    assert delivery.breaker.wait_s > 0


async def test_the_breaker_opens_once_for_one_failure(php: Php, backend: Backend) -> None:
    breaker = Breaker("php.failing", first_s=1.0, clock=lambda: 0.0, jitter=lambda: 0.5)
    left = [HTML_500, HTML_500, Answer(503)]
    php.when(BATCH, lambda _call: left.pop(0))
    await deliver(Delivery(backend, breaker), of_vendors(2))
    assert breaker.wait_s == 1.0
