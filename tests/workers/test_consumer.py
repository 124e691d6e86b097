"""Workers wait for wake-ups: nothing is asked meanwhile, and each is taken at once.

Where ``WAIT_S`` is longer than a test's patience, whatever happens was woken and not looked for.
"""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import dramatiq
import dramatiq.worker
import pytest
import redis as blocking_redis

from contracts.jobs import Lane, Queue, drain
from sidecar.inbox.wakeups import WakeUpBroker, message
from sidecar.url import next_database
from simulator.redis_server import RedisServer
from tests.eventually import PATIENCE_S, eventually
from workers import consumer
from workers.consumer import Worker, WorkerBroker, WorkQueue

LONG_S = 10 * PATIENCE_S
DRAIN = drain(Lane.MESSAGES)
LIST = "dramatiq:messages"


class WorkerUnderTest:
    """A worker on all queues, in this process. ``ran`` says how often it was woken."""

    def __init__(self, url: str, threads: int = 2) -> None:
        self.broker = WorkerBroker(url)
        self.during: Callable[[], object] = lambda: None
        self.ran = 0

        def work() -> None:
            self.ran += 1
            self.during()

        for name in Queue:
            actor: Any = dramatiq.actor
            actor(work, broker=self.broker, queue_name=name.value, actor_name=f"drain_{name}")
        self.worker = Worker(self.broker, threads=threads)

    @property
    def threads(self) -> list[threading.Thread]:
        return [*self.worker.workers, *self.worker.consumers.values()]

    def switches(self) -> dict[str, int]:
        """Return how often each of its threads has gone to sleep."""
        found = {}
        for thread in self.threads:
            status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
            [line] = [one for one in status.splitlines() if one.startswith("voluntary")]
            found[thread.name] = int(line.split()[1])
        return found

    async def has_run(self, times: int) -> None:
        await eventually(lambda: self.ran == times)

    async def stop(self) -> None:
        await asyncio.to_thread(self.worker.stop, 5000)
        self.broker.close()


class Workers:
    """Starts them, and waits until they wait."""

    def __init__(self, url: str) -> None:
        self.url = next_database(url)
        self.client = blocking_redis.Redis.from_url(self.url)
        self.started: list[WorkerUnderTest] = []

    async def start(self, **options: Any) -> WorkerUnderTest:
        worker = WorkerUnderTest(self.url, **options)
        self.started.append(worker)
        worker.worker.start()
        await eventually(lambda: self.waiting() == len(Queue) * len(self.started))
        return worker

    def waiting(self) -> int:
        clients: Any = self.client.info("clients")
        return int(clients["blocked_clients"])

    async def have_run(self, times: int) -> None:
        await eventually(lambda: sum(one.ran for one in self.started) == times)

    def wake(self) -> None:
        broker = WakeUpBroker(self.url, timeout_s=5.0)
        broker.enqueue(message(DRAIN))
        broker.close()

    def calls(self) -> int:
        """Return how many commands Redis has done, but for those of this."""
        stats: Any = self.client.info("commandstats")
        return sum(one["calls"] for name, one in stats.items() if name != "cmdstat_info")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "WAIT_S", LONG_S)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "WAIT_S", 0.05)
    monkeypatch.setattr(dramatiq.worker, "CONSUMER_RESTART_DELAY_SECS", 0.01)


@pytest.fixture
async def workers(redis_url: str) -> AsyncIterator[Workers]:
    workers = Workers(redis_url)
    yield workers
    for worker in workers.started:
        await worker.stop()
    workers.client.close()


@pytest.mark.usefixtures("patient")
async def test_one_that_waits_does_nothing(workers: Workers) -> None:
    worker = await workers.start()
    await eventually(lambda: worker.switches() == worker.switches())
    calls, switches = workers.calls(), worker.switches()
    await asyncio.to_thread(workers.client.blpop, ["nothing"], 0.5)
    assert workers.calls() == calls + 1, "that one was ours"
    assert worker.switches() == switches


@pytest.mark.usefixtures("patient")
async def test_it_is_woken(workers: Workers) -> None:
    worker = await workers.start()
    for number in range(1, 4):
        workers.wake()
        await worker.has_run(number)
    await eventually(lambda: not workers.client.exists(f"{LIST}.msgs"))


@pytest.mark.usefixtures("patient")
async def test_of_many_that_wait_one_gets_it(workers: Workers) -> None:
    several = [await workers.start() for _ in range(3)]
    for number in range(1, 6):
        workers.wake()
        await workers.have_run(number)
    await eventually(lambda: workers.waiting() == len(Queue) * 3)
    assert sum(one.ran for one in several) == 5
    assert not workers.client.exists(LIST, f"{LIST}.msgs")


@pytest.mark.usefixtures("patient")
async def test_whoever_is_free_gets_it(workers: Workers) -> None:
    """Two wake-ups for two workers that are busy with the first of them for long."""
    several = [await workers.start(threads=1) for _ in range(2)]
    over = threading.Event()
    for one in several:
        one.during = over.wait
    try:
        for _ in range(4):
            workers.wake()
        await eventually(lambda: sum(one.ran for one in several) >= 1)
    finally:
        over.set()
    await eventually(lambda: sum(one.ran for one in several) == 4)


async def test_it_takes_no_more_than_it_may(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And asks for nothing until one of them is done."""
    monkeypatch.setattr(consumer, "WAIT_S", LONG_S)
    worker = await workers.start(threads=1)
    over = threading.Event()
    worker.during = over.wait
    try:
        for _ in range(5):
            workers.wake()
        await eventually(lambda: worker.ran == 1)
        await eventually(lambda: workers.client.llen(LIST) == 3)
        await eventually(lambda: workers.waiting() == len(Queue) - 1)
        calls = workers.calls()
        await asyncio.to_thread(workers.client.blpop, ["nothing"], 0.2)
        assert workers.calls() <= calls + 2, "its own, and how long the list is"
    finally:
        over.set()
    await eventually(lambda: worker.ran == 5)


@pytest.mark.usefixtures("patient")
async def test_it_ends_at_once(workers: Workers) -> None:
    worker = await workers.start()
    await worker.stop()
    workers.started.remove(worker)
    assert [thread for thread in worker.threads if thread.is_alive()] == []


@pytest.mark.usefixtures("patient")
async def test_what_nobody_has_fetched_is_still_there(workers: Workers) -> None:
    """It is lost with nobody: waiting takes nothing out."""
    workers.wake()
    waits = WorkerBroker(workers.url)
    await asyncio.to_thread(waits.wait_for_messages, DRAIN.queue.value)
    assert workers.client.llen(LIST) == 1
    waits.stop_waiting()
    waits.close()
    worker = await workers.start()
    await eventually(lambda: worker.ran == 1)


@pytest.mark.usefixtures("patient")
def test_nobody_waits_once_it_stops(workers: Workers) -> None:
    broker = WorkerBroker("redis://127.0.0.1:9/0")
    broker.stop_waiting()
    broker.wait_for_messages("messages")
    broker.close()


@pytest.mark.usefixtures("impatient")
async def test_dramatiq_hears_from_one_that_waits(workers: Workers) -> None:
    worker = await workers.start()

    def heard() -> float:
        score: Any = workers.client.zscore("dramatiq:__heartbeats__", worker.broker.broker_id)
        return float(score)

    before = heard()
    await eventually(lambda: heard() > before)


@pytest.mark.usefixtures("impatient")
async def test_what_a_dead_one_had_comes_back_to_one_that_waits(workers: Workers) -> None:
    dead: Any = WakeUpBroker(workers.url)
    workers.wake()
    assert dead.do_fetch(DRAIN.queue.value, 1)
    workers.client.zadd("dramatiq:__heartbeats__", {dead.broker_id: 0})
    dead.close()
    worker = await workers.start()
    await eventually(lambda: worker.ran == 1)
    await eventually(lambda: not workers.client.keys(f"dramatiq:__acks__.{dead.broker_id}*"))


# -- Redis fails --


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[tuple[RedisServer, Workers]]:
    with RedisServer(tmp_path) as server:
        workers = Workers(server.url)
        yield server, workers
        for worker in workers.started:
            await worker.stop()
        workers.client.close()


@pytest.mark.usefixtures("impatient")
async def test_a_redis_that_restarts(own: tuple[RedisServer, Workers]) -> None:
    server, workers = own
    worker = await workers.start()
    server.kill()
    server.start()
    workers.wake()
    await eventually(lambda: worker.ran == 1)


async def test_a_redis_that_hangs(
    own: tuple[RedisServer, Workers],
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(consumer, "ANSWER_S", 0.1)
    server, workers = own
    worker = await workers.start()
    server.suspend()
    await eventually(lambda: "connection error" in caplog.text)
    server.resume()
    workers.wake()
    await eventually(lambda: worker.ran == 1)
    assert "Traceback" not in caplog.text


@pytest.mark.usefixtures("patient")
async def test_a_timeout_in_the_url_is_not_for_waiting(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    workers.url += "?socket_timeout=0.2"
    worker = await workers.start()
    await asyncio.to_thread(workers.client.blpop, ["nothing"], 0.4)
    assert workers.waiting() == len(Queue)
    workers.wake()
    await worker.has_run(1)
    assert "connection error" not in caplog.text


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", ["full", "wrong type"])
async def test_a_redis_that_refuses(
    own: tuple[RedisServer, Workers], fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, workers = own
    worker = await workers.start()
    if fault == "full":
        workers.client.config_set("maxmemory", 1)
    else:
        workers.client.set(LIST, "no list")
    await eventually(lambda: "connection error" in caplog.text)
    workers.client.config_set("maxmemory", 0)
    workers.client.delete(LIST)
    workers.wake()
    await eventually(lambda: worker.ran == 1)
    assert "Traceback" not in caplog.text


# -- the queue of the threads --


def test_the_queue_waits_for_no_longer_than_it_is_told_once_it_is_closed() -> None:
    work = WorkQueue()
    with pytest.raises(queue.Empty):
        work.get(block=False)
    found: list[object] = []

    def get() -> None:
        try:
            found.append(work.get(timeout=0.01))
        except queue.Empty:
            found.append(None)

    threads = [threading.Thread(target=get) for _ in range(3)]
    for thread in threads:
        thread.start()
    work.put(1)
    work.put(2)
    work.close()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert sorted(found, key=str) == [1, 2, None]
