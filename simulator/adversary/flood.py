"""Sends what attackers post, with a bounded number of connections."""

import contextlib
import http.client
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event, Lock

from contracts.cloud_api.webhook import SIGNATURE_HEADER
from simulator.adversary.payloads import Post

#: More would be a contest for the processor, which is not what is asked here.
CONNECTIONS = 3
_ANSWER_S = 15.0
_TRICKLE_S = 0.5


@dataclass(frozen=True, slots=True)
class Posted:
    """``status`` is 0 where no answer came."""

    post: Post
    status: int

    @property
    def acknowledged(self) -> bool:
        return self.status == 200


class Flood:
    """Posts webhooks at their times, on a few threads of its own. ``port`` is nginx's."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = Lock()
        self._over = Event()
        #: What has been posted so far.
        self.posted: list[Posted] = []

    def run(self, posts: Sequence[Post], *, paced: bool = True) -> None:
        """Return when all have been answered, or :meth:`end` was called."""
        began = time.monotonic()
        waiting = iter(sorted(posts, key=lambda post: post.at_s))
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            for _ in range(CONNECTIONS):
                threads.submit(self._work, waiting, began if paced else 0.0)

    def end(self) -> None:
        """Post nothing more."""
        self._over.set()

    def _work(self, waiting: Iterator[Post], began: float) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_ANSWER_S)
        with contextlib.closing(connection):
            while not self._over.is_set():
                with self._lock:
                    post = next(waiting, None)
                if post is None:
                    return
                self._over.wait(max(0.0, began + post.at_s - time.monotonic()))
                posted = Posted(post, _answered(connection, post))
                with self._lock:
                    self.posted.append(posted)


def _answered(connection: http.client.HTTPConnection, post: Post) -> int:
    headers = {SIGNATURE_HEADER: post.signature, "Content-Type": "application/json"}
    try:
        connection.request("POST", f"/whatsapp-webhook/{post.vendor_uid}", post.body, headers)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return 0
    return answer.status


def dawdle(port: int, vendor_uid: str, clients: int, over: Event) -> None:
    """Open connections that never come to their end, until ``over``: half of them do not end their
    headers, the others their bodies."""
    head = f"POST /whatsapp-webhook/{vendor_uid} HTTP/1.1\r\nHost: x\r\n".encode()
    upload = head + b"Content-Length: 3000000\r\n\r\n" + b"x" * 200_000
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5.0))
            for _ in range(clients)
        ]
        for position, connection in enumerate(connections):
            _trickle(connection, upload if position % 2 else head)
        while not over.wait(_TRICKLE_S):
            for position, connection in enumerate(connections):
                _trickle(connection, b"x" if position % 2 else b"X-Slow: 1\r\n")


def _trickle(connection: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):  # nginx has had enough
        connection.sendall(data)
