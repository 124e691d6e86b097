"""How a worker process waits for wake-ups.

Dramatiq's consumers ask Redis for messages again and again, and its threads look as often whether
there is something for them: at 20 ms that is 200 commands and 400 wake-ups of a thread a second,
for four queues in which nothing happens. Here they wait: each consumer in a command that Redis
answers when something comes, and the threads until there is something to do.

That command puts the oldest wake-up of a queue where it stands already (``BLMOVE queue queue``). It
takes nothing out, so nothing is lost with it, and Dramatiq fetches as ever. All workers that wait
for a queue hear of a wake-up, and one of them gets it.
"""

import threading
import time
from queue import PriorityQueue
from typing import Any

import dramatiq.worker
import redis
from dramatiq.brokers.redis import _RedisConsumer
from dramatiq.errors import ConnectionClosed
from redis.backoff import NoBackoff
from redis.retry import Retry

from sidecar.inbox.wakeups import WakeUpBroker
from sidecar.redis.client import RedisUnavailable, blocking_pool, reason_of

#: Longest that a consumer waits at a time. Well below the time after which Dramatiq takes a worker
#: for dead that it has not heard of.
WAIT_S = 10.0

#: How long Redis may take beyond that to answer.
ANSWER_S = 3.0

#: After Redis was away a consumer begins anew so much later. Dramatiq's own 3 s are longer than
#: another primary takes to be there, and come twice where it is not yet.
RESTART_S = 1.0
dramatiq.worker.CONSUMER_RESTART_DELAY_SECS = RESTART_S

#: How often threads look where they have nobody to wake them: a consumer that has as much as it may
#: take, and all of them while the worker stops.
POLL_S = 0.02


class WorkerBroker(WakeUpBroker):
    """A broker whose consumers wait inside Redis."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._waiting = blocking_pool(
            url, socket_connect_timeout=ANSWER_S, retry=Retry(NoBackoff(), 0)
        )
        # Whatever the URL says: that is for commands that are answered at once.
        self._waiting.connection_kwargs["socket_timeout"] = WAIT_S + ANSWER_S
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 0) -> "Consumer":
        return Consumer(self, queue_name, prefetch)

    def wait_for_messages(self, queue_name: str) -> None:
        """Return as soon as there are messages, or after :data:`WAIT_S`. Raises what redis-py
        raises."""
        if self._stopping.is_set():
            time.sleep(POLL_S)
            return
        connection = self._waiting.get_connection()
        try:
            with self._lock:
                if self._stopping.is_set():
                    return
                key = f"{self.namespace}:{queue_name}"
                connection.send_command("BLMOVE", key, key, "LEFT", "LEFT", WAIT_S)  # type: ignore[no-untyped-call]
            connection.read_response()
        except RedisUnavailable:
            if not self._stopping.is_set():
                raise
        finally:
            self._waiting.release(connection)

    def stop_waiting(self) -> None:
        """Have those that wait return, and nobody wait from now on."""
        with self._lock:
            self._stopping.set()
        self._waiting.disconnect()

    def close(self) -> None:
        self._waiting.disconnect()
        super().close()


class Consumer(_RedisConsumer):
    """Dramatiq's, which waits for messages instead of sleeping for a while."""

    def __init__(self, broker: WorkerBroker, queue_name: str, prefetch: int) -> None:
        super().__init__(broker, queue_name, prefetch, timeout=0)  # type: ignore[no-untyped-call]

    def __next__(self) -> Any:
        message = super().__next__()  # type: ignore[no-untyped-call]
        if message is None:
            self._wait()
        return message

    def _wait(self) -> None:
        if self.outstanding_message_count >= self.prefetch:
            time.sleep(POLL_S)
            return
        try:
            self.broker.wait_for_messages(self.queue_name)
        except (*RedisUnavailable, redis.ResponseError) as error:
            raise ConnectionClosed(reason_of(error)) from None  # type: ignore[no-untyped-call]


class WorkQueue(PriorityQueue[Any]):
    """What a worker's threads are to do: they wait for it as long as it takes, until
    :meth:`close`."""

    def __init__(self) -> None:
        super().__init__()
        self._closed = False

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if block:
            with self.not_empty:
                self.not_empty.wait_for(lambda: self._closed or self._qsize())
        return super().get(block, timeout)

    def close(self) -> None:
        """Have nobody wait for longer than he says."""
        with self.not_empty:
            self._closed = True
            self.not_empty.notify_all()


class Worker(dramatiq.worker.Worker):
    """Dramatiq's, of which nothing stirs while there is nothing to do."""

    def __init__(
        self, broker: WorkerBroker, *, queues: set[str] | None = None, threads: int
    ) -> None:
        poll_ms = int(POLL_S * 1000)
        super().__init__(broker, queues=queues, worker_timeout=poll_ms, worker_threads=threads)
        self._worker_broker = broker
        self.work_queue: WorkQueue = WorkQueue()

    def stop(self, timeout: int = 600_000) -> None:
        self.work_queue.close()
        self._worker_broker.stop_waiting()
        super().stop(timeout)
