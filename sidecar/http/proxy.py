"""Forwards a webhook to PHP's own route, and PHP's answer back.

For vendors whose webhooks PHP handles (mode ``php`` or ``shadow``). The body stays in memory until
PHP has answered, because a webhook that PHP fails on may be kept (sidecar/http/webhook.py); so the
bytes in flight are bounded. PHP's answer is streamed back.

A webhook may reach PHP more than once: if PHP took it but the time ran out or the connection broke,
it is kept; if PHP closed a reused connection just as the webhook went out on it, it is sent again
on a new one. PHP recognises duplicates by the message's id, as it must anyway: Meta repeats
webhooks too.
"""

import asyncio
import io
import time
from dataclasses import dataclass, field
from types import SimpleNamespace

import aiohttp
import structlog
from multidict import CIMultiDict, istr
from starlette.types import Scope, Send
from yarl import URL

from sidecar.http.proxy_headers import PROXIED, Header, from_php, goes_round, to_php
from sidecar.metrics import METRICS, PROXY_SECONDS
from sidecar.url import webhook_url

log = structlog.get_logger()

#: How much of an answer is read before any of it goes back: PHP's "done", and most error pages.
BEGINNING_BYTES = 64 * 1024
#: Time limit for the rest of a larger one.
REST_S = 60.0

#: Memory that a webhook takes besides its body: two connections' buffers, and bookkeeping.
OVERHEAD_BYTES = 16 * 1024

#: aiohttp warns of larger ones, which it would write at one go.
_AT_ONE_GO_BYTES = 1024 * 1024
_TEXT: Header = (b"content-type", b"text/plain; charset=utf-8")
_WITHOUT_BODY = (204, 304)
_NOTHING_OF_OURS = frozenset(map(istr, ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")))


@dataclass(slots=True)
class ProxyAnswer:
    """PHP's answer, or one in its place. ``rest`` is the part of the body still to come.
    ``failure``: why PHP did not answer the webhook. ``busy``: PHP was not asked, because too much
    is in flight; ``looped``: because a sidecar sent this very request."""

    status: int
    headers: list[Header]
    body: bytes
    rest: aiohttp.ClientResponse | None = None
    failure: str | None = None
    busy: bool = False
    looped: bool = False

    def close(self) -> None:
        """Discard the rest of the body."""
        if self.rest is not None:
            self.rest.close()

    async def send_to(self, send: Send) -> None:
        """Send this as the answer. If PHP's answer breaks off, so does this."""
        headers = self.headers if self.busy else [*self.headers, (PROXIED, b"1")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if self.rest is None:
            await send({"type": "http.response.body", "body": self.body})
            return
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        try:
            async with asyncio.timeout(REST_S):
                async for piece in self.rest.content.iter_any():
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("proxy.answer_aborted", reason=_reason(error))
            return
        finally:
            self.rest.close()
        await send({"type": "http.response.body", "body": b""})


@dataclass(slots=True)
class _Attempt:
    """Whether it went out on a connection that was there already."""

    reused: bool = False


@dataclass
class Proxy:
    """Forwards to PHP's webhook route below ``backend_url``. Belongs to one event loop.

    A webhook has ``timeout_s`` in all, including the wait for one of ``concurrency`` connections.
    With more than ``limit_bytes`` of webhooks in flight, PHP is not asked.
    """

    backend_url: str
    timeout_s: float
    concurrency: int
    limit_bytes: int
    _in_flight: int = 0
    _session: aiohttp.ClientSession | None = field(default=None)

    async def ask(self, vendor_uid: str, scope: Scope, body: bytes, since: float) -> ProxyAnswer:
        """Forward a webhook. ``since`` is when its body was complete, by ``time.perf_counter``.
        Never raises: if PHP gives no answer, returns a 502, 503 or 504 in its place."""
        if goes_round(scope):
            log.error("proxy.loop", hint="backend_url leads back to the sidecar")
            return _in_place(508, "proxy_loop", "backend_url leads to the sidecar", looped=True)
        size = len(body) + OVERHEAD_BYTES
        if self._in_flight and self._in_flight + size > self.limit_bytes:
            _observe("busy", since)
            return _in_place(503, "proxy_busy", "too much is on its way to PHP", busy=True)
        self._in_flight += size
        try:
            result, answer = await self._ask(vendor_uid, scope, body, since)
        finally:
            self._in_flight -= size
        _observe(result, since)
        return answer

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(
        self, vendor_uid: str, scope: Scope, body: bytes, since: float
    ) -> tuple[str, ProxyAnswer]:
        url = webhook_url(self.backend_url, vendor_uid, scope["query_string"])
        try:
            async with asyncio.timeout(self.timeout_s - (time.perf_counter() - since)):
                response = await self._post(url, to_php(scope), body)
                return await _answer(response, scope)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return "unreachable", _in_place(502, "php_unreachable", _reason(error))
        except TimeoutError:
            return "timed_out", _in_place(504, "php_timed_out", "PHP gave no answer in time")
        except aiohttp.ClientError as error:
            return "broken_off", _in_place(502, "php_broke_off", _reason(error))

    async def _post(
        self, url: URL, headers: CIMultiDict[str], body: bytes
    ) -> aiohttp.ClientResponse:
        """Return the beginning of PHP's answer. If PHP has closed a reused connection meanwhile,
        send the webhook once more."""
        while True:
            attempt = _Attempt()
            try:
                return await self._open().post(
                    url,
                    data=body if len(body) <= _AT_ONE_GO_BYTES else io.BytesIO(body),
                    headers=headers,
                    skip_auto_headers=_NOTHING_OF_OURS,
                    allow_redirects=False,
                    trace_request_ctx=attempt,
                )
            except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError):
                raise
            except aiohttp.ClientConnectionError:
                if not attempt.reused:
                    raise

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            tracing = aiohttp.TraceConfig()
            tracing.on_connection_reuseconn.append(_mark_reused)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self.concurrency, keepalive_timeout=20),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trace_configs=[tracing],
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=self.timeout_s, sock_read=self.timeout_s
                ),
            )
        return self._session


async def _mark_reused(
    session: aiohttp.ClientSession,
    context: SimpleNamespace,
    params: aiohttp.TraceConnectionReuseconnParams,
) -> None:
    context.trace_request_ctx.reused = True


async def _answer(response: aiohttp.ClientResponse, scope: Scope) -> tuple[str, ProxyAnswer]:
    """Read the beginning of PHP's answer, or all of it."""
    try:
        pieces, size, whole = [], 0, False
        while size < BEGINNING_BYTES and not whole:
            pieces.append(await response.content.readany())
            size += len(pieces[-1])
            whole = not pieces[-1]
    except BaseException:
        response.close()
        raise
    answer = ProxyAnswer(response.status, from_php(response.raw_headers), b"".join(pieces))
    length = response.headers.get("Content-Length")
    if whole:
        length = str(size)
    else:
        answer.rest = response
    if length is not None and answer.status not in _WITHOUT_BODY:
        answer.headers.append((b"content-length", length.encode()))
    elif not whole and scope.get("http_version") == "1.0":
        response.close()  # which knows no chunks, so it could not tell where the body ends
        return "failed", _in_place(502, "php_answer_endless", "the answer is of unknown length")
    if not 200 <= answer.status <= 599:
        response.close()
        return "failed", _in_place(502, "php_nonsense", f"PHP answered {answer.status}")
    if answer.status >= 500:
        answer.failure = f"PHP answered {answer.status}"
        return "failed", answer
    return "answered", answer


def _in_place(
    status: int, word: str, failure: str, *, busy: bool = False, looped: bool = False
) -> ProxyAnswer:
    body = word.encode()
    headers = [_TEXT, (b"content-length", b"%d" % len(body))]
    return ProxyAnswer(status, headers, body, failure=failure, busy=busy, looped=looped)


def _observe(result: str, since: float) -> None:
    METRICS.histogram(PROXY_SECONDS, result).observe(time.perf_counter() - since)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
