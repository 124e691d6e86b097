"""An installation whose writes must be on a replica, and whose replica comes and goes."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from simulator.embedded import EmbeddedInstallation
from simulator.processes import python
from simulator.redis_pair import RedisPair
from tests.eventually import eventually
from tests.sidecar.payloads import message_webhook

PHONE_NUMBER_ID = "110000000000001"
CODE = "redis-replicas-missing"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[RedisPair]:
    with RedisPair(tmp_path / "pair") as pair:
        yield pair


@pytest.fixture
def installation(tmp_path: Path, pair: RedisPair) -> Iterator[EmbeddedInstallation]:
    with EmbeddedInstallation(tmp_path) as installation:
        installation.configure(
            redis_url=pair.primary.url,
            redis_replicas_in_sync=1,
            redis_replicas_timeout_ms=100,
            due_campaigns_interval_s=0.5,
        )
        installation.start_backend()
        yield installation


async def command(installation: EmbeddedInstallation, *arguments: str) -> dict[str, Any]:
    """Return what a command says."""
    done = await asyncio.to_thread(
        subprocess.run,
        python("sidecar.commands.main", *arguments, "--json"),
        env={**os.environ, **installation.environment},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stdout, done.stderr.decode()
    return dict(json.loads(done.stdout))


async def problems(installation: EmbeddedInstallation) -> dict[str, str]:
    found = await command(installation, "status")
    return {problem["code"]: problem["what"] for problem in found["problems"]}


async def post(url: str, number: int) -> int:
    body = message_webhook(number)
    headers = {SIGNATURE_HEADER: sign(EmbeddedInstallation.APP_SECRET.encode(), body)}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers=headers) as answer,
    ):
        return answer.status


async def test_a_replica_stands_still_and_comes_back(
    installation: EmbeddedInstallation, pair: RedisPair
) -> None:
    """What was refused and written all the same comes to PHP twice, and counts once."""
    [vendor] = installation.seed_vendors(phone_number_ids=[PHONE_NUMBER_ID])
    sidecar = installation.start_sidecar()
    installation.start_worker()
    webhook_url = installation.webhook_url(vendor.uid)
    assert await post(webhook_url, 1) == 200
    assert CODE not in await problems(installation)
    pair.replica.suspend()
    for number in (2, 3):
        assert await post(webhook_url, number) == 503
        # As nginx does.
        fallback = f"{installation.processes['backend'].url}/whatsapp-webhook/{vendor.uid}"
        assert await post(fallback, number) == 200

    async def told() -> bool:
        said = (await problems(installation)).get(CODE, "")
        return "0 of 1 replicas" in said and "nothing is sent" in said

    await eventually(told)
    [line] = [one for one in await _lines(installation) if one["what"] == "redis replicas"]
    assert line["level"] == "FAIL"
    async with aiohttp.ClientSession() as session, session.get(f"{sidecar.url}/readyz") as answer:
        assert answer.status == 503
    pair.replica.resume()

    async def over() -> bool:
        return CODE not in await problems(installation)

    await eventually(over)
    assert await post(webhook_url, 4) == 200
    await eventually(lambda: installation.tables.counts().incoming >= 4)
    await asyncio.sleep(1.0)
    wamids = installation.tables.incoming_wamids()
    assert len(wamids) == len(set(wamids)) == 4
    [line] = [one for one in await _lines(installation) if one["what"] == "redis replicas"]
    assert line["level"] == "OK"


async def _lines(installation: EmbeddedInstallation) -> list[dict[str, Any]]:
    return list((await command(installation, "check"))["lines"])


async def test_going_on_without_it_is_said(
    installation: EmbeddedInstallation, pair: RedisPair
) -> None:
    installation.configure(redis_replicas_missing="go_on")
    [vendor] = installation.seed_vendors(phone_number_ids=[PHONE_NUMBER_ID])
    installation.start_sidecar()
    pair.replica.kill()

    async def told() -> bool:
        return "may be lost" in (await problems(installation)).get(CODE, "")

    await eventually(told)  # also where nothing comes in
    assert await post(installation.webhook_url(vendor.uid), 1) == 200
    pair.replica.start()
    pair.follow("127.0.0.1", pair.primary.port)

    async def over() -> bool:
        return CODE not in await problems(installation)

    await eventually(over)
