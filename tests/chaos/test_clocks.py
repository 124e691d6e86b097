"""Clocks that are off: only the time of day of the part that is meant."""

import subprocess
import time
from pathlib import Path

import pytest
import redis

from simulator.chaos.clocked import READ_S, Clock
from simulator.chaos.clocks import NOTICED_S, Clocks, library
from simulator.redis_server import RedisServer
from simulator.stack.packages import find

_PROBE = """
import time
print(time.time())
print(time.time_ns() / 1e9)
print(time.monotonic())
began = time.monotonic()
time.sleep(0.05)
print(time.monotonic() - began)
"""


def test_a_module_by_a_clock_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(_PROBE)
    clocks = Clocks(tmp_path)
    command = clocks.python("probe", "probe")
    assert clocks.names == {"probe"}
    for off in (0, -600, 240):
        with clocks.off("probe", off):
            before, monotonic = time.time(), time.monotonic()
            path = {"PYTHONPATH": f"{Path.cwd()}:{tmp_path}"}
            done = subprocess.run(command, env=path, capture_output=True, check=True)
        at, at_ns, other, slept = map(float, done.stdout.split())
        assert before - 1 < at - off < time.time() + 1
        assert abs(at_ns - at) < 1
        assert monotonic <= other <= time.monotonic()
        assert slept >= 0.05


def test_a_clock_is_put_right_while_it_runs(tmp_path: Path) -> None:
    clocks = Clocks(tmp_path)
    clocks.python("worker", "workers")
    clock = Clock(tmp_path / "worker.clock")
    with clocks.off("worker", -300):
        assert abs(clock.time() - time.time() + 300) < 1
    end = time.monotonic() + 20 * READ_S
    while abs(clock.time() - time.time()) > 1:
        assert time.monotonic() < end
    assert abs(clock.time_ns() - time.time_ns()) < 1_000_000_000


def test_the_clock_of_redis(tmp_path: Path) -> None:
    program = find("redis-server")
    if program is None or library() is None:
        pytest.skip("there is no redis-server, or no libfaketime: run scripts/install-stack")
    clocks = Clocks(tmp_path)
    with RedisServer(tmp_path / "redis", program=program) as server:
        assert clocks.names == set()
        server.stop()
        server.environment |= clocks.redis("redis")
        server.start()
        with (
            redis.Redis(port=server.port, decode_responses=True) as client,
            clocks.off("redis", 600),
        ):
            _wait_until_off_by(client, 600)
            client.set("kept", "1", ex=1200)
            assert client.get("kept") == "1"
        with redis.Redis(port=server.port, decode_responses=True) as client:
            _wait_until_off_by(client, 0)
            assert 1200 < client.ttl("kept") <= 1800


def _wait_until_off_by(client: "redis.Redis", seconds: int) -> None:
    end = time.monotonic() + 10 * NOTICED_S
    while abs(client.time()[0] - time.time() - seconds) > 2:
        assert time.monotonic() < end
        time.sleep(0.05)
