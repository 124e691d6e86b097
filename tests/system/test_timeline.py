"""The timeline of a message holds each event that the Cloud API saw, in order."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from contracts.cloud_api.webhook import STATUS_RANK
from contracts.jobs import Lane
from sidecar import logs
from sidecar.commands.main import main
from sidecar.inbox.status_times import read_status_times
from sidecar.ops.timeline import Found, Step, find
from sidecar.php.client import make_backend
from sidecar.redis import keys
from sidecar.redis.client import Redis, connect
from simulator.control import lines
from simulator.demo import Demo
from simulator.embedded import EmbeddedInstallation
from simulator.installation import Installation
from simulator.stack.installation import StackInstallation
from tests.conftest import MakeSettings
from tests.stack.packages import wanted
from tests.system.running import assert_complete, wait_for

MESSAGES = 40
#: Quick, often overtaken by the next one, and some fail.
CLOUD_API = (
    *("--sent-delay-ms", "5", "100"),
    *("--delivered-delay-ms", "5", "400"),
    *("--read-delay-ms", "5", "400"),
    *("--reorder-share", "0.3", "--read-share", "0.7"),
)
#: On the real stack PHP keeps no times of statuses, unless somebody wants it to.
INSTALLATIONS: list[type[Installation]] = [StackInstallation if wanted() else EmbeddedInstallation]


@pytest.fixture(scope="module", params=INSTALLATIONS, ids=lambda one: one.__name__)
def demo(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Demo]:
    """A campaign that was sent, and customers who wrote meanwhile; all parts still run."""
    installation = request.param(tmp_path_factory.mktemp("demo"))
    demo = Demo(installation, messages=MESSAGES, rate=200.0, cloud_api_options=CLOUD_API)
    with pytest.MonkeyPatch.context() as patch, installation:
        patch.setattr("simulator.demo.WORKERS", ((),))  # one for all queues
        demo.start()
        demo.start_campaign(replies=5)
        assert_complete(demo)
        # A status that another one has overtaken may still wait for its batch.
        with closing(redis.Redis.from_url(installation.redis_url)) as client:
            ready = [keys.ready(lane) for lane in Lane]
            wait_for(lambda: not client.exists(*ready), "an empty inbox")
        yield demo


@asynccontextmanager
async def _redis(demo: Demo) -> AsyncIterator[Redis]:
    client = connect(demo.installation.redis_url, timeout_s=5)
    try:
        yield client
    finally:
        await client.aclose()


async def _find(demo: Demo, make_settings: MakeSettings, query: str) -> Found:
    installation = demo.installation
    settings = make_settings(
        backend_url=installation.environment["SIDECAR_BACKEND_URL"],
        signing_keys=installation.signing_keys,
    )
    backend = make_backend(settings)
    async with _redis(demo) as client:
        try:
            return await find(client, backend, query)
        finally:
            await backend.close()


def _statuses(found: Found) -> list[tuple[str, int]]:
    return [
        (event.text.partition(":")[0], event.at_ms)
        for event in found.events
        if event.kind is Step.STATUS
    ]


def _truth(message: dict[str, Any]) -> list[tuple[str, int]]:
    """Return a message's statuses as the Cloud API has set them, in order."""
    times = [(name, 1000 * at) for name, at in message["status_times"].items()]
    return sorted(times, key=lambda one: (one[1], STATUS_RANK[one[0]]))


async def test_messages_of_a_campaign(demo: Demo, make_settings: MakeSettings) -> None:
    sent = lines(demo.cloud_api, "messages")
    assert len(sent) == MESSAGES
    for truth in random.Random(5).sample(sent, 12):
        found = await _find(demo, make_settings, truth["wamid"])
        assert (found.lost, found.notes) == ([], [])
        assert _statuses(found) == _truth(truth)
        kinds = [event.kind for event in found.events]
        first = [Step.CLAIMED, Step.ACCEPTED, Step.RECORDED]
        assert sorted(kinds, key=list(Step).index) == [*first, *[Step.STATUS] * (len(kinds) - 3)]
        assert kinds.index(Step.CLAIMED) < kinds.index(Step.ACCEPTED)
        [accepted] = [event for event in found.events if event.kind is Step.ACCEPTED]
        assert abs(accepted.at_ms - truth["accepted_at"]) < 2000
        assert accepted.details["row"] == truth["callback_data"]
        seconds = [event.at_ms // 1000 for event in found.events]
        assert seconds == sorted(seconds)
    by_number = await _find(demo, make_settings, truth["wa_id"])
    assert set(_statuses(by_number)) >= set(_statuses(found))


async def test_redis_alone_knows_every_status(demo: Demo) -> None:
    """Also those that were coalesced, or that PHP had no use for any more."""
    sent = lines(demo.cloud_api, "messages")
    async with _redis(demo) as client:
        names = [(demo.vendor.uid, truth["wamid"]) for truth in sent]
        found = await read_status_times(client, names)
    assert [sorted(times.items()) for times in found] == [sorted(_truth(one)) for one in sent]


async def test_what_customers_wrote(demo: Demo, make_settings: MakeSettings) -> None:
    for truth in lines(demo.cloud_api, "inbound"):
        found = await _find(demo, make_settings, truth["wamid"])
        assert [event.kind for event in found.events] == [
            Step.WRITTEN,
            Step.RECEIVED,
            Step.STORED,
        ]
        written, received, _ = found.events
        assert written.at_ms == truth["created_at"] // 1000 * 1000
        assert received.at_ms >= truth["created_at"]


def _run(demo: Demo, *arguments: str) -> Result:
    installation = demo.installation
    environment = {**installation.environment, "SIDECAR_PORT": "1"}
    return CliRunner().invoke(main, list(arguments), env=environment)


async def test_the_command_prints_it(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    truth = lines(demo.cloud_api, "messages")[0]
    result = await asyncio.to_thread(_run, demo, "find", truth["wamid"])
    assert result.exit_code == 0, result.output
    assert "the sidecar claimed it" in result.stdout
    assert f"the Cloud API accepted it as {truth['wamid']}" in result.stdout
    assert "sent" in result.stdout
