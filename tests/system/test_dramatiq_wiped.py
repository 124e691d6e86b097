"""Every key of Dramatiq's is deleted again and again in the middle of a campaign, its statuses and
customers' messages: wake-ups are lost, and nothing else."""

import threading
from typing import Self

import redis

from contracts.jobs import Queue
from sidecar.url import next_database
from simulator.demo import Demo
from tests.system.running import assert_complete

PAUSE_S = 0.01


class Wiper:
    """Empties a Redis database while it is entered. ``wiped`` counts how often, and ``lost`` the
    wake-ups that were in it."""

    def __init__(self, url: str) -> None:
        self.wiped = self.lost = 0
        self._client = redis.Redis.from_url(url)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wiper")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        while not self._over.wait(PAUSE_S):
            pipeline = self._client.pipeline(transaction=True)
            for queue in Queue:
                pipeline.hlen(f"dramatiq:{queue}.msgs")
            pipeline.flushdb()
            *waiting, _ = pipeline.execute()
            self.wiped += 1
            self.lost += sum(waiting)


def test_dramatiqs_keys_are_deleted_again_and_again(demo: Demo) -> None:
    with Wiper(next_database(demo.installation.redis_url)) as wiper:
        assert_complete(demo)
    assert wiper.wiped > 100
    assert wiper.lost > 0
    with redis.Redis.from_url(demo.installation.redis_url) as client:
        assert not client.exists("dead")
