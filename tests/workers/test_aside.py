"""A worker that PHP does not answer leaves its work to those that PHP answers, and takes part
again."""

import asyncio
import os
import socket
from dataclasses import dataclass, field

import orjson
import pytest

from sidecar.ops.publisher import KEEP_MS
from sidecar.php.failures import Failures
from sidecar.redis import keys
from sidecar.redis.client import Redis
from workers.aside import AWAY_S, Aside

QUEUES = ("messages", "campaigns")


@dataclass
class Php:
    """As one worker sees it: whether it answers, and how its calls have failed."""

    reached: bool = False
    failures: Failures = field(default_factory=Failures)

    async def answers(self) -> bool:
        return self.reached


class Worker:
    def __init__(self, redis: Redis, php: Php) -> None:
        self.stepped = asyncio.Event()
        self.left = 0
        self.aside = Aside(redis, php, QUEUES, self.stepped, self._leave)  # type: ignore[arg-type]

    def _leave(self) -> None:
        self.left += 1


@pytest.fixture
def php() -> Php:
    return Php()


@pytest.fixture
def worker(redis: Redis, php: Php) -> Worker:
    return Worker(redis, php)


async def announce(redis: Redis, name: str, **facts: object) -> None:
    told = {"role": "worker", "host": name, "pid": 1, "since": 1, "queues": list(QUEUES), **facts}
    await redis.sadd(keys.PROCESSES, name)
    await redis.set(keys.process(name), orjson.dumps(told), px=KEEP_MS)


async def test_it_steps_aside_for_one_that_php_may_answer(redis: Redis, worker: Worker) -> None:
    await announce(redis, "host-b", queues=[*QUEUES, "statuses"])
    await worker.aside.look()
    await worker.aside.look()
    assert worker.stepped.is_set()
    assert worker.left == 1
    assert worker.aside.php_away


@pytest.mark.parametrize(
    "facts",
    [
        {"php_away": True},
        {"queues": ["messages"]},
        {"host": socket.gethostname(), "pid": os.getpid()},
        None,
    ],
    ids=["it is as badly off", "it has other queues", "it is this one", "there is none"],
)
async def test_it_stays_where_nobody_else_can(
    redis: Redis, worker: Worker, facts: dict[str, object] | None
) -> None:
    if facts is not None:
        await announce(redis, "host-b", **facts)
    await worker.aside.look()
    assert not worker.stepped.is_set()
    assert worker.left == 0


async def test_it_stays_where_php_answers_a_probe(redis: Redis, php: Php, worker: Worker) -> None:
    """A single update that PHP hangs on has all calls of a quiet worker fail."""
    await announce(redis, "host-b")
    php.reached = True
    await worker.aside.look()
    assert not worker.stepped.is_set()


async def test_it_takes_part_again_when_php_answers(redis: Redis, php: Php, worker: Worker) -> None:
    await announce(redis, "host-b")
    await worker.aside.look()
    php.reached = True
    await worker.aside.look()
    assert not worker.stepped.is_set()
    assert not worker.aside.php_away


async def test_it_takes_part_again_when_nobody_else_is_left(redis: Redis, worker: Worker) -> None:
    await announce(redis, "host-b")
    await worker.aside.look()
    await redis.delete(keys.process("host-b"))
    await worker.aside.look()
    assert not worker.stepped.is_set()


async def test_of_two_that_php_does_not_answer_one_stays(redis: Redis) -> None:
    first, second = Worker(redis, Php()), Worker(redis, Php())
    await announce(redis, "host-a")
    await announce(redis, "host-b")
    await first.aside.look()
    await announce(redis, "host-a", php_away=first.aside.php_away)
    await announce(redis, "host-b", php_away=True)
    await second.aside.look()
    assert not second.stepped.is_set()


async def test_it_looks_once_calls_have_failed_for_a_while(redis: Redis) -> None:
    now = 100.0
    php = Php(failures=Failures(lambda: now))
    worker = Worker(redis, php)
    await announce(redis, "host-b")
    running = asyncio.create_task(worker.aside.run())
    try:
        php.failures.failed("modes", "no answer in time", AWAY_S - 1)
        await asyncio.sleep(1.5)
        assert not worker.stepped.is_set()
        now += 1
        php.failures.failed("modes", "no answer in time")
        await asyncio.wait_for(worker.stepped.wait(), 10)
    finally:
        running.cancel()
