"""The Dramatiq actors. Each is woken with ids, and works on what the inbox or the ledger holds.

Every actor may run twice at once, or not at all: leases keep a second one out, and the reconciler
sends another wake-up. Dramatiq retries nothing.
"""

from collections.abc import Callable

import dramatiq
from dramatiq.asyncio import get_event_loop_thread
from dramatiq.middleware import AsyncIO

from contracts import jobs
from contracts.effects import EffectKind
from workers.consumer import WorkerBroker
from workers.runtime import Runtime


class RuntimeMiddleware(dramatiq.Middleware):
    """Makes the runtime when the worker starts, on the loop on which the actors run, and closes
    it when they have ended."""

    def __init__(self, make: Callable[[], Runtime]) -> None:
        self._make = make
        self._runtime: Runtime | None = None

    @property
    def runtime(self) -> Runtime:
        assert self._runtime is not None, "the worker has not been started"
        return self._runtime

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        async def start() -> Runtime:
            runtime = self._make()
            await runtime.start()
            return runtime

        loop = get_event_loop_thread()
        assert loop is not None, "the AsyncIO middleware comes first"
        self._runtime = loop.run_coroutine(start())

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        self.runtime.stop()

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        loop = get_event_loop_thread()
        assert loop is not None
        loop.run_coroutine(self.runtime.close())


def make_worker_broker(url: str, make_runtime: Callable[[], Runtime]) -> WorkerBroker:
    """Return a broker with all actors declared. ``make_runtime`` is called on the worker's loop."""
    broker = WorkerBroker(url)
    middleware = RuntimeMiddleware(make_runtime)
    broker.add_middleware(AsyncIO())
    broker.add_middleware(middleware)

    def declare_drain(lane: jobs.Lane) -> None:
        job = jobs.drain(lane)

        @dramatiq.actor(broker=broker, queue_name=job.queue.value, actor_name=job.actor)
        async def drain() -> None:
            await middleware.runtime.drain(lane)

    for lane in jobs.Lane:
        declare_drain(lane)

    @dramatiq.actor(
        broker=broker, queue_name=jobs.Queue.CAMPAIGNS.value, actor_name=jobs.SEND_CAMPAIGN_ACTOR
    )
    async def send_campaign(vendor_uid: str, campaign_uid: str) -> None:
        await middleware.runtime.send_campaign(vendor_uid, campaign_uid)

    @dramatiq.actor(
        broker=broker, queue_name=jobs.Queue.EFFECTS.value, actor_name=jobs.DO_EFFECTS_ACTOR
    )
    async def do_effects(kind: str, vendor_uid: str) -> None:
        await middleware.runtime.do_effects(EffectKind(kind), vendor_uid)

    return broker
