"""Calls to PHP's internal endpoints: signed, with a time limit, and with errors that tell what
may be concluded from them."""

import time
from contextlib import suppress
from typing import Protocol, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
import orjson
from pydantic import BaseModel, ValidationError
from yarl import URL

from contracts import backend as contract
from contracts.effects import read
from contracts.signing import Audience, Signer
from sidecar.metrics import BACKEND_ITEMS, BACKEND_REQUESTS, BACKEND_SECONDS, METRICS
from sidecar.php.failures import Failures
from sidecar.php.reasons import scrub
from sidecar.settings import Settings
from sidecar.spans import SPANS, Ids, Span, SpanKind, links, since
from sidecar.trace import HEADER, traceparent

Answer = TypeVar("Answer", bound=BaseModel)

#: How the reason begins if somebody has taken the application down on purpose.
IN_MAINTENANCE = "the application is in maintenance"

#: The Content-Type of our requests. Bodies are JSON, but what is called so Laravel decodes before
#: the signature is checked, and walks through every text in it: a quarter of PHP's time for a batch
#: of statuses.
CONTENT_TYPE = "application/octet-stream"

#: No answer of PHP's comes near this: the largest are pages of stored webhooks.
MAX_ANSWER_BYTES = 64 * 1024 * 1024


class BackendError(Exception):
    """A call to PHP did not give an answer that can be used."""


class BackendUnavailable(BackendError):
    """PHP was not reached, or is overloaded or in maintenance (503). It may or may not have
    acted."""


class BackendFailed(BackendError):
    """PHP answered 500, or nonsense, or nothing in time, or broke off (502 is what nginx answers
    then). It may or may not have acted, and it may be this very request that it fails on."""


class BackendMissing(BackendFailed):
    """PHP has no such endpoint: its package is of an earlier version."""


class BackendTimedOut(BackendFailed):
    """No answer in time, here or at what stands in front of PHP (504)."""


class BackendRefused(BackendError):
    """PHP said no (4xx), and nothing happened. ``code`` is its reason code, ``message`` without
    personal data."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code

    def about_items(self) -> BackendUnavailable | BackendFailed:
        """Return what it says of a request about many things: where the route or the keys are
        wrong, or PHP is asked too often, it would refuse any of them; otherwise it may be one of
        them that it does not like."""
        whatever = self.status in (401, 403, 404, 429)
        return (BackendUnavailable if whatever else BackendFailed)(str(self))


class Piggybacked(Protocol):
    """Takes a number along to PHP, in calls that are made anyway (:data:`contract.CARRY_EPOCH`)."""

    def due(self) -> tuple[int, int] | None:
        """Return the number and its time for a call that begins now; None: PHP knows it."""
        ...

    def told(self, number: int) -> None:
        """Note that such a call has succeeded."""
        ...


class Backend:
    """The PHP side, as seen by the sidecar and its workers. Belongs to one event loop."""

    #: The epoch of a process that sends.
    piggybacked: Piggybacked | None = None

    def __init__(
        self, url: str, signer: Signer, *, timeout_s: float, connections: int = 32
    ) -> None:
        self._url = url
        self._path = urlsplit(url).path
        self._signer = signer
        self.timeout_s = timeout_s
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(timeout_s / 2, 3.0))
        self._connections = connections
        self.failures = Failures()
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=20)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def answers(self, timeout_s: float = 2.0) -> bool:
        """Tell whether PHP answers anything, by an unsigned call: PHP refuses it, and it is not
        counted."""
        url = URL(self._url + contract.VENDOR_CONFIG, encoded=True)
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        with suppress(TimeoutError, aiohttp.ClientError):
            async with self.session.post(url, timeout=timeout, allow_redirects=False) as response:
                return response.status < 500
        return False

    async def call(
        self, path: str, request: BaseModel, answer: type[Answer], *, timeout_s: float | None = None
    ) -> Answer:
        """Post ``request`` to ``path`` and return PHP's answer, or raise :class:`BackendError`."""
        body = request.model_dump_json(exclude_unset=True).encode()
        return await self.post(path, body, answer, timeout_s=timeout_s)

    async def post(
        self,
        path: str,
        body: bytes,
        answer: type[Answer],
        *,
        headers: dict[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """Like :meth:`call`, for a body that is made already."""
        started_at, parent = time.perf_counter(), traceparent()
        try:
            traced = {HEADER: parent, **(headers or {})}
            found = await self._post(path, body, answer, traced, timeout_s)
        except BackendError as error:
            _count(path, started_at, type(error).__name__.removeprefix("Backend").lower())
            _trace(path, started_at, parent, str(error))
            if not isinstance(error, BackendRefused) or error.status in (401, 403):
                took_s = time.perf_counter() - started_at
                self.failures.failed(_endpoint(path), str(error), took_s)
            raise
        _count(path, started_at, "ok", found)
        _trace(path, started_at, parent)
        self.failures.worked(_endpoint(path))
        return found

    async def _post(
        self,
        path: str,
        body: bytes,
        answer: type[Answer],
        headers: dict[str, str],
        timeout_s: float | None,
    ) -> Answer:
        epoch = None
        if self.piggybacked and path in contract.CARRY_EPOCH:
            epoch = self.piggybacked.due()
        query = "?epoch={}&at={}".format(*epoch) if epoch else ""
        status, content = await self._exchange(path, query, body, headers, timeout_s)
        if status != 200:
            raise _refusal(path, status, content)
        if self.piggybacked and epoch:
            self.piggybacked.told(epoch[0])
        try:
            return _scrubbed(read(answer, content))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = scrub(".".join(map(str, first["loc"])))
            raise BackendFailed(
                f"{path} answered something else than documented: {where}: {scrub(first['msg'])}"
            ) from None

    async def process_webhook(
        self, vendor_uid: str, body: bytes, signature: str
    ) -> contract.ProcessWebhookAnswer:
        """Hand one raw webhook over, byte for byte, with Meta's signature if it had one."""
        path = contract.PROCESS_WEBHOOK.format(vendor_uid=quote(vendor_uid, safe=""))
        headers = {"X-Hub-Signature-256": signature} if signature else {}
        return await self.post(path, body, contract.ProcessWebhookAnswer, headers=headers)

    async def _exchange(
        self,
        path: str,
        query: str,
        body: bytes,
        headers: dict[str, str],
        timeout_s: float | None,
    ) -> tuple[int, bytes]:
        signed = self._signer.headers("POST", self._path + path + query, body)
        timeout = self._timeout if timeout_s is None else aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self.session.post(
                URL(self._url + path + query, encoded=True),  # as it was signed
                data=body,
                headers={"Content-Type": CONTENT_TYPE, **signed, **headers},
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                return response.status, await _read(path, response)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise BackendUnavailable(f"{path}: cannot connect: {error}") from None
        except TimeoutError:
            raise BackendTimedOut(f"{path}: no answer in time") from None
        except aiohttp.ClientError as error:
            # Not what it says: it may quote what PHP answered.
            raise BackendFailed(f"{path}: {type(error).__name__}") from None


async def _read(path: str, response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            response.close()
            raise BackendFailed(f"{path} answered more than {MAX_ANSWER_BYTES} bytes")
    return bytes(content)


def _scrubbed(answer: Answer) -> Answer:
    """Return an answer without personal data in its reasons."""
    changed: dict[str, object] = {}
    if isinstance(answer, contract.UpdateResult | contract.ProcessWebhookAnswer) and answer.reason:
        changed["reason"] = scrub(answer.reason)
    results = getattr(answer, "results", None)
    if isinstance(results, list) and any(getattr(one, "reason", None) for one in results):
        changed["results"] = [_scrubbed(one) for one in results]
    return answer.model_copy(update=changed) if changed else answer


def _refusal(path: str, status: int, content: bytes) -> BackendError:
    if status == 504:
        return BackendTimedOut(f"{path} answered {status}")
    detail = None
    if 400 <= status < 500 or status == 503:
        with suppress(ValidationError):
            detail = contract.ErrorAnswer.model_validate_json(content).error
    if status == 503:
        if detail is not None and detail.code == contract.ErrorCode.MAINTENANCE:
            return BackendUnavailable(f"{IN_MAINTENANCE}: {path} answered 503")
        return BackendUnavailable(f"{path} answered 503: in maintenance, or too busy")
    if detail is not None:
        return BackendRefused(status, scrub(detail.code), scrub(detail.message))
    if status == 429:
        return BackendUnavailable(f"{path} answered {status}")
    # Not what it answered: an error page may repeat the request, which is a customer's.
    failed = BackendMissing if status == 404 else BackendFailed
    return failed(f"{path} answered {status}; PHP's log says why")


def _endpoint(path: str) -> str:
    return path.removeprefix("/internal/").partition("/")[0]


def _count(path: str, started_at: float, result: str, answer: BaseModel | None = None) -> None:
    endpoint = _endpoint(path)
    METRICS.counter(BACKEND_REQUESTS, endpoint, result).add()
    METRICS.histogram(BACKEND_SECONDS, endpoint).observe(time.perf_counter() - started_at)
    if answer is not None:
        lists = [len(value) for _, value in answer if isinstance(value, list)]
        METRICS.counter(BACKEND_ITEMS, endpoint).add(lists[0] if lists else 1)


def _trace(path: str, started_at: float, parent: str, error: str = "") -> None:
    """Record a call as the span that PHP was told of."""
    if not SPANS.on:
        return
    _, trace, span, _ = parent.split("-")
    began, ended = since(time.perf_counter() - started_at)
    SPANS.add(
        Span(
            f"php {_endpoint(path)}",
            Ids(trace, span),
            began,
            ended,
            SpanKind.CLIENT,
            links=links(),
            error=error,
        )
    )


def encode(value: object) -> bytes:
    """Return the JSON of a request that was put together from plain values."""
    return orjson.dumps(value)


def make_backend(settings: Settings) -> Backend:
    """Return the PHP side as these settings describe it."""
    key_id = settings.signing_key_id
    signer = Signer(Audience.BACKEND, key_id, settings.signing_secrets[key_id])
    return Backend(settings.backend_url, signer, timeout_s=settings.backend_timeout_s)
