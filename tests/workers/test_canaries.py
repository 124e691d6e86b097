"""What Dramatiq does not promise, which is why its messages are wake-ups here and no work.

Each of these reproduces, on the Dramatiq that is installed, something that the sidecar is built
around (docs/decisions/0001-wake-ups.md). When one of them fails, an upgrade has changed it: read
that page again, and see what has become simpler.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dramatiq
import pytest
import redis
from dramatiq.brokers import redis as redis_broker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Retries
from dramatiq.worker import ConsumerThread, Worker, WorkerThread
from redis.backoff import NoBackoff
from redis.retry import Retry

from sidecar.inbox.wakeups import WakeUpBroker
from simulator.redis_server import RedisServer
from tests.eventually import eventually

CHANGED = "Dramatiq has changed: see docs/decisions/0001"
QUEUE = "canary"
DELAYED = "canary.DQ"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of one's own, which keeps on disk what it has answered."""
    with RedisServer(tmp_path) as server:
        yield server


class Canary:
    """A broker with one actor. ``ran`` lists what it was given."""

    def __init__(self, server: RedisServer, *middleware: dramatiq.Middleware, **more: Any) -> None:
        self.client = redis.Redis.from_url(server.url, retry=Retry(NoBackoff(), 0))
        make: Any = RedisBroker
        self.broker: Any = make(client=self.client, middleware=list(middleware), **more)
        self.ran: list[str] = []
        self.during: Callable[[], None] = lambda: None

        def canary(name: str) -> None:
            self.ran.append(name)
            self.during()

        declare: Any = dramatiq.actor
        self._actor = declare(canary, broker=self.broker, queue_name=QUEUE)

    def send(self, name: str, delay_ms: int | None = None) -> None:
        self._actor.send_with_options(args=(name,), delay=delay_ms)

    def consumer(self, queue: str = QUEUE, prefetch: int = 1) -> ConsumerThread:
        """Return a consumer that does nothing by itself."""
        thread: Any = ConsumerThread
        consumer: ConsumerThread = thread(
            broker=self.broker,
            queue_name=queue,
            prefetch=prefetch,
            work_queue=cast(Any, SimpleNamespace(put=None, task_done=lambda: None)),
            worker_timeout=1,
        )
        consumer.consumer = self.broker.consume(queue, prefetch, 1)
        return consumer

    def waiting(self, queue: str) -> int:
        return int(self.client.llen(f"dramatiq:{queue}"))

    def taken(self, queue: str) -> int:
        """Return how many messages this broker has fetched and not acknowledged."""
        key = f"dramatiq:__acks__.{self.broker.broker_id}.{queue}"
        return int(self.client.scard(key))


@pytest.mark.parametrize("dies", [True, False], ids=["redis dies", "redis lives"])
def test_a_message_is_lost_when_redis_is_away_while_it_is_to_be_retried(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, dies: bool
) -> None:
    """The error of Retries' enqueue is swallowed, and the message is acknowledged (#545)."""
    canary = Canary(server, Retries(min_backoff=1))
    canary.send("lost")
    consumer = canary.consumer()
    message: Any = next(iter(cast(Any, consumer.consumer)))

    def fail() -> None:
        if dies:
            server.kill()
        raise RuntimeError("it is to be retried")

    canary.during = fail
    # The acknowledgement is tried again after a pause, in which Redis comes back.
    monkeypatch.setattr("dramatiq.worker.time", SimpleNamespace(sleep=lambda _s: server.start()))
    make: Any = WorkerThread
    worker = make(
        broker=canary.broker,
        consumers={QUEUE: consumer},
        work_queue=SimpleNamespace(task_done=lambda: None),
        worker_timeout=1,
    )
    worker.process_message(message)
    assert canary.ran == ["lost"]
    assert canary.taken(QUEUE) == 0
    kept = canary.waiting(QUEUE) + canary.waiting(DELAYED)
    assert kept == (0 if dies else 1), CHANGED


@pytest.mark.parametrize("restarts", [True, False], ids=["redis restarts", "redis stays"])
async def test_a_delayed_message_strands_on_a_live_worker_when_redis_restarts(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, restarts: bool
) -> None:
    """It stays among those that the worker has taken, and the worker has forgotten it (#527). So
    does the sweep: the worker is alive."""
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 0.02)
    canary = Canary(server, maintenance_chance=redis_broker.MAINTENANCE_SCALE)
    make: Any = Worker
    worker = make(canary.broker, worker_timeout=5, worker_threads=1)
    worker.start()
    try:
        canary.send("stranded", delay_ms=400)
        await eventually(lambda: canary.taken(DELAYED) == 1)
        if restarts:
            server.kill()
            server.start()

        def sent() -> bool:
            try:
                canary.send("later", delay_ms=500)
            except redis.ConnectionError:
                return False
            return True

        await eventually(sent)
        await eventually(lambda: "later" in canary.ran, 20)
        assert ("stranded" in canary.ran) is not restarts, CHANGED
        await eventually(lambda: canary.taken(DELAYED) == int(restarts))
    finally:
        worker.stop(5000)


def test_what_a_dead_worker_had_comes_back_by_chance(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One command in a thousand sweeps up, and it walks all keys of the database."""
    dead, alive = Canary(server), Canary(server)
    dead.send("taken by one that died")
    assert dead.broker.do_fetch(QUEUE, 1)
    dead.client.zadd("dramatiq:__heartbeats__", {dead.broker.broker_id: 0})
    chances = []

    def draw(_least: int, most: int) -> int:
        chances.append(most)
        return most

    monkeypatch.setattr("dramatiq.brokers.redis.random", SimpleNamespace(randint=draw))
    for _ in range(1000):
        assert alive.broker.do_fetch(QUEUE, 1) == [], CHANGED
    assert len(chances) == 1000, CHANGED
    assert redis_broker.DEFAULT_MAINTENANCE_CHANCE / chances[0] == 0.001, CHANGED
    monkeypatch.setattr(
        "dramatiq.brokers.redis.random", SimpleNamespace(randint=lambda least, _most: least)
    )
    assert len(alive.broker.do_fetch(QUEUE, 1)) == 1, CHANGED
    assert "cmdstat_keys" in alive.client.info("commandstats"), CHANGED


@pytest.mark.parametrize(("prefetch", "runs"), [(5, False), (6, True)])
def test_delayed_messages_stand_in_each_others_way(
    server: RedisServer, prefetch: int, runs: bool
) -> None:
    """Those that a consumer holds until they are due count against what it may fetch (#431)."""
    canary = Canary(server)
    for number in range(5):
        canary.send(f"much later {number}", delay_ms=3_600_000)
    canary.send("due", delay_ms=0)
    consumer = canary.consumer(DELAYED, prefetch=prefetch)
    fetched = iter(cast(Any, consumer.consumer))
    for _ in range(20):
        message = next(fetched)
        if message is not None:
            consumer.handle_message(message)
        consumer.handle_delayed_messages()
    assert canary.waiting(QUEUE) == int(runs), CHANGED
    assert canary.waiting(DELAYED) == int(not runs), CHANGED


def test_the_sidecar_stands_on_none_of_these() -> None:
    """Its broker retries nothing, consumes no delayed messages, and does not leave the sweep to so
    small a chance."""
    make: Any = WakeUpBroker
    broker: Any = make("redis://127.0.0.1:9/0")
    broker.declare_queue(QUEUE)
    assert broker.middleware == []
    assert broker.delay_queues == set()
    assert broker.maintenance_chance >= 10 * redis_broker.DEFAULT_MAINTENANCE_CHANCE
