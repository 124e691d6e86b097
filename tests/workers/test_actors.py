"""The actors have the names that the sidecar wakes, and run on the runtime's loop."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import dramatiq
import pytest
from dramatiq.worker import Worker

from contracts.jobs import Job, Lane, drain, send_campaign
from sidecar.inbox.wakeups import message
from sidecar.url import next_database
from workers import consumer
from workers.actors import make_worker_broker

JOBS = [drain(Lane.MESSAGES), drain(Lane.STATUSES), send_campaign("vendor-1", "c1")]


class Recorder:
    """Stands for the runtime."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.events: list[str] = []
        self.loops: set[int] = set()
        self.stopping = False
        self.called = threading.Event()

    def _note(self, *call: Any) -> None:
        self.loops.add(id(asyncio.get_running_loop()))
        self.calls.append(call)
        self.called.set()

    async def start(self) -> None:
        self.loops.add(id(asyncio.get_running_loop()))
        self.events.append("start")

    def stop(self) -> None:
        self.stopping = True

    async def close(self) -> None:
        self.events.append(f"close, stopping: {self.stopping}")

    async def drain(self, lane: Lane) -> None:
        self._note("drain", lane)

    async def send_campaign(self, vendor_uid: str, campaign_uid: str) -> None:
        self._note("send", vendor_uid, campaign_uid)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def broker(
    redis_url: str, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dramatiq.Broker]:
    # For so long Dramatiq's own worker waits at its end; ours breaks the wait off.
    monkeypatch.setattr(consumer, "WAIT_S", 0.5)
    make: Any = lambda: recorder  # noqa: E731
    broker = make_worker_broker(next_database(redis_url), make)
    yield broker
    broker.close()


@pytest.fixture
def worker(broker: dramatiq.Broker) -> Iterator[Worker]:
    worker = Worker(broker, worker_threads=2, worker_timeout=20)
    worker.start()
    yield worker
    worker.stop()


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.actor)
def test_there_is_an_actor_for_every_job(broker: dramatiq.Broker, job: Job) -> None:
    actor = broker.get_actor(job.actor)
    assert actor.queue_name == job.queue.value


@pytest.mark.usefixtures("worker")
def test_a_wakeup_reaches_the_runtime(broker: dramatiq.Broker, recorder: Recorder) -> None:
    for job, call in zip(
        JOBS,
        [("drain", Lane.MESSAGES), ("drain", Lane.STATUSES), ("send", "vendor-1", "c1")],
        strict=True,
    ):
        recorder.called.clear()
        broker.enqueue(message(job))
        assert recorder.called.wait(10)
        assert recorder.calls[-1] == call
    assert len(recorder.loops) == 1, "clients belong to the loop that the runtime was made on"


def test_the_runtime_begins_and_ends_with_the_worker(
    broker: dramatiq.Broker, recorder: Recorder
) -> None:
    worker = Worker(broker, worker_threads=1, worker_timeout=20)
    worker.start()
    assert recorder.events == ["start"]
    worker.stop()
    assert recorder.events == ["start", "close, stopping: True"]


@pytest.mark.usefixtures("worker")
def test_dramatiq_tries_nothing_again(
    broker: dramatiq.Broker, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_call: Any) -> None:
        recorder.calls.append(("failed",))
        recorder.called.set()
        raise ValueError("a bug")

    monkeypatch.setattr(recorder, "_note", fail)
    broker.enqueue(message(JOBS[0]))
    assert recorder.called.wait(10)
    monkeypatch.undo()
    recorder.called.clear()
    broker.enqueue(message(JOBS[1]))
    assert recorder.called.wait(10)
    assert recorder.calls == [("failed",), ("drain", Lane.STATUSES)]
