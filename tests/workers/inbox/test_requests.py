"""Requests are bounded by what came in, lose nothing, and keep the order."""

from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts import backend as contract
from contracts.backend import UpdateKind
from contracts.bots import BotMatch, MatchedBots, TriggerType
from sidecar.inbox.store import RawWebhook
from tests.contracts.hypotheses import unhurried
from tests.workers.payloads import (
    METADATA,
    account,
    change,
    entry,
    envelope,
    make_update,
    message,
    status,
    webhook,
)
from workers.inbox.coalesce import coalesce
from workers.inbox.requests import MAX_GROWTH, MIN_WEBHOOK_BYTES, body_of, requests_of
from workers.inbox.split import split_webhook
from workers.inbox.update import Update

VENDOR = "8f7c2e3a-0000-4000-8000-000000000001"


def updates_of(*bodies: bytes) -> list[Update]:
    """Return the updates of webhooks, in their order, as the reader names them."""
    found = []
    for number, body in enumerate(bodies):
        one = entry(body, vendor_uid=VENDOR)
        name = f"{VENDOR}/0123456789abcdef-{number}/0"
        found += split_webhook(RawWebhook(b"", body), one, name)
    return found


def allowed(updates: list[Update]) -> int:
    """Return how long a request with these updates may be."""
    webhooks = {name: length for one in updates for name, length in one.webhooks.items()}
    return MAX_GROWTH * sum(max(length, MIN_WEBHOOK_BYTES) for length in webhooks.values())


# -- whatever comes --

IDS = st.sampled_from(["1", "w", "wamid.2", 7, "wamid.HBgLMTU1NTM2MDAwMDE"])
PEOPLE = st.sampled_from(["1", "15550001111", "15550002222", "US.1", '\x00"\u00fc', "x" * 90])
ELEMENTS = st.fixed_dictionaries(
    {"id": IDS},
    optional={
        "from": PEOPLE,
        "from_user_id": PEOPLE,
        "recipient_id": PEOPLE,
        "status": st.sampled_from(["sent", "delivered", "read"]),
        "recipient_participant_id": PEOPLE,
        "text": st.just({"body": "x" * 100}) | st.just({"body": "x" * 5000}),
    },
)


def lists_of(name: str, largest: int) -> st.SearchStrategy[Any]:
    many = st.builds(lambda one, count: [one] * count, ELEMENTS, st.integers(1, largest))
    return st.fixed_dictionaries({}, optional={name: st.lists(ELEMENTS, max_size=5) | many})


CONTACTS = st.integers(0, 500).map(
    lambda count: [{"wa_id": f"{15550001111 + n}", "profile": {"name": "n"}} for n in range(count)]
)
VALUES = st.builds(
    lambda messages, statuses, more, metadata: {
        **messages,
        **statuses,
        **more,
        "metadata": metadata,
    },
    lists_of("messages", 60),
    lists_of("statuses", 60),
    st.fixed_dictionaries(
        {}, optional={"user_actions": st.lists(ELEMENTS, max_size=3), "contacts": CONTACTS}
    ),
    st.sampled_from([METADATA, {}, {**METADATA, "x": "y" * 1900}, {"x": "y" * 2100}, None]),
)
WEBHOOKS = st.builds(
    lambda values, short: (
        {"entry": [{"changes": [{"value": one}]} for one in values]}
        if short
        else envelope(account(*(change(one) for one in values)))
    ),
    st.lists(VALUES, min_size=1, max_size=3),
    st.booleans(),
).map(orjson.dumps)


@unhurried
@given(
    st.lists(WEBHOOKS, min_size=1, max_size=4),
    st.integers(1, 100),
    st.integers(1, 4),
    st.booleans(),
    st.randoms(use_true_random=False),
)
@example(
    [b'{"entry":[{"changes":[{"value":{"messages":[{"id":"1"}]}}]}]}'] * 4, 100, 1, False, None
)
def test_whatever_comes_no_request_is_longer_than_it_may_be(
    bodies: list[bytes], batch_size: int, concurrency: int, kept: bool, random: Any
) -> None:
    updates = [one for one in updates_of(*bodies) if one.kind is not None]
    updates = coalesce(updates).updates
    if kept:  # as after a failure
        updates = [Update.load(one.dump()) for one in updates]
    requests = requests_of(updates, batch_size, concurrency)
    for request in requests:
        assert len(request) <= batch_size
        some = request
        for _ in range(2):  # and so is any part of it
            assert len(body_of(some)) <= allowed(some) or len(some) == 1
            assert contract.ProcessWebhooksRequest.model_validate_json(body_of(some))
            some = random.sample(request, (len(request) + 1) // 2) if random else request[:1]
    given = [one.id for request in requests for one in request]
    assert max(Counter(given).values(), default=1) == 1
    for key in {one.order_key for one in updates}:
        mine = [one.id for one in updates if one.order_key == key]
        of_key = [[one.id for one in request if one.order_key == key] for request in requests]
        [went] = [ids for ids in of_key if ids]  # in one request, in order, from the first on
        assert went == mine[: len(went)]


def test_five_hundred_failures_beside_as_many_strangers() -> None:
    """A POST of 237 kB made a request of 28 MB."""
    contacts = [{"wa_id": f"1555{n:07}", "profile": {"name": "x" * 300}} for n in range(500)]
    failed = [status(f"wamid.{n}", "failed", recipient_id=f"1666{n:07}") for n in range(500)]
    body = webhook(statuses=failed, contacts=contacts)
    requests = requests_of(updates_of(body), 1000, 1)
    assert [len(request) for request in requests] == [500]
    assert len(body_of(requests[0])) < 1.5 * len(body)


def test_what_is_usual_goes_in_one_request() -> None:
    body = webhook(statuses=[real_status(n) for n in range(1000)])
    [request] = requests_of(updates_of(body), 1000, 1)
    assert len(request) == 1000
    singles = [webhook(statuses=[real_status(n)]) for n in range(500)]
    [request] = requests_of(updates_of(*singles), 500, 1)
    assert len(body_of(request)) < 1.5 * sum(map(len, singles))


def real_status(number: int) -> Any:
    pricing = {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "utility"}
    return status(
        f"wamid.HBgLMTU1NTM2MDAwMDEVAgARGBI5QTNDQTVCM0Q0Q0Q2RTY3RTcA{number:06}",
        "delivered",
        row=f"5f0d2c1e-0000-4000-8000-{number:012}",
        recipient_id="15553600001",
        pricing=pricing,
    )


def test_a_head_is_short() -> None:
    [one] = updates_of(webhook(statuses=[real_status(1)]))
    head = len(one.as_update()) - len(one.raw_payload or b"")
    assert head <= 195
    assert len(one.as_update()) < one.request_bytes <= len(one.as_update()) + 10


def test_statuses_of_other_webhooks_count_as_theirs() -> None:
    bodies = [webhook(statuses=[status("w", recipient_participant_id=f"{n}")]) for n in range(300)]
    others = [webhook(statuses=[status(f"w{n}")]) for n in range(20)]
    updates = coalesce(updates_of(*bodies, *others)).updates
    assert len(updates) == 21
    assert len(updates[0].webhooks) == 300
    for request in requests_of(updates, 100, 1):
        assert len(body_of(request)) <= allowed(request)


def test_one_that_an_earlier_version_has_kept_goes_with_others() -> None:
    updates = [make_update() for _ in range(5)]
    assert not any(one.webhooks for one in updates)
    assert requests_of(updates, 10, 1) == [updates]


# -- bots --


def with_bots(update: Update, count: int) -> Update:
    match = BotMatch(bot_uid="b" * 36, trigger_type=TriggerType.CONTAINS, trigger="price")
    update.bots = MatchedBots(matches=[match] * count)
    return update


def test_bots_for_which_there_is_no_room_are_left_to_php() -> None:
    updates = updates_of(*(webhook(messages=[message(f"{n}")]) for n in range(3)))
    few, many, none = with_bots(updates[0], 1), with_bots(updates[1], 1000), updates[2]
    body = body_of([few, many, none])
    assert len(body) <= allowed([few, many, none])
    request = contract.ProcessWebhooksRequest.model_validate_json(body)
    assert [one.bots is not None for one in request.updates] == [True, False, False]
    assert [one.bots is not None for one in updates] == [True, False, False]


# -- which go together --


def test_those_of_one_key_stand_in_one_request() -> None:
    updates = [make_update(order_key=f"v/{n % 3}") for n in range(9)]
    requests = requests_of(updates, 4, 1)
    assert [[one.order_key for one in request] for request in requests] == [
        ["v/0"] * 3,
        ["v/1"] * 3,
        ["v/2"] * 3,
    ]


def test_messages_are_spread_and_the_rest_goes_along() -> None:
    messages = [make_update() for _ in range(8)]
    statuses = [make_update(UpdateKind.STATUS) for _ in range(8)]
    requests = requests_of([*messages, *statuses], 10, 4)
    assert [len(request) for request in requests] == [2, 2, 2, 10]
    requests = requests_of([*messages, *statuses], 10, 4, together=5)
    assert [len(request) for request in requests] == [5, 10, 1]


@pytest.mark.parametrize("concurrency", [1, 4])
def test_whole_bodies_stand_alone(concurrency: int) -> None:
    updates = [make_update(None), make_update(), make_update(None)]
    assert requests_of(updates, 10, concurrency) == [[updates[0]], [updates[2]], [updates[1]]]
