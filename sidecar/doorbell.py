"""Waking the workers: one Dramatiq message per batch of work, sent from a thread of its own.

``Broker.enqueue`` blocks for a round trip, so it never runs on the event loop. A ring that fails
is only logged: the reconciler in the workers rings again for whatever is not finished.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from contracts.jobs import Job
from sidecar.logs import Trouble

#: Dramatiq's maintenance normally runs on 0.1 % of commands, which an idle worker takes minutes
#: to reach; so every command does it. It is cheap in a database that holds only wake-ups.
MAINTENANCE_CHANCE = 1_000_000


def make_broker(url: str, *, heartbeat_timeout_ms: int = 15_000) -> RedisBroker:
    """Return a broker without middleware: no retries, no time limits, no results. The state
    machines of inbox and ledger do all that, and Dramatiq's would do it again."""
    make = cast("Callable[..., RedisBroker]", RedisBroker)
    return make(
        url=url,
        middleware=[],
        maintenance_chance=MAINTENANCE_CHANCE,
        heartbeat_timeout=heartbeat_timeout_ms,
    )


def message(job: Job) -> "dramatiq.Message[None]":
    """Return the wake-up for a job."""
    return dramatiq.Message(
        queue_name=job.queue.value,
        actor_name=job.actor,
        args=job.args,
        kwargs={},
        options={},
    )


class Doorbell:
    """Rings from any thread, without blocking it. A ring that is still to be sent stands for all
    that are asked for in the meantime."""

    def __init__(self, broker: dramatiq.Broker) -> None:
        self._broker = broker
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="doorbell")
        self._lock = threading.Lock()
        self._waiting: set[Job] = set()
        self._trouble = Trouble("doorbell_failed")
        self.rings = 0

    def ring(self, job: Job) -> None:
        """Have a worker woken for this job, soon."""
        with self._lock:
            if job in self._waiting:
                return
            self._waiting.add(job)
        self._thread.submit(self._send, job)

    def _send(self, job: Job) -> None:
        with self._lock:
            self._waiting.discard(job)
        try:
            self._broker.enqueue(message(job))
        except Exception as error:  # noqa: BLE001 - any broker's error means the same here
            self._trouble.failed(f"{type(error).__name__}: {error}")
        else:
            self.rings += 1
            self._trouble.worked()

    def close(self) -> None:
        """Send what is waiting, then stop."""
        self._thread.shutdown(wait=True)
        self._broker.close()
