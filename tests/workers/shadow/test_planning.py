"""What the sidecar would make of webhooks: which are compared, and what PHP's routine looks at."""

from typing import Any

import orjson
import pytest

from contracts.backend import VendorConfig
from contracts.modes import Modes
from sidecar.shadow.rules import Kind
from tests.workers.payloads import (
    account,
    change,
    envelope,
    message,
    status,
    value,
)
from tests.workers.shadow.test_planned import Json, content, split
from workers.shadow.planned import PlannedMessage
from workers.shadow.planning import by_wamid, kinds_of, plan

# -- what PHP's routine looks at --


def firsts_of(body: Json | bytes) -> list[bool]:
    updates, firsts = split(body)
    return [update.id in firsts for update in updates]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (content(statuses=[status("a"), status("b")]), [True, False]),
        (content(messages=[message()], statuses=[status()]), [False, False]),
        (envelope(account(change(value(statuses=[status()]))), account()), [True, False]),
        (
            envelope(account(), account(change(value(statuses=[status()])))),
            [False, False],
        ),
        (b"\xef\xbb\xbf" + orjson.dumps(content(statuses=[status()])), [True]),
        (content(messages=[message()], user_actions=[{}]), [True, False]),
        (envelope(account(change(value(messages=[message()]), "history"))), [True]),
        (
            envelope(
                account(change(value(statuses=[status()])), change(value(statuses=[status()])))
            ),
            [True, False],
        ),
        (b"no json", [False]),
        (b"[]", [False]),
        (b'{"entry": [{"changes": [{"value": 1}]}]}', [False]),
    ],
)
def test_what_the_routine_looks_at(body: Json | bytes, expected: list[bool]) -> None:
    assert firsts_of(body) == expected


# -- which updates --


def test_updates_of_one_message_stand_together() -> None:
    updates, _ = split(
        content(messages=[message(wamid="m")]),
        content(statuses=[status("a"), status("b"), status("a", "read")]),
    )
    found = by_wamid(updates)
    assert list(found) == ["m", "a", "b"]
    assert [update.status for update in found["a"]] == ["sent", "read"]


@pytest.mark.parametrize("unread", [b"no json", orjson.dumps(envelope(account(change({}, "x"))))])
def test_what_is_no_message_and_no_status_cannot_be_compared(unread: bytes) -> None:
    updates, _ = split(unread)
    assert updates
    assert by_wamid(updates) == {}


def test_a_status_without_a_name_cannot_be_compared() -> None:
    nameless: Any = {"id": "a", "timestamp": "1"}
    updates, _ = split(content(statuses=[nameless]))
    assert by_wamid(updates) == {}


def test_webhooks_are_split_in_their_order_and_named_after_them() -> None:
    updates, firsts = split(content(messages=[message(wamid="m")]), content(statuses=[status("a")]))
    assert [update.wamid for update in updates] == ["m", "a"]
    assert {update.id for update in updates} == firsts
    assert all(update.vendor_uid == "v" for update in updates)


def test_nothing_is_planned_of_no_updates() -> None:
    planned = PlannedMessage("m")
    assert list(plan(planned, [], set(), VendorConfig(vendor_uid="v"), None)) == []
    assert planned.highest is None


# -- modes --

OF_WEBHOOKS = set(Kind) - {Kind.CAMPAIGN}


@pytest.mark.parametrize(
    ("webhooks", "bots", "kinds"),
    [
        ("shadow", "php", OF_WEBHOOKS),
        ("shadow", "shadow", OF_WEBHOOKS),
        ("shadow", "sidecar", OF_WEBHOOKS),
        ("sidecar", "shadow", {Kind.BOTS}),
        ("php", "shadow", {Kind.BOTS}),
        ("php", "php", set()),
        ("sidecar", "sidecar", set()),
    ],
)
def test_what_is_compared_by_mode(webhooks: str, bots: str, kinds: set[Kind]) -> None:
    modes = Modes.model_validate({"webhooks": webhooks, "bots": bots})
    assert kinds_of(VendorConfig(vendor_uid="v", modes=modes)) == kinds
    assert kinds_of(None) == set()
