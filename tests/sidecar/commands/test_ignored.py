"""``sidecar ignored``: with which updates nothing was done, and why."""

import asyncio

import orjson
import pytest

from sidecar.clock import now_ms
from sidecar.inbox.ignored import KEEP_LAST_S
from sidecar.redis.client import Redis
from tests.sidecar.conftest import RunCommand
from tests.sidecar.ops.test_ignored import add_ignored


@pytest.fixture
async def ignored(redis: Redis) -> None:
    now = now_ms()
    await add_ignored(redis, "own_number", 1200, at=now)
    await add_ignored(redis, "message_unknown", 2, "vendor-w", at=now)
    await add_ignored(redis, "old", 1, at=now - 1000 * (KEEP_LAST_S + 60))


async def test_nothing(run_command: RunCommand) -> None:
    result = await asyncio.to_thread(run_command, "ignored")
    assert (result.exit_code, result.output) == (0, "nothing was ignored\n")
    result = await asyncio.to_thread(run_command, "ignored", "--reason", "own_number")
    assert result.output == "nothing was ignored for the reason own_number\n"


@pytest.mark.usefixtures("ignored")
async def test_a_table_of_all(run_command: RunCommand) -> None:
    result = await asyncio.to_thread(run_command, "ignored")
    head, *lines = [line.split() for line in result.output.splitlines()]
    assert head == ["VENDOR", "REASON", "COUNT", "LAST", "AT"]
    assert [line[:3] for line in lines] == [
        ["v", "own_number", "1,200"],
        ["vendor-w", "message_unknown", "2"],
        ["v", "old", "1"],
    ]


@pytest.mark.usefixtures("ignored")
async def test_of_one_vendor(run_command: RunCommand) -> None:
    result = await asyncio.to_thread(run_command, "ignored", "--vendor", "vendor-w")
    [_, line] = result.output.splitlines()
    assert "message_unknown" in line


@pytest.mark.usefixtures("ignored")
async def test_a_reason_with_the_last_one(run_command: RunCommand) -> None:
    result = await asyncio.to_thread(run_command, "ignored", "--reason", "Own number")
    assert '"payload": "{}"' in result.output
    assert "message_unknown" not in result.output
    result = await asyncio.to_thread(run_command, "ignored", "--reason", "old")
    assert result.output.endswith("the last one of vendor v is not kept any more\n")


@pytest.mark.usefixtures("ignored")
async def test_lines_of_json(run_command: RunCommand) -> None:
    result = await asyncio.to_thread(run_command, "ignored", "--json")
    first, *others = map(orjson.loads, result.stdout.splitlines())
    assert (first["vendor_uid"], first["reason"], first["count"]) == ("v", "own_number", 1200)
    assert (first["last"], len(others)) == (None, 2)
    result = await asyncio.to_thread(run_command, "ignored", "--json", "--reason", "own_number")
    assert orjson.loads(result.stdout)["last"]["payload"] == "{}"
