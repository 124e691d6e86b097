"""Processes that are missing, and what keeps work from them."""

from dataclasses import replace
from typing import Any

import pytest

from contracts.jobs import Queue
from sidecar.ops.problem import Code
from sidecar.ops.process_problems import RECENT_S, clocks, processes, ways_in
from sidecar.ops.processes import SILENT_S, Process
from sidecar.ops.report import PhpReport, Reached, Report, read_report
from sidecar.php.client import make_backend
from sidecar.redis.client import Redis
from tests.conftest import MakeSettings

ALL = [queue.value for queue in Queue]


@pytest.fixture
async def quiet(redis: Redis, make_settings: MakeSettings) -> Report:
    backend = make_backend(make_settings(backend_url="http://127.0.0.1:9"))
    try:
        return replace(await read_report(redis, backend), php=PhpReport())
    finally:
        await backend.close()


def codes(report: Report, *found: Process) -> list[Code]:
    seen = replace(report, overview=replace(report.overview, processes=list(found)))
    return [problem.code for problem in processes(seen)]


def process(report: Report, role: str, up_s: float, age_s: float = 0.0, **more: Any) -> Process:
    """A process that began so long ago, and was last heard of ``age_s`` ago."""
    since = int(report.overview.now - up_s * 1000)
    queues = ALL if role == "worker" else []
    return Process(f"{role} {since}", role, "h", 7, since, age_s, queues=queues, **more)


async def test_who_died_is_named_until_a_successor_runs(quiet: Report) -> None:
    serve, worker = process(quiet, "serve", 900), process(quiet, "worker", 900)
    assert codes(quiet, serve, worker) == []
    dead = process(quiet, "worker", 800, SILENT_S + 1)
    assert codes(quiet, dead) == [
        Code.SERVE_NOT_RUNNING,
        Code.WORKER_NOT_RUNNING,
        Code.PROCESS_SILENT,
    ]
    assert codes(quiet, serve, worker, dead) == [Code.PROCESS_SILENT], "this one ran before"
    heir = process(quiet, "worker", 3)
    assert codes(quiet, serve, worker, dead, heir) == []
    another = process(quiet, "worker", 700, SILENT_S + 1)
    assert codes(quiet, serve, worker, dead, another, heir) == [Code.PROCESS_SILENT]
    other = replace(heir, queues=ALL[:1])
    assert codes(quiet, serve, worker, dead, other) == [Code.PROCESS_SILENT]
    assert codes(quiet, serve, worker, process(quiet, "worker", 9000, RECENT_S + 1)) == []


async def test_who_dies_again_and_again_is_named(quiet: Report) -> None:
    serve = process(quiet, "serve", 900)
    dead = [process(quiet, "worker", 900 - 100 * n, 300 - 10 * n) for n in range(3)]
    heirs = [process(quiet, "worker", 9 + n) for n in range(3)]
    assert codes(quiet, serve, *dead[:2], *heirs) == []
    seen = replace(quiet, overview=replace(quiet.overview, processes=[serve, *dead, *heirs]))
    [problem] = processes(seen)
    assert problem.what == (
        "3 worker processes on h have died within 10 min, and were started again"
    )


@pytest.mark.parametrize(
    ("ahead_s", "words"),
    [(8, None), (600, "ahead of Redis's, by 10 min"), (-600, "behind Redis's, by 10 min")],
)
async def test_a_clock_that_is_wrong(quiet: Report, ahead_s: int, words: str | None) -> None:
    now = quiet.overview.now
    told = process(quiet, "serve", 9, age_s=1.5, clock=now - 1500 + ahead_s * 1000)
    silent = process(quiet, "worker", 9, age_s=99, clock=1)
    old = process(quiet, "worker", 9)
    seen = replace(quiet, overview=replace(quiet.overview, processes=[told, silent, old]))
    found = list(clocks(seen))
    if words is None:
        assert found == []
    else:
        assert found[0].what == f"The clock of serve h:7 is {words}"


async def test_the_wakeups_redis(quiet: Report) -> None:
    report = replace(quiet, reached=Reached(dramatiq="Connection refused"))
    [problem] = ways_in(report, redis_full=False)
    assert problem.code is Code.DRAMATIQ_UNAVAILABLE
    assert problem.what.endswith("cannot be used: Connection refused")
    assert len(list(ways_in(report, redis_full=True))) == 1, "it may be another Redis"
    for full in ("it is full: 9 MB", "OOM command not allowed"):
        report = replace(quiet, reached=Reached(dramatiq=full))
        assert len(list(ways_in(report, redis_full=False))) == 1
        assert list(ways_in(report, redis_full=True)) == [], "said already"
    told = process(quiet, "serve", 9, wakeups="Timeout")
    report = replace(quiet, overview=replace(quiet.overview, processes=[told]))
    [problem] = ways_in(report, redis_full=False)
    assert problem.what.endswith("cannot be used: Timeout (the serve h:7 says so)")


async def test_the_public_address(quiet: Report) -> None:
    [problem] = ways_in(replace(quiet, reached=Reached(public="it answers 502")), redis_full=False)
    assert problem.code is Code.PUBLIC_URL_UNAVAILABLE
    assert problem.what.endswith("it answers 502")
    assert list(ways_in(quiet, redis_full=False)) == []
