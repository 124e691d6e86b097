"""Asking the Cloud API for media: who gets the token, and what answers mean."""

import base64
import hashlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from tests.target import Hit, Target, json, never, target
from workers.effects.media_client import (
    MAX_ANSWER_BYTES,
    Address,
    FetchFailed,
    MediaClient,
    digest_of,
)

HOSTS = ["fbsbx.com", "whatsapp.net"]


@pytest.fixture
async def api() -> AsyncIterator[Target]:
    async with target() as one:
        yield one


@pytest.fixture
async def client(api: Target) -> AsyncIterator[MediaClient]:
    one = MediaClient(api.url, "v26.0", HOSTS, timeout_s=5.0)
    yield one
    await one.close()


async def read(client: MediaClient, url: str, limit: int = 1000) -> bytes:
    async with client.stream("token", url, limit) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def fails(client: MediaClient, url: str | None = None, token: str = "t") -> FetchFailed:
    call = client.address(token, "77") if url is None else read(client, url)
    with pytest.raises(FetchFailed) as raised:
        await call
    return raised.value


async def test_an_address(client: MediaClient, api: Target) -> None:
    known = {"mime_type": "video/mp4", "sha256": "ab", "file_size": 7, "id": "77"}
    api.answer = json({"url": "https://lookaside.fbsbx.com/x", **known})
    found = await client.address("token", "77")
    assert found == Address("https://lookaside.fbsbx.com/x", "video/mp4", "ab", 7)
    [hit] = api.hits
    assert (hit.path, hit.headers["Authorization"]) == ("/v26.0/77", "Bearer token")


async def test_odd_answers_about_an_address(client: MediaClient, api: Target) -> None:
    api.answer = json({"url": "https://x", "mime_type": 7, "sha256": None, "file_size": "12"})
    assert await client.address("token", "77") == Address("https://x", None, None, 12)
    odds: list[Any] = [{}, {"url": None}, [], "x" * 2 * MAX_ANSWER_BYTES]
    for odd in odds:
        api.answer = json(odd)
        failed = await fails(client)
        assert str(failed).startswith("answer_invalid")
        assert failed.again
    api.answer = lambda _hit: web.Response(body=b"<html>")
    assert (await fails(client)).again


@pytest.mark.parametrize(
    ("status", "error", "word", "again", "counts", "curable"),
    [
        (400, {"code": 100, "error_subcode": 33}, "media_unknown", False, True, False),
        (404, {}, "media_unknown", False, True, False),
        (400, {"code": 100}, "refused", False, True, True),
        (401, {"code": 190}, "token_invalid", True, True, True),
        (400, {"code": 0}, "token_invalid", True, True, True),
        (400, {"code": 4}, "limited", True, False, True),
        (429, {}, "limited", True, False, True),
        (400, {"code": 131052}, "refused", True, True, True),
        (403, {"code": 10}, "refused", False, True, True),
        (500, {"code": 1}, "refused", True, True, True),
        (503, {}, "refused", True, True, True),
        (301, {}, "refused", False, True, True),
    ],
)
async def test_what_an_error_means(
    client: MediaClient,
    api: Target,
    status: int,
    error: dict[str, Any],
    word: str,
    again: bool,
    counts: bool,
    curable: bool,
) -> None:
    api.answer = json({"error": {**error, "message": "secret"}}, status, Location="http://x/")
    failed = await fails(client)
    found = (failed.again, failed.counts, failed.curable)
    assert (str(failed).partition(":")[0], *found) == (word, again, counts, curable)
    assert "secret" not in str(failed)
    assert len(api.hits) == 1


async def test_the_pause_that_is_asked_for(client: MediaClient, api: Target) -> None:
    api.answer = json({}, 503, Retry_After="7")
    assert (await fails(client)).after_s == 7.0


@pytest.mark.parametrize("media_id", ["", "../x", "7/7", "7?a=b", "7" * 129, "ü"])
async def test_an_id_that_is_none(client: MediaClient, api: Target, media_id: str) -> None:
    with pytest.raises(FetchFailed, match="media_unknown"):
        await client.address("token", media_id)
    assert api.hits == []


@pytest.mark.parametrize("token", ["a\nb", "ü", "a\x00"])
async def test_a_token_that_no_header_may_hold(
    client: MediaClient, api: Target, token: str
) -> None:
    assert "token_invalid" in str(await fails(client, token=token))
    assert api.hits == []


async def test_bytes_come_as_they_are(client: MediaClient, api: Target) -> None:
    api.answer = lambda _hit: web.Response(body=b"x" * 1000, headers={"Content-Encoding": "gzip"})
    assert await read(client, f"{api.url}/file?key=1") == b"x" * 1000
    [hit] = api.hits
    assert hit.headers["Authorization"] == "Bearer token"
    assert hit.headers["Accept-Encoding"] == "identity"


async def chunked(hit: Hit) -> web.Response:
    return web.Response(body=_endless())


async def _endless() -> AsyncIterator[bytes]:
    for _ in range(100):
        yield b"x" * 1000


@pytest.mark.parametrize("answer", [lambda _hit: web.Response(body=b"x" * 1001), chunked])
async def test_more_than_the_limit(client: MediaClient, api: Target, answer: Any) -> None:
    api.answer = answer
    failed = await fails(client, f"{api.url}/file")
    assert (str(failed).partition(":")[0], failed.again, failed.curable) == (
        "too_large",
        False,
        False,
    )


@pytest.mark.parametrize("status", [401, 403, 404, 410, 416, 429, 500, 204, 206])
async def test_an_address_that_gives_nothing(client: MediaClient, api: Target, status: int) -> None:
    """A new one may: it is valid for five minutes only."""
    api.answer = lambda _hit: status
    failed = await fails(client, f"{api.url}/file?key=s3cret")
    assert (failed.again, failed.counts) == (True, status != 429)
    assert str(status) in str(failed)
    assert "s3cret" not in str(failed)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/x",
        "https://fbsbx.com.example.com/x",
        "https://evilfbsbx.com/x",
        "http://lookaside.fbsbx.com/x",
        "https://lookaside.fbsbx.com:8443/x",
        "https://user@lookaside.fbsbx.com/x",
        "https://lookaside.fbsbx.com@example.com/x",
        "ftp://lookaside.fbsbx.com/x",
        "file:///etc/passwd",
        "http://127.0.0.1:1/x",
        "https://[::1/x",
        "//x",
        "x",
        "",
    ],
)
async def test_the_token_goes_to_nobody_else(client: MediaClient, api: Target, url: str) -> None:
    failed = await fails(client, url)
    assert str(failed).startswith("address_refused")
    assert not failed.again
    assert api.hits == []


@pytest.mark.parametrize(
    "url", ["https://lookaside.fbsbx.com/x", "https://FBSBX.com./x", "https://mmg.whatsapp.net/"]
)
def test_metas_hosts(client: MediaClient, url: str) -> None:
    assert str(client._checked(url)).lower() == url.lower()


async def test_redirects_are_followed_among_those(client: MediaClient, api: Target) -> None:
    api.then(
        lambda _hit: web.Response(status=302, headers={"Location": "/b?key=2"}),
        lambda _hit: web.Response(body=b"here"),
    )
    assert await read(client, f"{api.url}/a") == b"here"
    assert [(hit.path, hit.query) for hit in api.hits] == [("/a", {}), ("/b", {"key": "2"})]


async def test_redirects_to_elsewhere_are_not(client: MediaClient, api: Target) -> None:
    async with target() as other:
        for location in (f"{other.url}/x", "https://example.com/", "http://169.254.169.254/", ""):
            headers = {"Location": location} if location else {}
            api.answer = json({}, 307, **headers)
            assert str(await fails(client, f"{api.url}/a")).startswith("address_refused")
        assert other.hits == []
    assert {hit.path for hit in api.hits} == {"/a"}


async def test_connections_that_break_and_that_never_come(api: Target) -> None:
    client = MediaClient(api.url, "v26.0", HOSTS, timeout_s=0.2)
    api.answer = never
    assert str(await fails(client, f"{api.url}/s3cret")).startswith("timed_out")
    api.answer = lambda _hit: "drop"
    assert str(await fails(client)).startswith("broken_off")
    await client.close()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        gone = MediaClient(url, "v26.0", HOSTS, timeout_s=5.0)
        failed = await fails(gone)
        await gone.close()
    assert str(failed).startswith("unreachable")
    assert failed.again


def test_a_digest_in_either_spelling() -> None:
    digest = hashlib.sha256(b"\xff").digest()
    plain = base64.b64encode(digest).decode()
    for text in (plain, plain.rstrip("="), base64.urlsafe_b64encode(digest).decode()):
        assert digest_of(text) == digest.hex()
    assert digest_of(digest.hex().upper()) == digest.hex()
    for odd in (None, "", "IMAGE_HASH", "é", "ab" * 31, base64.b64encode(b"short").decode()):
        assert digest_of(odd) is None
