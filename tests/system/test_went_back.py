"""Redis's files are put back to how they were, on real processes, while a campaign is sent and
customers are answered: nothing is sent twice, nothing is left, and it is named."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from contracts.bots import TriggerType
from simulator.backend.seed_bots import SeedBot
from simulator.control import read
from simulator.demo import Demo
from simulator.embedded import EmbeddedInstallation
from tests.system.running import QUICK_CUSTOMERS, wait_for, wait_for_accepted
from tests.system.test_status import WORKERS, look

MESSAGES = 400
RATE = 40.0
REPLIES = 40

pytestmark = pytest.mark.timeout(240)


class Answering(Demo):
    def prepare(self) -> None:
        self.installation.seed_bots(self.vendor.uid, [SeedBot(TriggerType.IS, "*", "Thank you!")])


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    installation = EmbeddedInstallation(tmp_path)
    demo = Answering(installation, messages=MESSAGES, rate=RATE, cloud_api_options=QUICK_CUSTOMERS)
    installation.configure(
        lease_ttl_ms=1500,
        reconcile_interval_s=0.2,
        backend_timeout_s=5,
        due_campaigns_interval_s=1,
        stale_claim_s=30,
    )
    with installation:
        demo.start()
        demo.start_campaign(replies=REPLIES)
        yield demo


def go_back(demo: Demo, kill: tuple[str, ...]) -> None:
    """Copy Redis's files, go on for longer than PHP may not have been told, kill it and others, and
    put the files back."""
    installation = demo.installation
    files, copy = installation.folder / "redis", installation.folder / "redis-copy"
    shutil.copytree(files, copy)
    time.sleep(2.5)
    for name in ("redis", *kill):
        installation.crash(name)
    shutil.rmtree(files)
    shutil.copytree(copy, files)
    for name in ("redis", *kill):
        installation.restart(name)


def is_named(demo: Demo) -> bool:
    found, _ = look(demo)
    return any(problem["code"] == "redis-went-back" for problem in found["problems"])


def nothing_left(demo: Demo) -> bool:
    queue = demo.installation.tables.counts().queue
    with redis.Redis.from_url(demo.installation.redis_url) as client:
        waiting = client.exists("outbox:send_message") or client.hlen("ledgers")
    idle = read(demo.cloud_api, "report")["idle"]
    return bool(idle and not waiting and not queue.get(1) and not queue.get(3))


@pytest.mark.parametrize(
    ("killed", "again"),
    [((), False), ((*WORKERS, "sidecar"), True)],
    ids=["redis alone", "everybody, and workers again while it is compared"],
)
def test_redis_goes_back(demo: Demo, killed: tuple[str, ...], again: bool) -> None:
    wait_for_accepted(demo, 80)
    go_back(demo, killed)
    if again:
        for pause_s in (1.0, 2.6, 3.4):
            time.sleep(pause_s)
            for name in WORKERS:
                demo.installation.crash(name)
            for name in WORKERS:
                demo.installation.restart(name)
    wait_for(lambda: is_named(demo), "what happened to be named")
    wait_for(lambda: nothing_left(demo), "every row to be out of 1 and 3")
    report = read(demo.cloud_api, "report")
    assert report["sent_twice"] == 0
    found = demo.installation.tables.counts()
    assert not found.doubles
    assert found.sent_messages + found.queue.get(6, 0) >= MESSAGES
