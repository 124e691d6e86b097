"""A webhook's signature: hex in either case, over the body or over the bytes as they were sent."""

import pytest

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from sidecar.http.post import Post, is_signature, signature_holds
from tests import trust
from tests.sidecar.payloads import message_webhook
from tests.sidecar.service import Service

BODY, SENT = b"{}", b"\x1f\x8b packed"
RIGHT = sign(b"two", BODY)
UPPER = "sha256=" + RIGHT.removeprefix("sha256=").upper()


def post(signature: str, sent: bytes = SENT) -> Post:
    return Post("v", signature.encode(), BODY, sent, 0.0)


@pytest.mark.parametrize("signature", [RIGHT, UPPER, RIGHT[:40] + RIGHT[40:].upper()])
def test_hex_in_either_case(signature: str) -> None:
    assert is_signature(signature.encode())
    assert signature_holds(signature.encode(), BODY, [b"one", b"two"])
    one = post(signature)
    assert one.holds([b"two"])
    assert one.signature == RIGHT.encode()


@pytest.mark.parametrize(
    "signature",
    ["", RIGHT[7:], RIGHT[:-1], RIGHT + "0", RIGHT.upper(), "Sha256=" + RIGHT[7:], RIGHT + "\n"],
)
def test_anything_else_is_none(signature: str) -> None:
    assert not is_signature(signature.encode())
    one = post(signature)
    assert not one.holds([b"two"])
    assert one.signature == signature.encode()
    assert one.fault == ("signature_wrong" if signature else "signature_missing")


def test_the_bytes_as_they_were_sent() -> None:
    one = post(sign(b"two", SENT))
    assert not one.holds([b"one", b""])
    assert one.signature == sign(b"two", SENT).encode()
    assert one.holds([b"one", b"two"])
    assert one.signature == RIGHT.encode()
    assert one.holds([b"two"])


def test_an_empty_secret_signs_nothing() -> None:
    assert not post(sign(b"", BODY)).holds([b""])
    assert not post(sign(b"", SENT)).holds([b""])


def test_headers_that_fit_the_body() -> None:
    one = post(UPPER)
    given = [
        (b"content-encoding", b"gzip"),
        (b"x-hub-signature-256", UPPER.encode()),
        (b"user-agent", b"Meta"),
    ]
    assert one.headers(given) == [
        (b"x-hub-signature-256", RIGHT.encode()),
        (b"user-agent", b"Meta"),
    ]


async def test_upper_case_through_the_application(service: Service) -> None:
    body = message_webhook()
    right = sign(trust.APP_SECRET.encode(), body)
    upper = "sha256=" + right.removeprefix("sha256=").upper()
    answer = await service.webhook(body, secret=None, headers={SIGNATURE_HEADER: upper})
    assert answer.status_code == 200
    [entry] = await service.entries()
    assert entry.webhooks[0].signature == right.encode()


async def test_a_byte_order_mark_is_taken(service: Service) -> None:
    body = b"\xef\xbb\xbf" + message_webhook()
    assert (await service.webhook(body)).status_code == 200
    assert await service.bodies() == [body]
