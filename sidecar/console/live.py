"""Pages that change while somebody looks, by server-sent events, and reads that viewers share.

Nothing is read while nobody is connected.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Generic, TypeVar

import anyio
from markupsafe import escape
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response

from sidecar.console.page import console_of
from sidecar.console.sessions import User
from sidecar.php.client import BackendError
from sidecar.redis.client import AnyRedisError, reason_of

T = TypeVar("T")

#: Returns what the page's elements hold now, as HTML, by their ids.
Fragments = Callable[[], Awaitable[Mapping[str, str]]]

#: How often a page's session is looked at while nothing else is asked of the console.
SESSION_EVERY_S = 10.0
#: A client that does not take what it is sent for so long is given up.
SEND_TIMEOUT_S = 20.0
#: How long a read that is under way may go on when the process ends.
GRACE_S = 1.0


def live(request: Request, user: User, every_s: float, fragments: Fragments) -> Response:
    """Return a stream that sends each fragment when it has changed: the event's name is the
    element's id, its data the element's new content. The stream ends with the session (event
    ``ended``). Where a read fails, event ``trouble`` says why, and the next one is tried."""
    closing = anyio.Event()
    return EventSourceResponse(
        _events(request, user, every_s, fragments, closing),
        send_timeout=SEND_TIMEOUT_S,
        sep="\n",
        shutdown_event=closing,
        shutdown_grace_period=GRACE_S,
    )


async def _events(
    request: Request, user: User, every_s: float, fragments: Fragments, closing: anyio.Event
) -> AsyncIterator[ServerSentEvent]:
    sessions = console_of(request).sessions
    sent: dict[str, str] = {}
    looked = time.monotonic()
    while not closing.is_set():
        try:
            if time.monotonic() - looked >= min(SESSION_EVERY_S, every_s):
                looked = time.monotonic()
                if await sessions.look(user.session) is None:
                    yield ServerSentEvent("", event="ended", sep="\n")
                    return
            found: dict[str, str] = {"trouble": "", **await fragments()}
        except (BackendError, *AnyRedisError) as error:
            found = {"trouble": escape(f"These figures stand still: {reason_of(error)}")}
        for name, content in found.items():
            if sent.get(name, "" if name == "trouble" else None) != content:
                sent[name] = content
                yield ServerSentEvent(content, event=name, sep="\n")
        with anyio.move_on_after(every_s):
            await closing.wait()


class Shared(Generic[T]):
    """A read that all who look share: one at a time, whose result holds for ``for_s``."""

    def __init__(self, read: Callable[[], Awaitable[T]], for_s: float = 1.0) -> None:
        self._read = read
        self._for_s = for_s
        self._lock = asyncio.Lock()
        self._found: list[T] = []
        self._until = 0.0

    async def get(self) -> T:
        """Return what was read a moment ago, or read it. Raises what the read raises."""
        async with self._lock:
            if not self._found or time.monotonic() >= self._until:
                self._found = [await self._read()]
                self._until = time.monotonic() + self._for_s
            return self._found[0]
