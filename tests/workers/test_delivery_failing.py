"""PHP fails on a request as a whole, or is not there: the update that it fails on is found."""

import math
import random

import pytest

from contracts import backend as contract
from sidecar.backend import Backend
from tests.workers.deliveries import BATCH, deliver, fails_on, fates, statuses
from tests.workers.php import (
    DROP,
    HTML_500,
    Answer,
    Call,
    Php,
    answer,
    refusal,
)
from workers.breaker import Breaker
from workers.inbox.delivery import MAX_FAILURES, Delivery, Fate

# -- a request that fails as a whole --


async def test_the_one_update_that_php_fails_on_is_found(php: Php, delivery: Delivery) -> None:
    items = statuses(1000)
    bad = items[617]
    php.when(BATCH, fails_on([bad]))
    verdicts = await deliver(delivery, items)
    assert [one for one in items if verdicts[one.id].fate is not Fate.DONE] == [bad]
    assert verdicts[bad.id].fate is Fate.RETRY
    assert "500" in (verdicts[bad.id].reason or "")
    assert verdicts[bad.id].answered, "PHP took others meanwhile, so it is the update's fault"
    assert len(php.calls) <= 2 * math.ceil(math.log2(1000)) + 1
    assert delivery.breaker.wait_s == 0


@pytest.mark.parametrize("count", [2, 5, 20])
async def test_all_that_php_fails_on_are_found(php: Php, delivery: Delivery, count: int) -> None:
    items = statuses(200)
    bad = random.Random(count).sample(items, count)
    php.when(BATCH, fails_on(bad))
    verdicts = await deliver(delivery, items)
    for one in items:
        assert verdicts[one.id].fate is (Fate.RETRY if one in bad else Fate.DONE)
    assert len(php.calls) <= 2 * count * math.ceil(math.log2(200)) + 1


async def test_every_update_goes_out_in_some_request_that_worked_exactly_once(
    php: Php, delivery: Delivery
) -> None:
    items = statuses(64)
    rule = fails_on(items[10:13])
    taken: list[str] = []

    def note(call: Call) -> Answer | None:
        failed = rule(call)
        if failed is None:
            taken.extend(update["id"] for update in call.json["updates"])
        return failed

    php.when(BATCH, note)
    await deliver(delivery, items)
    assert sorted(taken) == sorted(one.id for one in items if one not in items[10:13])


@pytest.mark.parametrize("given", [HTML_500, answer({"results": []}), Answer(200, b"<html>")])
@pytest.mark.parametrize("count", [2, 50, 1000])
async def test_a_php_that_fails_on_everything_is_ill(
    php: Php, delivery: Delivery, count: int, given: Answer
) -> None:
    php.always(BATCH, given)
    items = statuses(count)
    verdicts = await deliver(delivery, items)
    assert set(fates(verdicts, items)) == {Fate.UNTRIED}
    assert not any(verdicts[one.id].answered for one in items)
    assert len(php.calls) <= min(MAX_FAILURES, 2 * count - 1)
    assert delivery.breaker.wait_s > 0


@pytest.mark.parametrize("given", [HTML_500, answer({"results": []})])
async def test_a_single_update_is_tried_but_php_may_be_ill_too(
    php: Php, delivery: Delivery, given: Answer
) -> None:
    php.always(BATCH, given)
    items = statuses(1)
    verdicts = await deliver(delivery, items)
    assert fates(verdicts, items) == [Fate.RETRY]
    assert not verdicts[items[0].id].answered
    assert delivery.breaker.wait_s > 0


@pytest.mark.parametrize(
    "given",
    [
        HTML_500,
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
    ],
    ids=lambda given: f"{given.status} {given.content[:20]!r} {given.drop}",
)
async def test_whatever_php_fails_with_may_be_one_updates_fault(
    php: Php, delivery: Delivery, given: Answer
) -> None:
    items = statuses(8)
    found = fails_on(items[3:4])
    php.when(BATCH, lambda call: given if found(call) else None)
    verdicts = await deliver(delivery, items)
    assert [one for one in items if verdicts[one.id].fate is not Fate.DONE] == items[3:4]
    assert verdicts[items[3].id].fate is Fate.RETRY


# -- PHP is not there --


@pytest.mark.parametrize(
    "given",
    [
        Answer(502),
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
    items = statuses(10)
    verdicts = await deliver(delivery, items)
    assert set(fates(verdicts, items)) == {Fate.UNTRIED}
    assert len(php.calls) == 1
    assert delivery.breaker.wait_s > 0


async def test_nothing_was_tried_when_php_refuses_connections(php: Php, delivery: Delivery) -> None:
    await php.stop()
    items = statuses(1)
    assert fates(await deliver(delivery, items), items) == [Fate.UNTRIED]
    assert delivery.breaker.wait_s > 0


async def test_nobody_knocks_while_the_breaker_is_open(php: Php, delivery: Delivery) -> None:
    delivery.breaker.failed("PHP was ill")
    items = statuses(3)
    assert set(fates(await deliver(delivery, items), items)) == {Fate.UNTRIED}
    assert not php.calls


async def test_php_goes_away_in_the_middle(php: Php, delivery: Delivery) -> None:
    """What PHP took is done, what was found alone was tried, and of the rest nothing is known;
    the breaker stays open."""
    items = statuses(64)
    seen: list[int] = []

    def rule(call: Call) -> Answer | None:
        size = len(call.json["updates"])
        seen.append(size)
        if len(seen) == 1 or size == 32:
            return HTML_500 if seen.count(32) < 2 else Answer(503)
        return None

    php.when(BATCH, rule)
    verdicts = await deliver(delivery, items)
    counts = {fate: fates(verdicts, items).count(fate) for fate in Fate}
    assert counts == {Fate.DONE: 32, Fate.IGNORED: 0, Fate.RETRY: 0, Fate.UNTRIED: 32}
    assert delivery.breaker.wait_s > 0


async def test_the_breaker_opens_once_for_one_failure(php: Php, backend: Backend) -> None:
    breaker = Breaker("php_ill", first_s=1.0, clock=lambda: 0.0, jitter=lambda: 0.5)
    left = [HTML_500, Answer(503)]
    php.when(BATCH, lambda _call: left.pop(0))
    await deliver(Delivery(backend, breaker), statuses(2))
    assert breaker.wait_s == 1.0
