"""The page of the processes."""

import asyncio
import re

import pytest

from sidecar.console.pages import processes
from sidecar.redis.client import Redis
from tests.sidecar.console.browser import Browser
from tests.sidecar.ops.test_processes import write


def rows(page: str) -> list[str]:
    found = re.findall(r"(?s)<tr>\s*<th scope=\"row\".*?</tr>", page)
    return [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row)).strip() for row in found]


async def test_they_are_shown_with_what_troubles_them(viewer: Browser, redis: Redis) -> None:
    await write(redis, "a", pid=11, queues=["messages"], leases=["drain:<b>"], memory_bytes=2**20)
    await write(redis, "b", pid=12, heartbeat_age_s=120, version="0.0.1")
    await write(redis, "c", pid=13, breakers={"messages": "<i>500"}, version="0.2")
    page = await viewer.page("/processes")
    found = rows(page)
    assert [row.split()[:3] for row in found if " h:" in row] == [
        ["worker", "h:11", "runs"],
        ["worker", "h:13", "in"],
        ["worker", "h:12", "silent"],
    ]
    assert "drain:&lt;b&gt;" in page
    assert "PHP does not take messages: &lt;i&gt;500" in page
    assert "1.0 MB" in page
    assert "No worker runs for statuses, campaigns, effects" in page
    assert "Different versions run" in page


async def test_many(viewer: Browser, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MAX_SHOWN", 2)
    for number in range(5):
        await write(redis, str(number), pid=number)
    page = await viewer.page("/processes")
    assert len(rows(page)) == 2
    assert re.search(r"And \d more", page)


async def test_none(viewer: Browser, redis: Redis) -> None:
    await asyncio.sleep(0)
    await redis.delete("processes")
    assert "No process has said anything" in await viewer.page("/processes")


async def test_live(viewer: Browser, redis: Redis) -> None:
    await write(redis, "a", pid=11, queues=["messages"])
    async with viewer.events("/processes/live") as events:
        sent = await events.take(1)
    assert "worker h:11" in sent["processes"]
    assert "<form" not in sent["processes"]
