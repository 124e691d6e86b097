"""The wakeups: wake-ups reach Dramatiq's queue, and nobody waits for that."""

import asyncio
import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import dramatiq
import dramatiq.worker
import orjson
import pytest
import redis as blocking_redis
from structlog.testing import capture_logs

from contracts.jobs import Job, Lane, Queue, drain, send_campaign
from sidecar.inbox.wakeups import WakeUpBroker, Wakeups, message
from simulator.redis_server import RedisServer
from tests.eventually import eventually


class Gate(dramatiq.Broker):
    """A broker whose enqueueing waits until it is let through, and then may fail."""

    def __init__(self) -> None:
        super().__init__(middleware=[])
        self.open = threading.Event()
        self.entered = threading.Event()
        self.error: Exception | None = None
        self.jobs: list[tuple[str, tuple[str, ...]]] = []
        self.threads: set[str] = set()

    def enqueue(self, message, *, delay=None):  # type: ignore[no-untyped-def]
        self.threads.add(threading.current_thread().name)
        self.entered.set()
        assert self.open.wait(10)
        if self.error is not None:
            raise self.error
        self.jobs.append((message.actor_name, tuple(message.args)))
        return message


@pytest.fixture
def dramatiq_url(redis_url: str) -> str:
    return redis_url.removesuffix("/0") + "/1"


def test_the_message_of_a_job() -> None:
    made = message(send_campaign("v", "c"))
    assert made.queue_name == Queue.CAMPAIGNS
    assert made.actor_name == "send_campaign"
    assert list(made.args) == ["v", "c"]
    assert made.options == {}


def test_a_wakeup_does_not_touch_the_random_numbers_that_all_share(dramatiq_url: str) -> None:
    """It is made in a thread, and Hypothesis would take it for a strategy's doing."""
    broker = WakeUpBroker(dramatiq_url, timeout_s=5.0)
    before = random.getstate()
    broker.enqueue(message(drain(Lane.MESSAGES)))
    assert random.getstate() == before
    broker.close()


def test_wake_ups_arrive_in_dramatiqs_queues(dramatiq_url: str) -> None:
    wakeups = Wakeups(WakeUpBroker(dramatiq_url, timeout_s=5.0))
    jobs = [drain(Lane.MESSAGES), drain(Lane.STATUSES), send_campaign("v", "c")]
    for job in jobs:
        wakeups.send(job)
    wakeups.close()
    assert wakeups.sent == 3

    consumer = WakeUpBroker(dramatiq_url)
    for job in jobs:
        consumer.declare_queue(job.queue)
        messages = consumer.consume(job.queue, timeout=1000)
        found = next(messages)
        assert found is not None
        assert (found.actor_name, tuple(found.args)) == (job.actor, job.args)
        messages.ack(found)
        assert next(messages) is None
        messages.close()
    consumer.close()


def test_no_queue_has_delayed_messages(dramatiq_url: str) -> None:
    broker = WakeUpBroker(dramatiq_url)
    broker.declare_queue("messages")
    broker.declare_queue("messages")
    assert broker.get_declared_queues() == {"messages"}
    assert broker.delay_queues == set()
    broker.close()


def test_queued_wakeups_for_a_job_are_one() -> None:
    broker = Gate()
    wakeups = Wakeups(broker)
    wakeups.send(drain(Lane.MESSAGES))
    assert broker.entered.wait(5)
    for _ in range(100):
        wakeups.send(drain(Lane.MESSAGES))
        wakeups.send(send_campaign("v", "c"))
    broker.open.set()
    wakeups.close()
    # The first was on its way already when the others came: they are one more.
    assert broker.jobs == [
        ("drain_messages", ()),
        ("drain_messages", ()),
        ("send_campaign", ("v", "c")),
    ]
    assert wakeups.sent == 3


async def test_ringing_does_not_wait() -> None:
    broker = Gate()
    wakeups = Wakeups(broker)
    for number in range(100):
        wakeups.send(send_campaign("v", str(number)))
    assert broker.jobs == []
    broker.open.set()
    await eventually(lambda: len(broker.jobs) == 100)
    assert threading.current_thread().name not in broker.threads
    assert len(broker.threads) == 1
    wakeups.close()


def test_a_wakeup_that_fails_is_logged_once() -> None:
    broker = Gate()
    broker.open.set()
    broker.error = ConnectionError("no Redis")
    wakeups = Wakeups(broker)

    def wake(job: Job) -> None:
        before = len(wakeups._waiting)
        wakeups.send(job)
        wakeups._thread.submit(lambda: None).result()
        assert before == len(wakeups._waiting) == 0

    with capture_logs() as logs:
        for number in range(50):
            wake(send_campaign("v", str(number)))
        broker.error = None
        wake(drain(Lane.MESSAGES))
        wakeups.close()
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("wakeup.failed", "warning"),
        ("wakeup.failed.resolved", "info"),
    ]
    assert logs[0]["reason"] == "ConnectionError: no Redis"
    assert logs[1]["times"] == 50
    assert broker.jobs == [("drain_messages", ())]
    assert wakeups.sent == 1


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a Redis that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/1"


def test_closing_does_not_wait_for_a_redis_that_hangs(silent: str) -> None:
    wakeups = Wakeups(WakeUpBroker(silent, timeout_s=0.1))
    with capture_logs() as logs:
        wakeups.send(drain(Lane.MESSAGES))
        wakeups.close()
    assert wakeups.sent == 0
    assert [line["event"] for line in logs] == ["wakeup.failed"]


def test_closing_does_not_wait_for_a_redis_that_is_away() -> None:
    wakeups = Wakeups(WakeUpBroker("redis://127.0.0.1:9/1", timeout_s=0.1))
    with capture_logs() as logs:
        wakeups.send(drain(Lane.MESSAGES))
        wakeups.close()
    [line] = logs
    assert "127.0.0.1:9" in line["reason"]


def test_the_first_wakeup_after_a_restart_of_redis_gets_through(dramatiq_url: str) -> None:
    wakeups = Wakeups(WakeUpBroker(dramatiq_url, timeout_s=5.0))
    with blocking_redis.Redis.from_url(dramatiq_url) as outside:
        wakeups.send(drain(Lane.MESSAGES))
        wakeups._thread.submit(lambda: None).result()
        outside.client_kill_filter(_type="normal", skipme=True)
        wakeups.send(drain(Lane.MESSAGES))
        wakeups.close()
        assert wakeups.sent == 2
        messages = outside.hvals("dramatiq:messages.msgs")
        assert isinstance(messages, list)
        assert [orjson.loads(found)["actor_name"] for found in messages] == ["drain_messages"] * 2


async def test_a_full_redis_is_no_bug_of_dramatiqs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither of what is done nor of what is fetched; and what was done is acknowledged later."""
    monkeypatch.setattr(dramatiq.worker, "POST_PROCESS_MESSAGE_RETRY_DELAY_SECS", 0.01)
    monkeypatch.setattr(dramatiq.worker, "CONSUMER_RESTART_DELAY_SECS", 0.01)
    with RedisServer(tmp_path) as server, blocking_redis.Redis(port=server.port) as redis:
        broker = WakeUpBroker(server.url)
        done: list[str] = []

        @dramatiq.actor(broker=broker, queue_name="q")
        def fill() -> None:
            redis.config_set("maxmemory", 1)
            done.append("it")

        worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=20)
        broker.enqueue(fill.message())
        worker.start()
        try:
            await eventually(lambda: "post_process_message" in caplog.text)
            await eventually(lambda: "Consumer encountered" in caplog.text)
            redis.config_set("maxmemory", 0)
            await eventually(lambda: not redis.exists("dramatiq:q.msgs"))
        finally:
            redis.config_set("maxmemory", 0)
            await asyncio.to_thread(worker.stop, 5000)
            broker.close()
    assert done == ["it"]
    assert "bug" not in caplog.text
    assert "Traceback" not in caplog.text
