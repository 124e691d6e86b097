"""``sidecar notify``: a test to each target, and what people were told."""

import asyncio

import orjson
import pytest
from pytest_httpserver import HTTPServer

from sidecar.ops.notifications import LEASE, Event, Notifications, TargetState
from sidecar.redis.client import Redis
from sidecar.redis.lease import Leases
from tests.sidecar.conftest import RunCommand
from tests.sidecar.notify.told import make_notification

TOLD = Event("redis-full", "Redis is full", "Empty it.", since=1, told_at=1_750_000_000_000)


@pytest.fixture
def target(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> HTTPServer:
    monkeypatch.setenv("SIDECAR_NOTIFY_SLACK_URL", httpserver.url_for("/hook"))
    return httpserver


async def test_a_test_to_each_target(run_command: RunCommand, target: HTTPServer) -> None:
    target.expect_request("/hook").respond_with_data("ok")
    result = await asyncio.to_thread(run_command, "notify", "test")
    assert (result.exit_code, result.stdout) == (0, "slack: taken\n")
    [(request, _)] = target.log
    assert "Somebody tests" in orjson.loads(request.get_data())["text"]


async def test_a_target_that_does_not_take_it(
    run_command: RunCommand, target: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.expect_request("/hook").respond_with_data("ok")
    monkeypatch.setenv("SIDECAR_NOTIFY_WEBHOOK_URL", target.url_for("/gone"))
    monkeypatch.setenv("SIDECAR_NOTIFY_WEBHOOK_KEYS", "n:0123456789abcdef")
    result = await asyncio.to_thread(run_command, "notify", "test")
    assert result.exit_code == 1
    assert result.stdout == "webhook: FAILED: localhost answers 500\nslack: taken\n"
    result = await asyncio.to_thread(run_command, "notify", "test", "--json")
    assert result.exit_code == 1
    assert [orjson.loads(line) for line in result.stdout.splitlines()] == [
        {"target": "webhook", "taken": False, "reason": "localhost answers 500"},
        {"target": "slack", "taken": True, "reason": ""},
    ]


async def test_a_test_without_targets(run_command: RunCommand) -> None:
    result = await asyncio.to_thread(run_command, "notify", "test")
    assert result.exit_code == 1
    assert "nobody is told" in result.stderr


async def test_an_empty_list(run_command: RunCommand) -> None:
    result = await asyncio.to_thread(run_command, "notify", "list")
    nothing, nobody = result.stdout.splitlines()
    assert nothing == "nothing that people were told of is left"
    assert nobody.startswith("nobody is told")


@pytest.fixture
async def told(redis: Redis) -> None:
    stored = Notifications(redis)
    gone = Event("dead-letters", "x", "y", 1, told_at=1_760_000_000_000, gone_at=1_760_000_000_000)
    over = Event("redis-evicts", "x", "y", 1, told_at=1, over=True)
    untold = Event("php-unavailable", "x", "y", 1)
    events = {"redis-full": TOLD, "dead-letters": gone, "over": over, "untold": untold}
    async with Leases(redis, 10_000).hold(LEASE) as lease:
        assert lease is not None
        await stored.record(lease, events, [], {"slack": make_notification()}, 5)
        state = TargetState("slack", since=1_750_000_000_000, dropped=2)
        await stored.failed(lease, state, "it answers 500", 5, 6)
        await stored.failed(lease, TargetState("removed"), "it answers 500", 5, 6)


@pytest.mark.usefixtures("told", "target")
async def test_a_list(run_command: RunCommand) -> None:
    result = await asyncio.to_thread(run_command, "notify", "list")
    assert result.stdout.splitlines() == [
        "told 2025-06-15 15:06:40Z: [redis-full] Redis is full",
        "told 2025-10-09 08:53:20Z, gone since 2025-10-09 08:53:20Z: [dead-letters] x",
        "slack: 1 wait; it fails since 2025-06-15 15:06:40Z: it answers 500; 2 were given up",
    ]


@pytest.mark.usefixtures("told", "target")
async def test_a_list_as_json(run_command: RunCommand) -> None:
    result = await asyncio.to_thread(run_command, "notify", "list", "--json")
    first, second, target = map(orjson.loads, result.stdout.splitlines())
    assert {first["event"], second["event"]} == {"redis-full", "dead-letters"}
    assert (target["target"], target["waiting"], target["failures"]) == ("slack", 1, 1)
