"""The console's overview of a demo that has come to rest, beside what the Cloud API counted."""

import re
from contextlib import aclosing

import httpx

from contracts.console import Role
from sidecar.console.sessions import Origin, Sessions
from sidecar.redis.client import connect
from simulator.control import read
from simulator.demo import Demo
from tests.eventually import eventually


async def assert_overview_is_true(demo: Demo) -> None:
    """Look at it as somebody who is signed in."""
    report = read(demo.cloud_api, "report")
    expected = {
        "Webhooks taken": report["webhooks"]["acknowledged"],
        "Webhooks refused": 0,
        "Messages sent": report["accepted"],
        "Sends not accepted": 0,
        "Inbox, messages": 0,
        "Inbox, statuses": 0,
        "Dead letters": 0,
    }
    async with aclosing(connect(demo.installation.redis_url, timeout_s=5.0)) as redis:
        sessions = Sessions(redis, longest_s=60, idle_s=60)
        token = await sessions.open("ada", Role.LOOK, Origin.LINK)
    url = demo.installation.processes["sidecar"].url
    async with httpx.AsyncClient(cookies={"sidecar_session": token}) as client:

        async def is_true() -> bool:
            page = (await client.get(f"{url}/sidecar/")).text
            tile = r"<dt>([^<]*)</dt><dd>([\d,]*)[^<]*</dd>(?:<dd class=\"small\">([\d,]+) in all)?"
            found = {
                name: int((total or value).replace(",", ""))
                for name, value, total in re.findall(tile, page)
                if name in expected and (total or value)
            }
            return found == expected

        # Processes publish what they count once a second.
        await eventually(is_true, every_s=0.2)
