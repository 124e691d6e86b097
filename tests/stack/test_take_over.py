"""The whole on the real thing: webhooks while the sidecar is stopped, started, stopped and killed.
Every one is in PHP's table or applied, none twice, and in the end the table is empty."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator

import aiohttp
import orjson
import pytest

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from simulator.backend.seed import SeededVendor
from simulator.stack.installation import StackInstallation
from simulator.stack.packages import MYSQL, database_server
from tests.eventually import eventually
from tests.nginx.installation import PHONE_NUMBER_ID, Meta, accounting, wamid_of
from tests.sidecar.payloads import message_webhook
from tests.stack.packages import require_stack

WAIT_S = 60.0
STORED = "SELECT COUNT(*) AS found FROM whatsapp_webhook_queue"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackInstallation]:
    require_stack()
    with StackInstallation(tmp_path_factory.mktemp("stack")) as installation:
        installation.start_redis()
        installation.start_backend()
        installation.configure(
            due_campaigns_interval_s=0.5, reconcile_interval_s=0.1, lease_ttl_ms=2000
        )
        installation.start_sidecar()
        installation.start_worker()
        yield installation


@pytest.fixture(scope="module")
def vendor(installation: StackInstallation) -> SeededVendor:
    [vendor] = installation.seed_vendors(phone_number_ids=[PHONE_NUMBER_ID])
    return vendor


def _stored(installation: StackInstallation) -> int:
    return int(installation.database.rows(STORED)[0]["found"])


def _assert_stored_as_sent(installation: StackInstallation, meta: Meta, wamids: set[str]) -> None:
    """Everything of these is there, and MariaDB keeps it so that Meta's signature fits."""
    same: Callable[[bytes], object] = orjson.loads if database_server() is MYSQL else bytes
    stored = {}
    for row in installation.database.rows("SELECT payload, headers FROM whatsapp_webhook_queue"):
        signature = orjson.loads(row["headers"])[SIGNATURE_HEADER.lower()]
        stored[wamid_of(row["payload"])] = (same(row["payload"].encode()), signature)
    secret = installation.APP_SECRET.encode()
    for wamid in wamids:
        body = meta.acknowledged[wamid]
        assert stored[wamid] == (same(body), sign(secret, body))


async def _assert_complete(installation: StackInstallation, meta: Meta) -> None:
    sent = meta.acknowledged

    def applied() -> Counter[str]:
        return Counter(installation.tables.incoming_wamids())

    await eventually(lambda: sent.keys() <= applied().keys(), WAIT_S, every_s=0.2)
    await eventually(lambda: not _stored(installation), WAIT_S, every_s=0.2)
    found = applied()
    assert {wamid: found[wamid] for wamid in sent} == dict.fromkeys(sent, 1)

    async def is_quiescent() -> bool:
        found = await accounting(installation.redis_url)
        assert found is not None
        return found.webhooks.parts["waiting"] == found.updates.parts["waiting"] == 0

    await eventually(is_quiescent, WAIT_S, every_s=0.2)


async def test_stopped_started_stopped_and_killed(
    installation: StackInstallation, vendor: SeededVendor
) -> None:
    async with aiohttp.ClientSession() as session:
        meta = Meta(installation.webhook_url(vendor.uid), session)
        await meta.send(100)
        assert _stored(installation) == 0
        for end in ("stop", "kill"):
            for name in ("worker", "sidecar"):
                getattr(installation.processes[name], end)()
            before = set(meta.acknowledged)
            await meta.send(300)
            _assert_stored_as_sent(installation, meta, meta.acknowledged.keys() - before)
            await asyncio.to_thread(installation.start, "sidecar")
            await asyncio.to_thread(installation.start, "worker")
            await meta.send(100)
            await eventually(lambda: _stored(installation) < 300, WAIT_S)
        await _assert_complete(installation, meta)
        assert set(meta.answers) == {200}


async def test_each_reaches_the_sidecar_and_php_at_the_same_moment(
    installation: StackInstallation, vendor: SeededVendor
) -> None:
    """As when the sidecar has a webhook just when nginx gives up on it: it is applied once."""
    path = f"/whatsapp-webhook/{vendor.uid}"
    async with aiohttp.ClientSession() as session:
        meta = Meta(installation.webhook_url(vendor.uid), session)

        async def post(url: str, body: bytes) -> None:
            headers = {SIGNATURE_HEADER: sign(installation.APP_SECRET.encode(), body)}
            async with session.post(url, data=body, headers=headers) as answer:
                assert answer.status == 200, await answer.text()

        async def twice(number: int) -> None:
            body = message_webhook(20_000_000 + number)
            nginx = installation.nginx
            await asyncio.gather(
                post(nginx.internal_url + path, body), post(nginx.url + path, body)
            )
            meta.acknowledged[wamid_of(body)] = body

        await asyncio.gather(*(twice(number) for number in range(60)))
        await _assert_complete(installation, meta)
