"""Waking the workers: one Dramatiq message per batch of work, sent from a thread of its own.

``Broker.enqueue`` blocks for a round trip, so it never runs on the event loop. A wake-up that
fails is only logged: the reconciler in the workers sends another for whatever is not finished.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from redis.backoff import NoBackoff
from redis.retry import Retry

from contracts.jobs import Job
from sidecar.logs import LogOnce
from sidecar.redis.client import RedisUnavailable, blocking_pool, reason_of

#: How many of a million commands also clean up after dead workers: all, for a worker that waits
#: makes one every few seconds. With Dramatiq's default (0.1 %) it would take an idle one hours.
MAINTENANCE_CHANCE = 1_000_000

#: A wake-up that failed longer ago says nothing of now: none was sent since.
FRESH_S = 15.0


class WakeUpBroker(RedisBroker):
    """A Redis broker without middleware and without delayed messages.

    No retries, no time limits, no results: the state machines of inbox and ledger do all that.
    No delays either: they block each other (Dramatiq #431), ours are in sorted sets of our own;
    and a consumer that polls for none costs as much as one that polls for something.

    ``timeout_s``: calls that Redis does not answer fail after that time. Without it, redis-py
    decides, which may take minutes; that is for processes that only consume.
    """

    def __init__(
        self, url: str, *, heartbeat_timeout_ms: int = 30_000, timeout_s: float | None = None
    ) -> None:
        options: dict[str, Any] = {}
        if timeout_s is not None:
            options = {
                "socket_timeout": timeout_s,
                "socket_connect_timeout": timeout_s,
                "retry": Retry(NoBackoff(), 0),
            }
        super().__init__(  # type: ignore[no-untyped-call]
            client=redis.Redis(connection_pool=blocking_pool(url, **options)),
            middleware=[],
            maintenance_chance=MAINTENANCE_CHANCE,
            heartbeat_timeout=heartbeat_timeout_ms,
        )

    def declare_queue(self, queue_name: str) -> None:
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def _dispatch(self, command: str) -> Callable[..., Any]:
        dispatch = super()._dispatch(command)  # type: ignore[no-untyped-call]

        def call(*arguments: Any) -> Any:
            try:
                return dispatch(*arguments)
            except (*RedisUnavailable, redis.ResponseError) as error:
                # A Redis that is full, read-only or slow. To Dramatiq only a broken connection
                # passes; of anything else it says in the log that it is a bug of its own.
                raise redis.ConnectionError(reason_of(error)) from error

        return call

    def close(self) -> None:
        self.client.connection_pool.disconnect()


def message(job: Job) -> "dramatiq.Message[None]":
    """Return the wake-up for a job."""
    return dramatiq.Message(
        queue_name=job.queue.value,
        actor_name=job.actor,
        args=job.args,
        kwargs={},
        options={},
    )


class Wakeups:
    """Sends wake-ups from any thread, without blocking it. One that is still queued stands for
    all that are requested meanwhile."""

    def __init__(self, broker: dramatiq.Broker) -> None:
        self._broker = broker
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="wakeups")
        self._lock = threading.Lock()
        self._waiting: set[Job] = set()
        self._outage = LogOnce("wakeup.failed")
        self._failed_at = 0.0
        self.sent = 0

    @property
    def failing(self) -> str | None:
        """Why no wake-up can be sent now, as far as is known."""
        fresh = time.monotonic() - self._failed_at < FRESH_S
        return self._outage.reason if fresh else None

    def send(self, job: Job) -> None:
        """Wake a worker for this job, soon."""
        with self._lock:
            if job in self._waiting:
                return
            self._waiting.add(job)
        self._thread.submit(self._send_now, job)

    def _send_now(self, job: Job) -> None:
        with self._lock:
            self._waiting.discard(job)
        try:
            self._broker.enqueue(message(job))
        except Exception as error:  # noqa: BLE001 - any broker's error means the same here
            self._failed_at = time.monotonic()
            self._outage.failed(f"{type(error).__name__}: {error}")
        else:
            self.sent += 1
            self._outage.worked()

    def close(self) -> None:
        """Send the queued wake-ups, then stop."""
        self._thread.shutdown(wait=True)
        self._broker.close()
