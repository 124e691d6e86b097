"""Asks the Cloud API where media is, and streams it.

The vendor's access token goes to the Cloud API and to Meta's hosts of media (the setting
``media_hosts``), and to nobody else: an address anywhere else is refused, a redirect too.
"""

import base64
import binascii
import re
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
from yarl import URL

from contracts.effects import EffectKind
from workers.effects.calls import count, may_come_again, result_of, retry_after_s
from workers.effects.media_folder import CHUNK_BYTES

CONNECT_TIMEOUT_S = 5.0
#: Between two parts of an answer.
READ_TIMEOUT_S = 30.0
KEEPALIVE_S = 15.0
#: An answer about media has some hundred bytes.
MAX_ANSWER_BYTES = 64 * 1024
MAX_REDIRECTS = 3
LONGEST_PAUSE_S = 600.0
#: How long to wait after the Cloud API's own limits.
LIMIT_PAUSE_S = 60.0

_MEDIA_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_REDIRECTS = (301, 302, 303, 307, 308)
#: Errors of the Graph API: its limits (of the app, the account, the number, the user).
_LIMITS = (4, 17, 32, 613, 80007, 130429)
#: "Object does not exist, or missing permissions", and "media download error".
_GONE = {(100, 33)}
_DOWNLOAD_ERROR = 131052


class FetchFailed(Exception):
    """It was not fetched. ``word`` is for programs, ``again``: a new attempt may help, ``counts``
    as one of the limited attempts. ``curable``: an operator may be able to do something."""

    def __init__(
        self,
        word: str,
        text: str,
        *,
        again: bool = False,
        counts: bool = True,
        after_s: float | None = None,
        curable: bool = True,
    ) -> None:
        super().__init__(f"{word}: {text}")
        self.again = again
        self.counts = counts
        self.after_s = after_s
        self.curable = curable
        #: See :class:`workers.effects.handler.Again`.
        self.refused = word == "token_invalid"


@dataclass(frozen=True, slots=True)
class Address:
    """Where media is for the next five minutes, and what the Cloud API says of it."""

    url: str
    mime_type: str | None
    sha256: str | None
    size: int | None


def too_large(size: int, limit: int) -> FetchFailed:
    return FetchFailed("too_large", f"{size} bytes, at most {limit}", curable=False)


def digest_of(text: str | None) -> str | None:
    """Return a SHA-256 as hex: webhooks have it in base64, the Cloud API's answers in hex. None if
    it is neither."""
    if text is None:
        return None
    if re.fullmatch(r"[0-9A-Fa-f]{64}", text):
        return text.lower()
    try:
        standard = text.strip().rstrip("=").replace("-", "+").replace("_", "/")
        found = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return found.hex() if len(found) == 32 else None


class MediaClient:
    """``api_url`` and ``version`` are the Cloud API's. ``hosts`` may have the token besides, over
    HTTPS, each with its subdomains. Belongs to one event loop."""

    def __init__(
        self, api_url: str, version: str, hosts: Iterable[str], *, timeout_s: float
    ) -> None:
        self._root = f"{api_url}/{version}"
        self._origin = URL(api_url).origin()
        self._hosts = tuple(host.lower().strip(".") for host in hosts)
        self._timeout = aiohttp.ClientTimeout(
            total=timeout_s, sock_connect=CONNECT_TIMEOUT_S, sock_read=READ_TIMEOUT_S
        )
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def address(self, token: str, media_id: str) -> Address:
        """Ask where media is. Raises :class:`FetchFailed`."""
        if not _MEDIA_ID.fullmatch(media_id):
            raise FetchFailed("media_unknown", "its id is none of the Cloud API's", curable=False)
        async with self._get(URL(f"{self._root}/{media_id}"), token) as response:
            content = await _read(response)
            body = _object(content)
            if response.status != 200:
                raise _refusal(response, body)
        url = body.get("url")
        if not isinstance(url, str):
            raise FetchFailed("answer_invalid", "the Cloud API named no address", again=True)
        return Address(url, _text(body, "mime_type"), _text(body, "sha256"), _size(body))

    @asynccontextmanager
    async def stream(self, token: str, url: str, limit: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open media at its address, for its chunks, ``limit`` bytes at most.
        Raises :class:`FetchFailed`."""
        target = self._checked(url)
        for _ in range(MAX_REDIRECTS):
            async with self._get(target, token) as response:
                if response.status not in _REDIRECTS:
                    if response.status != 200:
                        raise _address_failed(response)
                    if (response.content_length or 0) > limit:
                        raise too_large(response.content_length or 0, limit)
                    yield _chunks(response, limit)
                    return
                location = response.headers.get("Location", "")
            target = self._checked(location, target)
        raise FetchFailed("address_refused", "it redirects too often", again=True)

    def _checked(self, text: str, base: URL | None = None) -> URL:
        """Return the URL if the token may go there."""
        try:
            url = URL(text) if base is None else base.join(URL(text))
            host = (url.raw_host or "").lower().rstrip(".")
            if url.raw_user is None and url.raw_password is None and url.is_absolute():
                if url.origin() == self._origin:
                    return url
                ours = any(host == one or host.endswith(f".{one}") for one in self._hosts)
                if ours and url.scheme == "https" and url.port == 443:
                    return url
        except ValueError:
            host = ""
        raise FetchFailed(
            "address_refused",
            f"{host or 'the address'} is none of Meta's hosts over HTTPS (media_hosts)",
        )

    @asynccontextmanager
    async def _get(self, url: URL, token: str) -> AsyncIterator[aiohttp.ClientResponse]:
        if not (token.isascii() and token.isprintable()):
            raise FetchFailed("token_invalid", "the access token holds a character no token has")
        host = url.raw_host
        started_at = time.perf_counter()
        try:
            async with self._open().get(
                url, headers={"Authorization": f"Bearer {token}"}, allow_redirects=False
            ) as response:
                yield response
                count(EffectKind.FETCH_MEDIA, result_of(response.status), started_at)
        except aiohttp.ClientConnectorError as error:
            count(EffectKind.FETCH_MEDIA, "no_connection", started_at)
            reason = f"cannot connect to {host}: {error.os_error}"
            raise FetchFailed("unreachable", reason, again=True) from None
        except TimeoutError:
            count(EffectKind.FETCH_MEDIA, "timed_out", started_at)
            raise FetchFailed("timed_out", f"{host} took too long", again=True) from None
        except (aiohttp.ClientError, ValueError) as error:
            # Not its text: it may repeat the address, which holds a key of its own.
            count(EffectKind.FETCH_MEDIA, "broke", started_at)
            reason = f"the answer of {host} broke off: {type(error).__name__}"
            raise FetchFailed("broken_off", reason, again=True) from None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_S),
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                # What counts are the bytes that the SHA-256 is of.
                auto_decompress=False,
                headers={"User-Agent": "whatsapp-sidecar", "Accept-Encoding": "identity"},
            )
        return self._session


async def _chunks(response: aiohttp.ClientResponse, limit: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        size += len(chunk)
        if size > limit:
            raise too_large(size, limit)
        yield chunk


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise FetchFailed("answer_invalid", "the Cloud API's answer is too long", again=True)
    return bytes(content)


def _object(content: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    return value[:255] if isinstance(value, str) else None


def _size(body: dict[str, Any]) -> int | None:
    value = body.get("file_size")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _refusal(response: aiohttp.ClientResponse, body: dict[str, Any]) -> FetchFailed:
    """Return what an error of the Cloud API means."""
    error = body.get("error")
    error = error if isinstance(error, dict) else {}
    code, subcode = error.get("code"), error.get("error_subcode")
    known = code if isinstance(code, int) else None
    what = f"the Cloud API answered {response.status}" + (f" ({known})" if known else "")
    after_s = retry_after_s(response.headers.get("Retry-After"), LONGEST_PAUSE_S)
    if known in _LIMITS or response.status == 429:
        return FetchFailed(
            "limited", what, again=True, counts=False, after_s=after_s or LIMIT_PAUSE_S
        )
    if (code, subcode) in _GONE or (response.status == 404 and known is None):
        return FetchFailed("media_unknown", what, curable=False)
    if response.status == 401 or known in (0, 190):
        return FetchFailed("token_invalid", what, again=True)
    again = may_come_again(response.status) or known == _DOWNLOAD_ERROR
    return FetchFailed("refused", what, again=again, after_s=after_s)


def _address_failed(response: aiohttp.ClientResponse) -> FetchFailed:
    """Return why an address gives nothing. A new one may: it is valid for five minutes only."""
    after_s = retry_after_s(response.headers.get("Retry-After"), LONGEST_PAUSE_S)
    return FetchFailed(
        "download_refused",
        f"the address answered {response.status}",
        again=True,
        counts=response.status != 429,
        after_s=after_s or (LIMIT_PAUSE_S if response.status == 429 else None),
    )
