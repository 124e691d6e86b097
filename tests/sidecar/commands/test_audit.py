"""``sidecar audit``: who did what, and when."""

import asyncio

import orjson

from sidecar.ops.audit import Audit, Who
from sidecar.redis.client import Redis
from tests.sidecar.conftest import RunCommand


async def record(redis: Redis) -> None:
    audit = Audit(redis, 1000)
    await audit.record(Who("console", "ada", "operate"), "campaign.pause", "c-1", reason="late")
    await audit.record(Who("php"), "modes.change", "v", vendors=["v", "w"], force=False, moved=1)
    await audit.record(Who("command", "ben@host"), "number.lift", outcome="nothing to do")


async def test_nothing(run_command: RunCommand) -> None:
    result = await asyncio.to_thread(run_command, "audit")
    assert (result.exit_code, result.output) == (0, "nothing of the kind is recorded\n")
    result = await asyncio.to_thread(run_command, "audit", "--json")
    assert (result.exit_code, result.output) == (0, "")


async def test_lines_the_newest_last(run_command: RunCommand, redis: Redis) -> None:
    await record(redis)
    lines = (await asyncio.to_thread(run_command, "audit")).stdout.splitlines()
    assert lines[0].split() == ["AT", "WHO", "ACTION", "TARGET", "OUTCOME", "DETAILS"]
    assert [" ".join(line.partition("Z  ")[2].split()) for line in lines[1:]] == [
        "console ada (operate) campaign.pause c-1 done reason late",
        "php modes.change v done vendors v w, force no, moved 1",
        "command ben@host number.lift nothing to do",
    ]


async def test_filters(run_command: RunCommand, redis: Redis) -> None:
    await record(redis)
    for arguments, expected in [
        (("--kind", "php"), ["modes.change"]),
        (("--who", "BEN"), ["number.lift"]),
        (("--action", "campaign"), ["campaign.pause"]),
        (("--target", "c-"), ["campaign.pause"]),
        (("--outcome", "done", "--limit", "1"), ["modes.change"]),
        (("--since", "1h"), ["campaign.pause", "modes.change", "number.lift"]),
    ]:
        shown = await asyncio.to_thread(run_command, "audit", "--json", *arguments)
        found = [orjson.loads(line)["action"] for line in shown.stdout.splitlines()]
        assert found == expected, arguments
