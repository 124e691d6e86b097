"""Pages that change while somebody looks, by server-sent events, and reads that viewers share.

Nothing is read while nobody is connected.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

import anyio
from markupsafe import escape
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from sidecar.console.page import console_of
from sidecar.console.sessions import User
from sidecar.console.streams import Streams
from sidecar.php.client import BackendError
from sidecar.redis.client import AnyRedisError, reason_of

T = TypeVar("T")

#: Returns what the page's elements hold now, as HTML, by their ids.
Fragments = Callable[[], Awaitable[Mapping[str, str]]]

#: A client that does not take what it is sent for so long is given up.
SEND_TIMEOUT_S = 20.0
#: How long a stream waits for a read that others of its fragments do not need.
PATIENCE_S = 0.2
#: How long a read that is under way may go on when the process ends.
GRACE_S = 1.0
#: A read that takes more processor time than this is dear: with ten thousand vendors some take a
#: second. It is made so seldom that it takes this share of a core, but once a minute at least.
DEAR_S = 0.05
DEAR_SHARE = 0.02
MAX_HOLD_S = 60.0


def live(request: Request, user: User, every_s: float, fragments: Fragments) -> Response:
    """Return a stream that sends each fragment when it has changed: the event's name is the
    element's id, its data the element's new content. The stream ends with the session (event
    ``ended``). Where a read fails, event ``trouble`` says why, and the next one is tried. If too
    many are open, 429."""
    streams = console_of(request).streams
    if streams.full(user.session):
        return PlainTextResponse("too many live pages are open", 429)
    closing = anyio.Event()
    return _Stream(
        streams,
        user.session,
        _events(request, user, every_s, fragments, closing),
        send_timeout=SEND_TIMEOUT_S,
        sep="\n",
        shutdown_event=closing,
        shutdown_grace_period=GRACE_S,
    )


class _Stream(EventSourceResponse):
    """Counts as open until it has ended, however that was."""

    def __init__(self, streams: Streams, session: str, *content: Any, **options: Any) -> None:
        super().__init__(*content, **options)
        self._streams = streams
        self._session = session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._streams.counted(self._session):
            await super().__call__(scope, receive, send)


async def _events(
    request: Request, user: User, every_s: float, fragments: Fragments, closing: anyio.Event
) -> AsyncIterator[ServerSentEvent]:
    sessions = console_of(request).sessions
    sent = {"trouble": ""}
    while not closing.is_set():
        try:
            if await sessions.look(user.session) is None:
                yield ServerSentEvent("", event="ended", sep="\n")
                return
            found: dict[str, str] = {"trouble": "", **await fragments()}
        except (BackendError, *AnyRedisError) as error:
            found = {"trouble": escape(f"These figures stand still: {reason_of(error)}")}
        for name, content in found.items():
            if sent.get(name) != content:
                sent[name] = content
                yield ServerSentEvent(content, event=name, sep="\n")
        with anyio.move_on_after(every_s):
            await closing.wait()


class Shared(Generic[T]):
    """A read that all who look share: one at a time, whose result holds for ``for_s``; that of a
    dear one for longer, when streams ask (:meth:`latest`)."""

    def __init__(self, read: Callable[[], Awaitable[T]], for_s: float = 1.0) -> None:
        self._read = read
        self._for_s = for_s
        self._found: list[T] = []
        self._until = self._live_until = 0.0
        self._reading: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """Return what was read a moment ago, or read it. Raises what the read raises."""
        if self._found and time.monotonic() < self._until:
            return self._found[0]
        # Whoever goes away while it is read does not end it for the others.
        return await asyncio.shield(self._task())

    async def latest(self) -> T:
        """The same, but for a read that takes longer: then what was read before, if anything was.
        For streams, in which other things go on meanwhile."""
        if self._found and time.monotonic() < self._live_until:
            return self._found[0]
        if not self._found:
            return await self.get()
        task = self._task()
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_S)
        return task.result() if done else self._found[0]

    def _task(self) -> asyncio.Task[T]:
        if self._reading is None:
            self._reading = asyncio.create_task(self._refresh(), name="console")
            # Also where nobody waits for it any more.
            self._reading.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._reading

    async def _refresh(self) -> T:
        began = time.thread_time()
        try:
            found = await self._read()
            now, cpu_s = time.monotonic(), time.thread_time() - began
            self._found, self._until = [found], now + self._for_s
            hold_s = min(cpu_s / DEAR_SHARE, MAX_HOLD_S) if cpu_s > DEAR_S else 0.0
            self._live_until = now + max(self._for_s, hold_s)
            return found
        finally:
            self._reading = None
