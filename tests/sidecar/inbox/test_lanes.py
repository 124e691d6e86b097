"""The lane is told by a look at the bytes."""

import pytest

from contracts.jobs import Lane
from sidecar.inbox.lanes import lane_of, may_hold_messages
from tests.sidecar.payloads import message_webhook, status_webhook


@pytest.mark.parametrize(
    ("body", "lane"),
    [
        (status_webhook(), Lane.STATUSES),
        (b'{"statuses"\n :\t[]}', Lane.STATUSES),
        (message_webhook(), Lane.MESSAGES),
        (message_webhook(text='see "statuses": there'), Lane.MESSAGES),
        (b'{"statuses": [], "messages": []}', Lane.MESSAGES),
        (b'{"statuses": [], "message_echoes": []}', Lane.MESSAGES),
        (b'{"field": "statuses"}', Lane.MESSAGES),
        (b"{}", Lane.MESSAGES),
        (b"", Lane.MESSAGES),
        (b"\xff\x00", Lane.MESSAGES),
    ],
)
def test_lanes(body: bytes, lane: Lane) -> None:
    assert lane_of(body) is lane


@pytest.mark.parametrize(
    ("body", "held"),
    [
        (message_webhook(), True),
        (b'x "messages" : [ {', True),
        (b'"messages":[1', True),
        (b'"messages":[ ]', False),
        (b'"field":"messages"', False),
        (status_webhook(), False),
        (b"null", False),
    ],
)
def test_what_may_hold_a_customers_message(body: bytes, held: bool) -> None:
    assert may_hold_messages(body) is held
