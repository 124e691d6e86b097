import json

import pytest

from bench.webhooks import as_request, sized_webhook, webhook_body
from contracts.cloud_api.webhook import sign
from simulator.installation import Installation


def test_nine_in_ten_are_statuses() -> None:
    values = [json.loads(webhook_body(n))["entry"][0]["changes"][0]["value"] for n in range(100)]
    assert sum("statuses" in value for value in values) == 90
    assert sum("messages" in value for value in values) == 10


@pytest.mark.parametrize("size", [1_000, 10_000, 3_000_000])
def test_a_webhook_of_a_size(size: int) -> None:
    assert len(sized_webhook(7, size)) == size


def test_a_request_is_whole_and_signed() -> None:
    head, _, body = as_request(webhook_body(1), "/webhook/one").partition(b"\r\n\r\n")
    assert body == webhook_body(1)
    assert head.startswith(b"POST /webhook/one HTTP/1.1\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert sign(Installation.APP_SECRET.encode(), body).encode() in head
