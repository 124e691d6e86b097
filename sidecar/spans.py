"""Spans for OpenTelemetry: webhooks, claims, calls to PHP, sends, and the statuses of these.

Nothing is made or sent unless ``otlp_url`` is set. Spans are then posted there as OTLP in JSON
(https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding) by a task that nobody waits for:
what it is not rid of in time is dropped, and counted.

Nothing is carried along for it, neither in Redis nor to the Cloud API. Whether a webhook or a
message is recorded, and the ids of its span, follow from its name (the place in the inbox, the
row's uid), so that whoever handles it next links to what another process has recorded.
"""

import secrets
import socket
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256
from itertools import islice
from typing import Any, NamedTuple

import aiohttp
import orjson

from sidecar.logs import LogOnce
from sidecar.metrics import METRICS, SPANS_EXPORTED
from sidecar.tasks import tick
from sidecar.version import VERSION

#: Spans that wait to be posted at most, and those of one post.
MAX_WAITING = 4096
BATCH = 512
#: How often they are posted, and how long a post may take.
EVERY_S = 1.0
TIMEOUT_S = 5.0
#: Links of one span. A batch may hold thousands of webhooks.
MAX_LINKS = 64

_SHARES = 2**32


class Ids(NamedTuple):
    """Of which span of which trace, in hexadecimal digits."""

    trace: str
    span: str


class SpanKind(IntEnum):
    """As OTLP counts them."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3


@dataclass(frozen=True, slots=True)
class Span:
    """``parent`` is the id of a span of the same trace. Times are unix ns. ``attributes`` hold
    neither phone numbers nor texts; ``error`` says why it failed."""

    name: str
    ids: Ids
    began: int
    ended: int
    kind: SpanKind = SpanKind.INTERNAL
    parent: str = ""
    attributes: Mapping[str, str | int] = field(default_factory=dict)
    links: Sequence[Ids] = ()
    error: str = ""


class Spans:
    """What this process has recorded and not posted yet. Off at first."""

    def __init__(self) -> None:
        self._below = 0
        self._waiting: deque[Span] = deque()

    @property
    def on(self) -> bool:
        return self._below > 0

    def record(self, share: float) -> None:
        """Record this share of the webhooks and messages from now on; 0: nothing any more."""
        self._below = int(share * _SHARES)
        if not self.on:
            self._waiting.clear()

    def ids_of(self, name: str) -> Ids | None:
        """Return the ids of the span of a webhook or a message, if it is one of the recorded."""
        if not self.on:
            return None
        digest = _digest(name)
        return _ids(digest) if int(digest[48:56], 16) < self._below else None

    def ids_of_all(self, names: Sequence[str]) -> list[Ids]:
        """Return those of the recorded ones of these, as many as a span may link to."""
        found = (self.ids_of(name) for name in dict.fromkeys(names)) if self.on else iter(())
        return list(islice((ids for ids in found if ids is not None), MAX_LINKS))

    def add(self, span: Span) -> None:
        """Have a span posted, or drop it if too many wait."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(span)
        else:
            METRICS.counter(SPANS_EXPORTED, "dropped").add()

    def take(self, count: int) -> list[Span]:
        """Return the oldest ones, which are posted by whoever has them."""
        return [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]


#: Those of this process.
SPANS = Spans()

_links: ContextVar[Sequence[Ids]] = ContextVar("links", default=())


@contextmanager
def linked(links: Sequence[Ids]) -> Iterator[None]:
    """Let the spans of calls inside the block link to these."""
    token = _links.set(links)
    try:
        yield
    finally:
        _links.reset(token)


def links() -> Sequence[Ids]:
    """Return what the span of a call made here links to."""
    return _links.get()


def named(name: str) -> Ids:
    """Return the ids of the span of something with a name, whether or not it is recorded."""
    return _ids(_digest(name))


def new_span() -> str:
    """Return the id of a span that nobody else refers to."""
    return secrets.token_hex(8)


def since(seconds: float) -> tuple[int, int]:
    """Return when something began and ended that has just taken so long."""
    now = time.time_ns()
    return now - int(seconds * 1e9), now


def _digest(name: str) -> str:
    return sha256(name.encode()).hexdigest()


def _ids(digest: str) -> Ids:
    return Ids(digest[:32], digest[32:48])


class SpanExporter:
    """Posts what this process records. What is not taken is lost, and counted: it is tried once."""

    def __init__(self, url: str, role: str, spans: Spans = SPANS) -> None:
        self._url = url
        self._spans = spans
        self._resource = {
            "service.name": "whatsapp-sidecar",
            "service.version": VERSION,
            "service.instance.id": f"{role}@{socket.gethostname()}",
        }
        self._session: aiohttp.ClientSession | None = None
        self._outage = LogOnce("spans.not_exported")

    async def run(self) -> None:
        """Post until cancelled."""
        while True:
            await tick(EVERY_S)
            await self.flush()

    async def flush(self) -> None:
        """Post what waits, until the collector does not take some of it."""
        while batch := self._spans.take(BATCH):
            try:
                await self._post(batch)
            except (aiohttp.ClientError, TimeoutError) as error:
                METRICS.counter(SPANS_EXPORTED, "failed").add(len(batch))
                self._outage.failed(str(error) or type(error).__name__)
                return
            METRICS.counter(SPANS_EXPORTED, "exported").add(len(batch))
            self._outage.worked()

    async def close(self) -> None:
        """Record nothing any more, and post what is left, once."""
        await self.flush()
        self._spans.record(0)
        if self._session is not None:
            await self._session.close()

    async def _post(self, batch: list[Span]) -> None:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
            self._session = aiohttp.ClientSession(timeout=timeout)
        headers = {"Content-Type": "application/json"}
        body = orjson.dumps(_otlp(batch, self._resource))
        async with self._session.post(self._url, data=body, headers=headers) as answer:
            answer.raise_for_status()


def make_exporter(url: str | None, share: float, role: str) -> SpanExporter | None:
    """Begin to record, and return what posts it; None if it is off."""
    if url is None:
        return None
    SPANS.record(share)
    return SpanExporter(url, role)


def _otlp(batch: list[Span], resource: Mapping[str, str | int]) -> dict[str, Any]:
    """Return an ``ExportTraceServiceRequest``."""
    scope = {"scope": {"name": "sidecar"}, "spans": [_span(span) for span in batch]}
    return {
        "resourceSpans": [
            {"resource": {"attributes": _attributes(resource)}, "scopeSpans": [scope]}
        ]
    }


def _span(span: Span) -> dict[str, Any]:
    return {
        "traceId": span.ids.trace,
        "spanId": span.ids.span,
        "parentSpanId": span.parent,
        "name": span.name,
        "kind": span.kind.value,
        # 64 bits are more than a number in JSON holds.
        "startTimeUnixNano": str(span.began),
        "endTimeUnixNano": str(span.ended),
        "attributes": _attributes(span.attributes),
        "links": [{"traceId": one.trace, "spanId": one.span} for one in span.links],
        "status": {"code": 2, "message": span.error} if span.error else {},
    }


def _attributes(values: Mapping[str, str | int]) -> list[dict[str, Any]]:
    return [
        {
            "key": name,
            "value": {"stringValue": value} if isinstance(value, str) else {"intValue": str(value)},
        }
        for name, value in values.items()
    ]
