"""Whatever comes in: no error of ours, and nothing is kept or done that is not signed."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Message

from contracts.cloud_api.webhook import sign
from contracts.jobs import Lane
from tests import trust
from tests.examples import examples
from tests.sidecar.conftest import MakeService
from tests.sidecar.service import VENDOR, Service

unhurried = settings(
    deadline=None,
    max_examples=examples(150),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

#: What a server lets through in a header's name and value.
NAMES = st.sampled_from(
    [
        b"x-hub-signature-256",
        b"content-length",
        b"content-type",
        b"content-encoding",
        b"transfer-encoding",
        b"host",
        b"x-forwarded-for",
        b"expect",
    ]
)
VALUES = st.one_of(
    st.binary(max_size=100).map(lambda value: value.translate(None, b"\r\n\0")),
    st.sampled_from([b"sha256=", b"sha256=" + b"0" * 64, b"chunked", b"gzip", b"[", b"9" * 30]),
)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=5)
SEGMENTS = st.one_of(
    st.just(VENDOR),
    st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), max_size=80),
    st.text(max_size=20),
)
QUERIES = st.binary(max_size=60)


async def requested(
    service: Service,
    method: str,
    path: str,
    query: bytes,
    headers: list[tuple[bytes, bytes]],
    pieces: list[bytes],
    raw_path: bytes | None = None,
) -> int:
    """Make a request below the level of a client, which would refuse to send most of these."""
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces] + [
        {"type": "http.request", "body": b"", "more_body": False}
    ]
    answered: list[int] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            status = message["status"]
            assert isinstance(status, int)
            answered.append(status)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "replace") if raw_path is None else raw_path,
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await service.app(scope, receive, send)
    [status] = answered
    return status


@unhurried
@given(SEGMENTS, QUERIES, HEADERS, st.lists(st.binary(max_size=300), max_size=4))
async def test_anything_that_is_posted(
    service: Service,
    segment: str,
    query: bytes,
    headers: list[tuple[bytes, bytes]],
    pieces: list[bytes],
) -> None:
    status = await requested(service, "POST", f"/webhook/{segment}", query, headers, pieces)
    assert status in (400, 401, 404, 413, 415)
    assert await service.is_empty()


@unhurried
@given(QUERIES, HEADERS, st.lists(st.binary(max_size=300), max_size=4))
async def test_anything_that_is_signed(
    service: Service, query: bytes, headers: list[tuple[bytes, bytes]], pieces: list[bytes]
) -> None:
    await service.redis.flushall()
    body = b"".join(pieces)
    own = (b"x-hub-signature-256", b"content-length", b"content-encoding")
    others = [(name, value) for name, value in headers if name not in own]
    signature = (b"x-hub-signature-256", sign(trust.APP_SECRET.encode(), body).encode())
    path = f"/whatsapp-webhook/{VENDOR}"
    assert await requested(service, "POST", path, query, [*others, signature], pieces) == 200
    kept = await service.bodies(Lane.MESSAGES) + await service.bodies(Lane.STATUSES)
    assert kept == [body]


@unhurried
@given(SEGMENTS, QUERIES, HEADERS)
async def test_any_verification(
    service: Service, segment: str, query: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    status = await requested(service, "GET", f"/webhook/{segment}", query, headers, [])
    assert status in (200, 403, 404)


@unhurried
@given(
    st.sampled_from(["/internal/invalidate", "/match-bot", "/internal/campaigns/c/send"]),
    QUERIES,
    st.lists(
        st.tuples(
            NAMES
            | st.sampled_from(
                [
                    b"x-sidecar-key",
                    b"x-sidecar-timestamp",
                    b"x-sidecar-nonce",
                    b"x-sidecar-signature",
                ]
            ),
            VALUES,
        ),
        max_size=6,
    ),
    st.lists(st.binary(max_size=300), max_size=3),
)
async def test_any_internal_call(
    service: Service,
    path: str,
    query: bytes,
    headers: list[tuple[bytes, bytes]],
    pieces: list[bytes],
) -> None:
    assert await requested(service, "POST", path, query, headers, pieces) == 401


@pytest.fixture
async def without_redis(make_service: MakeService) -> Service:
    return await make_service(redis_url="redis://127.0.0.1:9/0")


@unhurried
@given(SEGMENTS, HEADERS, st.lists(st.binary(max_size=300), max_size=4))
async def test_anything_that_is_posted_without_redis(
    without_redis: Service, segment: str, headers: list[tuple[bytes, bytes]], pieces: list[bytes]
) -> None:
    path = f"/webhook/{segment}"
    status = await requested(without_redis, "POST", path, b"", headers, pieces)
    assert status in (400, 401, 404, 413, 415, 503)
