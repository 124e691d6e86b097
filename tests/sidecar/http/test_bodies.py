"""Bodies of webhooks: gzip is undone within a limit, whatever else it is has a reason."""

import asyncio
import gzip
import tracemalloc
import zlib
from contextlib import AsyncExitStack

import pytest
from structlog.testing import capture_logs

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from sidecar.http.bodies import BodyRefused, Decoder, encoding_of
from tests import trust
from tests.sidecar.conftest import MakeService
from tests.sidecar.payloads import message_webhook
from tests.sidecar.service import VENDOR, Service

SECRET = trust.APP_SECRET.encode()
MB = 1024 * 1024


async def decode(decoder: Decoder, body: bytes, encoding: bytes = b"gzip") -> bytes:
    async with decoder.decoded(body, encoding) as plain:
        return plain


async def refusal(decoder: Decoder, body: bytes, encoding: bytes = b"gzip") -> tuple[int, str]:
    with pytest.raises(BodyRefused) as raised:
        await decode(decoder, body, encoding)
    return raised.value.status, raised.value.reason


@pytest.mark.parametrize("encoding", [b"", b"identity"])
async def test_what_has_no_encoding_is_not_touched(encoding: bytes) -> None:
    packed = gzip.compress(b"{}")
    assert await decode(Decoder(100), packed, encoding) is packed


@pytest.mark.parametrize("encoding", [b"gzip", b"x-gzip"])
@pytest.mark.parametrize("body", [b"", b"{}", b"x" * 1000])
async def test_gzip(encoding: bytes, body: bytes) -> None:
    assert await decode(Decoder(1000), gzip.compress(body), encoding) == body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        gzip.compress(b"x" * 100)[:-1],
        gzip.compress(b"x" * 100)[:20],
        gzip.compress(b"x" * 100) + b"more",
        gzip.compress(b"{}") + gzip.compress(b"{}"),
        gzip.compress(b"x" * 100)[:-8] + b"\0" * 8,
        zlib.compress(b"x" * 100),
        b"\x1f\x8b" + b"\xff" * 50,
    ],
    ids=["empty", "plain", "cut", "cut early", "more", "two", "wrong end", "zlib", "head only"],
)
async def test_broken_gzip(body: bytes) -> None:
    assert await refusal(Decoder(1000), body) == (400, "gzip_broken")


@pytest.mark.parametrize("encoding", [b"br", b"deflate", b"zstd", b"gzip,gzip", b"gzip, br", b"*"])
async def test_other_encodings(encoding: bytes) -> None:
    assert await refusal(Decoder(1000), b"{}", encoding) == (415, "encoding_unsupported")


def test_the_encoding_that_is_named() -> None:
    assert encoding_of([(b"content-type", b"x")]) == b""
    assert encoding_of([(b"content-encoding", b" GZip ")]) == b"gzip"
    assert encoding_of([(b"content-encoding", b"gzip"), (b"content-encoding", b"br")]) == b"gzip,br"


async def test_a_bomb_never_is_in_memory() -> None:
    bomb = gzip.compress(bytes(200 * MB), 9)
    tracemalloc.start()
    try:
        assert await refusal(Decoder(MB), bomb) == (413, "body_too_large")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * MB


async def test_exactly_the_limit() -> None:
    assert await decode(Decoder(1000), gzip.compress(bytes(1000))) == bytes(1000)
    assert await refusal(Decoder(1000), gzip.compress(bytes(1001))) == (413, "body_too_large")


async def test_all_together_hold_no_more_than_they_may() -> None:
    """Each within its limit, but all at the same time."""
    decoder = Decoder(1000, most=2500)
    packed = gzip.compress(bytes(1000))
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(decoder.decoded(packed, b"gzip"))
        assert await refusal(decoder, packed) == (503, "decoding_busy")
        assert await decode(decoder, packed, b"") == packed
        assert await decode(decoder, gzip.compress(bytes(500))) == bytes(500)
    assert await decode(decoder, packed) == bytes(1000)
    assert await decode(Decoder(1000, most=1), packed) == bytes(1000)


# -- through the application --


async def post(
    service: Service, body: bytes, signed: bytes | None = None, encoding: str = "gzip"
) -> int:
    """Post a body under the signature of ``signed``."""
    signature = sign(SECRET, body if signed is None else signed)
    headers = {SIGNATURE_HEADER: signature, "Content-Encoding": encoding}
    answer = await service.webhook(body, secret=None, headers=headers)
    return answer.status_code


@pytest.mark.parametrize("over", ["plain", "packed"])
async def test_a_signature_over_either(service: Service, over: str) -> None:
    plain = message_webhook(text="ü 😀")
    packed = gzip.compress(plain)
    assert await post(service, packed, plain if over == "plain" else packed) == 200
    [entry] = await service.entries()
    [kept] = entry.webhooks
    assert kept.body == plain
    # Whoever checks it next finds it right.
    assert kept.signature == sign(SECRET, plain).encode()


async def test_a_signature_over_something_else(service: Service) -> None:
    packed = gzip.compress(b"{}")
    assert await post(service, packed, b"{ }") == 401
    assert service.counts == {"signature_wrong": 1}
    assert await service.is_empty()


@pytest.mark.parametrize(
    ("body", "encoding", "status", "reason"),
    [
        (b"{}", "gzip", 400, "gzip_broken"),
        (b"{}", "br", 415, "encoding_unsupported"),
        (gzip.compress(bytes(5 * MB)), "gzip", 413, "body_too_large"),
    ],
    ids=["broken", "unsupported", "too large"],
)
async def test_a_refusal_leaves_a_trace(
    service: Service, body: bytes, encoding: str, status: int, reason: str
) -> None:
    with capture_logs() as logged:
        assert await post(service, body, encoding=encoding) == status
    assert service.counts == {reason: 1}
    [line] = logged
    assert line == {
        "event": "webhook.refused",
        "log_level": "warning",
        "status": status,
        "reason": reason,
        "vendor": VENDOR,
    }
    assert await service.is_empty()


async def test_floods_are_logged_once_in_a_while(make_service: MakeService) -> None:
    service = await make_service()
    with capture_logs() as logged:
        for _ in range(5):
            service.endpoint._answer(503, "too_many_unknown_vendors", vendor_uid="v")
            service.endpoint._answer(401, "signature_wrong", vendor_uid="v")
    assert [line["status"] for line in logged].count(503) == 1
    assert [line["status"] for line in logged].count(401) == 5
    assert service.counts == {"too_many_unknown_vendors": 5, "signature_wrong": 5}


async def test_many_at_once(service: Service) -> None:
    bodies = [message_webhook(text=f"{number}") for number in range(50)]
    posts = (post(service, gzip.compress(body), body) for body in bodies)
    assert await asyncio.gather(*posts) == [200] * 50
    assert sorted(await service.bodies()) == sorted(bodies)
