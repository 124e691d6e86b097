"""Requests that are answered without the application: no task, no ASGI messages.

Both cost more than all that a webhook needs. What takes such a request gets its body in one piece,
returns at once, and answers when it can. Everything else about the connection is uvicorn's, and a
request that nobody takes goes the usual way.
"""

from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

#: Sends the answer: its status and its text.
Answer = Callable[[int, bytes], None]
#: Takes a request whose body is complete. Returns False if the application has to answer it.
Take = Callable[[bytes, Answer], bool]
#: Returns what takes the request of an ASGI scope once its body is complete, if anything does.
Taker = Callable[[Any], Take | None]

#: Larger bodies are the application's: uvicorn makes the client wait while one is read.
MAX_BODY_BYTES = HIGH_WATER_LIMIT


def nothing(scope: Any) -> Take | None:
    """Take no request."""
    return None


class DirectProtocol(HttpToolsProtocol):
    """A connection whose requests ``taker`` may take."""

    taker: Taker = staticmethod(nothing)
    _begun: tuple[RequestResponseCycle, Any, Take] | None = None  # its body is not complete

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        take = None if cycle.waiting_for_100_continue else self.taker(cycle.scope)
        if take is None:
            super()._start_asgi_task(cycle, app)
        elif cycle.more_body:
            self._begun = cycle, app, take
        else:
            self._offer(cycle, app, take)

    def _offer(self, cycle: RequestResponseCycle, app: Any, take: Take) -> None:
        def answer(status: int, text: bytes) -> None:
            self._answer(cycle, status, text)

        if not take(bytes(cycle.body), answer):
            super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        cycle = self.cycle
        if cycle.body or cycle.response_complete or len(body) > HIGH_WATER_LIMIT:
            super().on_body(body)
            return
        cycle.body = cast(bytearray, body)  # as it came: uvicorn would copy it, and copy it again
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self._begun is not None:
            begun, self._begun = self._begun, None
            self._offer(*begun)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._begun is not None:  # the application says what was broken off
            (cycle, app, _), self._begun = self._begun, None
            super()._start_asgi_task(cycle, app)

    def _answer(self, cycle: RequestResponseCycle, status: int, text: bytes) -> None:
        """Answer as uvicorn would."""
        if cycle.disconnected:
            return
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        self.transport.write(
            b"%bcontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n%b\r\n%b"
            % (
                STATUS_LINE[status],
                len(text),
                b"" if cycle.keep_alive else b"connection: close\r\n",
                text,
            )
        )
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
