"""The lane is told by a look at the bytes."""

import pytest

from contracts.jobs import Lane
from sidecar.inbox.lanes import lane_of
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
