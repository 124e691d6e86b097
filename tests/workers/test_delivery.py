"""Updates are handed to PHP, and those that it cannot take are found."""

import asyncio
import math
import random
from collections.abc import Callable, Iterable

import pytest

from contracts import backend as contract
from contracts.backend import UpdateKind
from sidecar.backend import Backend
from tests.workers.payloads import item
from tests.workers.php import (
    DROP,
    HTML_500,
    Answer,
    Call,
    Php,
    answer,
    client,
    hang,
    refusal,
    results,
)
from workers.breaker import Breaker
from workers.delivery import ILL_AFTER_FAILURES, Delivery, Fate, Verdicts
from workers.item import Item

STATUS = UpdateKind.STATUS
BATCH = contract.PROCESS_WEBHOOKS


@pytest.fixture
def delivery(backend: Backend) -> Delivery:
    return Delivery(backend, Breaker("php_ill"))


async def deliver(
    delivery: Delivery, items: list[Item], batch_size: int = 1000, concurrency: int = 1
) -> Verdicts:
    verdicts = await delivery.deliver(items, batch_size=batch_size, concurrency=concurrency)
    assert set(verdicts) == {one.id for one in items}
    return verdicts


def statuses(count: int) -> list[Item]:
    return [item(STATUS) for _ in range(count)]


def fates(verdicts: Verdicts, items: Iterable[Item]) -> list[Fate]:
    return [verdicts[one.id].fate for one in items]


def fails_on(bad: list[Item]) -> Callable[[Call], Answer | None]:
    """Make a PHP that answers 500 to every request with one of these."""
    ids = {one.id for one in bad}

    def rule(call: Call) -> Answer | None:
        found = any(update["id"] in ids for update in call.json["updates"])
        return HTML_500 if found else None

    return rule


# -- what PHP says about single updates --


async def test_everything_is_taken_in_one_request(php: Php, delivery: Delivery) -> None:
    items = statuses(20)
    verdicts = await deliver(delivery, items)
    assert set(fates(verdicts, items)) == {Fate.DONE}
    assert [update["id"] for update in php.batches[0]] == [one.id for one in items]
    assert len(php.calls) == delivery.requests == 1


async def test_nothing_is_no_request(php: Php, delivery: Delivery) -> None:
    assert await deliver(delivery, []) == {}
    assert not php.calls


async def test_each_update_gets_its_own_answer(php: Php, delivery: Delivery) -> None:
    items = statuses(6)
    given = [
        {"result": "done"},
        {"result": "ignored", "reason": "message_unknown"},
        {"result": "retry", "reason": "locked", "retry_after_ms": 70},
        {"result": "retry"},
        {"result": "postponed", "reason": "new word"},
    ]
    php.always(
        BATCH,
        answer(
            {
                "results": [
                    {"id": one.id, **given[n]} for n, one in reversed([*enumerate(items[:5])])
                ]
            }
        ),
    )
    verdicts = await deliver(delivery, items)
    assert fates(verdicts, items) == [Fate.DONE, Fate.IGNORED, *[Fate.RETRY] * 4]
    assert [verdicts[one.id].reason for one in items] == [
        None,
        "message_unknown",
        "locked",
        "PHP gave no reason",
        "PHP answered 'postponed': new word",
        "PHP gave no result for this update",
    ]
    assert verdicts[items[2].id].retry_after_ms == 70
    assert all(verdicts[one.id].answered for one in items)
    assert delivery.breaker.wait_s == 0


async def test_a_result_for_something_else_is_not_taken_for_ours(
    php: Php, delivery: Delivery
) -> None:
    php.always(BATCH, answer({"results": [{"id": "someone else's", "result": "done"}]}))
    [one] = items = statuses(1)
    assert fates(await deliver(delivery, items), [one]) == [Fate.RETRY]


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


@pytest.mark.parametrize("count", [2, 50, 1000])
async def test_a_php_that_fails_on_everything_is_ill(
    php: Php, delivery: Delivery, count: int
) -> None:
    php.always(BATCH, HTML_500)
    items = statuses(count)
    verdicts = await deliver(delivery, items)
    assert set(fates(verdicts, items)) == {Fate.UNTRIED}
    assert not any(verdicts[one.id].answered for one in items)
    assert len(php.calls) <= min(ILL_AFTER_FAILURES, 2 * count - 1)
    assert delivery.breaker.wait_s > 0


async def test_a_single_update_is_tried_but_php_may_be_ill_too(
    php: Php, delivery: Delivery
) -> None:
    php.always(BATCH, HTML_500)
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


async def test_no_answer_in_time_may_be_one_updates_fault(php: Php) -> None:
    items = statuses(4)
    found = fails_on(items[:1])
    php.when(BATCH, lambda call: hang(call) if found(call) else None)
    impatient = client(php.url, timeout_s=0.15)
    verdicts = await deliver(Delivery(impatient, Breaker("php_ill")), items)
    await impatient.close()
    assert fates(verdicts, items) == [Fate.RETRY, *[Fate.DONE] * 3]
    assert verdicts[items[0].id].reason == f"{BATCH}: no answer in time"


# -- PHP is not there --


@pytest.mark.parametrize(
    "given",
    [
        Answer(502),
        Answer(503, b"<html>down</html>"),
        Answer(504),
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


# -- bodies that cannot be split --


async def test_a_whole_body_goes_alone_byte_for_byte_with_its_signature(
    php: Php, delivery: Delivery
) -> None:
    body = b"\xff not json"
    one = item(None, vendor_uid="vendor/1", body=body, signature="sha256=abc")
    assert fates(await deliver(delivery, [one]), [one]) == [Fate.DONE]
    [call] = php.calls
    assert call.path == "/internal/process-webhook/vendor%2F1"
    assert call.body == body
    assert call.headers["X-Hub-Signature-256"] == "sha256=abc"


async def test_a_whole_body_without_signature_goes_without(php: Php, delivery: Delivery) -> None:
    await deliver(delivery, [item(None)])
    assert "X-Hub-Signature-256" not in php.calls[0].headers


@pytest.mark.parametrize(
    ("given", "fate", "reason"),
    [
        (answer({"result": "ignored", "reason": "body_not_json"}), Fate.IGNORED, "body_not_json"),
        (answer({"result": "retry"}), Fate.RETRY, "PHP gave no reason"),
        (refusal(404, contract.ErrorCode.VENDOR_UNKNOWN), Fate.IGNORED, "vendor_unknown"),
        (refusal(404, "not_found"), Fate.UNTRIED, None),
        (refusal(401, "key_unknown"), Fate.UNTRIED, None),
        (refusal(400, "request_invalid"), Fate.RETRY, "request_invalid: a test said so"),
    ],
)
async def test_what_php_says_about_a_whole_body(
    php: Php, delivery: Delivery, given: Answer, fate: Fate, reason: str | None
) -> None:
    php.always("/internal/process-webhook/vendor-1", given)
    one = item(None)
    verdict = (await deliver(delivery, [one]))[one.id]
    assert (verdict.fate, verdict.reason) == (fate, reason)


async def test_whole_bodies_and_updates_do_not_share_a_request(
    php: Php, delivery: Delivery
) -> None:
    items = [item(None), *statuses(3), item(None)]
    assert set(fates(await deliver(delivery, items), items)) == {Fate.DONE}
    assert len(php.calls) == 3
    assert [len(batch) for batch in php.batches] == [3]


# -- how the work is shared out --


@pytest.mark.parametrize(
    ("messages", "others", "batch_size", "concurrency", "sizes"),
    [
        (0, 2500, 1000, 1, [1000, 1000, 500]),
        (8, 0, 50, 4, [2, 2, 2, 2]),
        (1, 0, 50, 4, [1]),
        (9, 0, 50, 4, [3, 3, 3]),
        (400, 0, 50, 4, [50] * 8),
        (4, 30, 50, 4, [31, 1, 1, 1]),
        (4, 300, 50, 4, [50, 50, 50, 50, 50, 50, 4]),
    ],
)
async def test_messages_are_spread_and_the_rest_goes_along(
    php: Php,
    delivery: Delivery,
    messages: int,
    others: int,
    batch_size: int,
    concurrency: int,
    sizes: list[int],
) -> None:
    items = [*[item() for _ in range(messages)], *statuses(others)]
    verdicts = await deliver(delivery, items, batch_size, concurrency)
    assert set(fates(verdicts, items)) == {Fate.DONE}
    assert sorted(map(len, php.batches), reverse=True) == sizes


async def test_no_more_requests_at_once_than_allowed(php: Php, delivery: Delivery) -> None:
    async def slowly(call: Call) -> Answer:
        await asyncio.sleep(0.03)
        return results(call)

    php.when(BATCH, slowly)
    await deliver(delivery, [item() for _ in range(12)], batch_size=1, concurrency=3)
    assert len(php.calls) == 12
    assert php.most_at_once == 3
