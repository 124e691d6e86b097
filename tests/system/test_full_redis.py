"""More webhooks than Redis has room for: they are refused early, and what was taken goes on."""

import asyncio
from collections import Counter
from pathlib import Path

import aiohttp
import redis

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from simulator.embedded import EmbeddedInstallation
from tests.eventually import eventually
from tests.sidecar.payloads import message_webhook
from tests.system.running import WAIT_S

PHONE_NUMBER_ID = "110000000000001"
#: What is left above the share has room for what a drain reads at a time.
FREE = 192 * 1024 * 1024
SHARE = 0.6
SIZE = 60_000


class Flood:
    """Posts customers' messages of 60 kB, a few at a time. ``answers`` are counted by status."""

    def __init__(self, url: str) -> None:
        self.answers: Counter[int] = Counter()
        self._url = url
        self._next = 0

    async def post(self, session: aiohttp.ClientSession) -> int:
        self._next += 1
        body = message_webhook(self._next, "x" * SIZE)
        signature = sign(EmbeddedInstallation.APP_SECRET.encode(), body)
        headers = {SIGNATURE_HEADER: signature}
        async with session.post(self._url, data=body, headers=headers) as answer:
            self.answers[answer.status] += 1
            return answer.status

    async def until_refused(self) -> None:
        async with aiohttp.ClientSession() as session:
            while self.answers[503] < 100:
                await asyncio.gather(*(self.post(session) for _ in range(20)))

    async def until_taken(self) -> None:
        async with aiohttp.ClientSession() as session:

            async def taken() -> bool:
                return await self.post(session) == 200

            await eventually(taken, WAIT_S, every_s=0.1)


async def test_a_flood_while_php_is_down(tmp_path: Path) -> None:
    installation = EmbeddedInstallation(tmp_path)
    installation.configure(inbox_memory_share=SHARE)
    with installation:
        installation.start_redis()
        installation.start_backend()
        [vendor] = installation.seed_vendors(phone_number_ids=[PHONE_NUMBER_ID])
        installation.start_sidecar()
        installation.start_worker()
        flood = Flood(installation.webhook_url(vendor.uid))
        await flood.until_taken()
        with redis.Redis.from_url(installation.redis_url) as client:
            used = int(client.info("memory")["used_memory"])
            client.config_set("maxmemory", used + FREE)
            installation.crash("backend")
            await flood.until_refused()
            installation.start("backend")

            def all_arrived() -> bool:
                return installation.tables.counts().incoming == flood.answers[200]

            await eventually(all_arrived, WAIT_S, every_s=0.05)
            await flood.until_taken()
            await eventually(all_arrived, WAIT_S, every_s=0.05)
            assert "errorstat_OOM" not in client.info("errorstats"), "Redis never refused anything"
        wamids = installation.tables.incoming_wamids()
        assert len(set(wamids)) == len(wamids)
        assert set(flood.answers) == {200, 503}
