"""Updates are handed to PHP, and those that it cannot take are found."""

import asyncio
from typing import Any

import pytest

from contracts import backend as contract
from tests.workers.deliveries import BATCH, deliver, deliver_isolated, fates, statuses
from tests.workers.payloads import make_update
from tests.workers.php import Answer, Call, Php, answer, refusal, results, wanting_again
from workers.inbox.delivery import Delivery, Fate
from workers.inbox.update import Update

# -- what PHP says about single updates --


async def test_everything_is_taken_in_one_request(php: Php, delivery: Delivery) -> None:
    updates = statuses(20)
    verdicts = await deliver(delivery, updates)
    assert set(fates(verdicts, updates)) == {Fate.DONE}
    assert [update["id"] for update in php.batches[0]] == [one.id for one in updates]
    assert len(php.calls) == delivery.requests == 1


async def test_nothing_is_no_request(php: Php, delivery: Delivery) -> None:
    assert await deliver(delivery, []) == {}
    assert not php.calls


async def test_each_update_gets_its_own_answer(php: Php, delivery: Delivery) -> None:
    updates = statuses(8)
    given: list[dict[str, Any]] = [
        {"result": "done"},
        {"result": "ignored", "reason": "message_unknown"},
        {"result": "retry", "reason": "locked", "retry_after_ms": 70},
        {"result": "retry"},
        {"result": "postponed", "reason": "new word"},
        {"result": "rejected", "reason": "never"},
        {"result": "rejected"},
    ]
    php.always(
        BATCH,
        answer(
            {
                "results": [
                    {"id": one.id, **given[n]} for n, one in reversed([*enumerate(updates[:7])])
                ]
            }
        ),
    )
    verdicts = await deliver(delivery, updates)
    assert fates(verdicts, updates) == [
        *(Fate.DONE, Fate.IGNORED, *[Fate.RETRY] * 3),
        *(Fate.REJECTED, Fate.REJECTED, Fate.RETRY),
    ]
    assert [verdicts[one.id].reason for one in updates] == [
        None,
        "message_unknown",
        "locked",
        "PHP gave no reason",
        "PHP answered 'postponed': new word",
        "never",
        "PHP gave no reason",
        "PHP gave no result for this update",
    ]
    assert verdicts[updates[2].id].retry_after_ms == 70
    assert all(verdicts[one.id].answered for one in updates)
    assert delivery.breaker.wait_s == 0


async def test_a_result_for_something_else_is_not_taken_for_ours(
    php: Php, delivery: Delivery
) -> None:
    php.always(BATCH, answer({"results": [{"id": "someone else's", "result": "done"}]}))
    updates = statuses(1)
    assert fates(await deliver(delivery, updates), updates) == [Fate.UNTRIED]
    assert fates(await deliver_isolated(delivery, updates), updates) == [Fate.RETRY]


# -- bodies that cannot be split --


async def test_a_whole_body_goes_alone_byte_for_byte_with_its_signature(
    php: Php, delivery: Delivery
) -> None:
    body = b"\xff not json"
    one = make_update(None, vendor_uid="vendor/1", body=body, signature="sha256=abc")
    assert fates(await deliver(delivery, [one]), [one]) == [Fate.DONE]
    [call] = php.calls
    assert call.path == "/internal/process-webhook/vendor%2F1"
    assert call.body == body
    assert call.headers["X-Hub-Signature-256"] == "sha256=abc"


async def test_a_whole_body_without_signature_goes_without(php: Php, delivery: Delivery) -> None:
    await deliver(delivery, [make_update(None)])
    assert "X-Hub-Signature-256" not in php.calls[0].headers


@pytest.mark.parametrize(
    ("given", "fate", "reason"),
    [
        (answer({"result": "ignored", "reason": "body_not_json"}), Fate.IGNORED, "body_not_json"),
        (answer({"result": "retry"}), Fate.RETRY, "PHP gave no reason"),
        (answer({"result": "rejected", "reason": "never"}), Fate.REJECTED, "never"),
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
    one = make_update(None)
    verdict = (await deliver_isolated(delivery, [one]))[one.id]
    assert (verdict.fate, verdict.reason) == (fate, reason)


async def test_whole_bodies_and_updates_do_not_share_a_request(
    php: Php, delivery: Delivery
) -> None:
    updates = [make_update(None), *statuses(3), make_update(None)]
    assert set(fates(await deliver(delivery, updates), updates)) == {Fate.DONE}
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
        (4, 300, 50, 4, [50, 50, 50, 50, 50, 50, 1, 1, 1, 1]),
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
    updates = [*[make_update() for _ in range(messages)], *statuses(others)]
    verdicts = await deliver(delivery, updates, batch_size, concurrency)
    assert set(fates(verdicts, updates)) == {Fate.DONE}
    assert sorted(map(len, php.batches), reverse=True) == sizes


async def test_no_more_requests_at_once_than_allowed(php: Php, delivery: Delivery) -> None:
    async def slowly(call: Call) -> Answer:
        await asyncio.sleep(0.03)
        return results(call)

    php.when(BATCH, slowly)
    await deliver(delivery, [make_update() for _ in range(12)], batch_size=1, concurrency=3)
    assert len(php.calls) == 12
    assert php.most_at_once == 3


# -- what stays in order --


def of_contact(name: str, count: int) -> list[Update]:
    """Return messages of one contact, in order."""
    return [make_update(wamid=f"{name}{n}", order_key=f"vendor-1/{name}") for n in range(count)]


async def test_a_contacts_messages_are_in_one_request_in_order(
    php: Php, delivery: Delivery
) -> None:
    a, b = of_contact("a", 5), of_contact("b", 1)
    updates = [*a[:2], *b, *a[2:]]
    assert set(fates(await deliver(delivery, updates, 50, 4), updates)) == {Fate.DONE}
    together, alone = sorted(php.batches, key=len, reverse=True)
    assert [update["id"] for update in together] == [one.id for one in a]
    assert {update["order"] for update in together} == {"vendor-1/a"}
    assert ["order" in update for update in alone] == [False], "there is nothing to be behind"


async def test_what_stands_behind_one_that_is_refused_was_not_tried(
    php: Php, delivery: Delivery
) -> None:
    updates = [*of_contact("a", 4), *of_contact("b", 2)]
    php.when(BATCH, wanting_again("a1"))
    verdicts = await deliver(delivery, updates)
    assert fates(verdicts, updates) == [
        *(Fate.DONE, Fate.RETRY, Fate.UNTRIED, Fate.UNTRIED),
        *(Fate.DONE, Fate.DONE),
    ]
    assert len(php.calls) == 1


async def test_what_php_takes_out_of_order_it_has_all_the_same(
    php: Php, delivery: Delivery
) -> None:
    """Given again it would be there twice for a PHP that does not keep its promises."""
    first, second, third = updates = of_contact("a", 3)
    given = {first.id: "retry", second.id: "done", third.id: "retry"}
    php.always(BATCH, answer({"results": [{"id": i, "result": r} for i, r in given.items()]}))
    assert fates(await deliver(delivery, updates), updates) == [Fate.RETRY, Fate.DONE, Fate.UNTRIED]


async def test_what_does_not_fit_behind_its_like_is_not_tried(php: Php, delivery: Delivery) -> None:
    updates = [*of_contact("a", 5), *of_contact("b", 2)]
    verdicts = await deliver(delivery, updates, batch_size=3, concurrency=4)
    assert fates(verdicts, updates) == [*[Fate.DONE] * 3, *[Fate.UNTRIED] * 2, *[Fate.DONE] * 2]


async def test_a_request_is_not_larger_than_it_may_be(
    php: Php, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for one update that is."""
    monkeypatch.setattr("workers.inbox.requests.REQUEST_BYTES", 10_000)
    half, whole = (b'{"x":"%s"}' % (b"x" * size) for size in (5000, 20_000))
    large = [make_update(parts=(b"", half, b"")) for _ in range(4)]
    huge = make_update(parts=(b"", whole, b""))
    same = [make_update(parts=(b"", half, b""), order_key="vendor-1/a") for _ in range(3)]
    updates = [*large, huge, *same]
    verdicts = await deliver(delivery, updates)
    assert fates(verdicts, updates) == [*[Fate.DONE] * 6, *[Fate.UNTRIED] * 2]
    assert [len(batch) for batch in php.batches] == [1] * 6
