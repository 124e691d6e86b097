"""A rolling upgrade from the version before, and back, in the middle of a campaign: on one Redis,
old workers beside a new `serve`, and new ones beside an old one, take over each other's work."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from simulator.control import read
from simulator.demo import PHONE_NUMBER_ID, Demo
from simulator.embedded import EmbeddedInstallation
from simulator.processes import Process, python
from tests.system.running import QUICK_CUSTOMERS, assert_complete, wait_for_accepted
from tests.upgrade import previous

MESSAGES = 500
RATE = 80.0
#: Rows that a worker that is killed may leave unknown.
MAX_UNKNOWN = int(RATE / 10)


class Versions(EmbeddedInstallation):
    """``code`` is where the sidecar and the workers that are started from now on come from; None:
    this version."""

    code: Path | None = None

    def _add_python(self, name: str, *arguments: str, **options: Any) -> Process:
        if self.code is None or arguments[0] == "simulator":
            return super()._add_python(name, *arguments, **options)
        command = previous.runs_from(python(*arguments), self.code)
        return self.add(Process(name, command, self.folder / f"{name}.log", **options))

    def replace_worker(self, *, kill: bool = False) -> None:
        """Start a worker beside the one that runs, which ends then."""
        old = self.processes.pop("worker")
        old.name = "worker-before"
        self.processes[old.name] = old
        self.start_worker(name="worker")
        if kill:
            old.kill()
        else:
            assert old.stop() == 0, old.last_words()
        del self.processes[old.name]

    def replace_sidecar(self) -> None:
        old = self.processes.pop("sidecar")
        assert old.stop() == 0, old.last_words()
        self.configure(port=old.port)
        self.start_sidecar()


class OneWorker(Demo):
    """The demo with one worker for all queues."""

    def start(self) -> None:
        installation = self.installation
        installation.start_redis()
        installation.start_backend()
        [self.vendor] = installation.seed_vendors(
            phone_number_ids=[PHONE_NUMBER_ID], messages_per_second=self.rate
        )
        installation.start_sidecar()
        installation.start_cloud_api(
            *("--phone-number-id", PHONE_NUMBER_ID, "--rate", str(self.rate)),
            *("--webhook-url", installation.webhook_url(self.vendor.uid)),
            *QUICK_CUSTOMERS,
        )
        installation.start_worker(name="worker")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = previous.unpack(tmp_path_factory.mktemp("before") / "code")
    assert previous.loaded_from(folder) == {folder}
    return folder


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Versions]:
    with Versions(tmp_path) as installation:
        installation.configure(lease_ttl_ms=1500, reconcile_interval_s=0.2, backend_timeout_s=5)
        yield installation


@pytest.mark.parametrize("back", [False, True], ids=["upgrade", "back"])
def test_in_the_middle_of_a_campaign(installation: Versions, before: Path, back: bool) -> None:
    first, then = (None, before) if back else (before, None)
    installation.code = first
    demo = OneWorker(installation, messages=MESSAGES, rate=RATE)
    demo.start()
    demo.start_campaign(replies=40)
    wait_for_accepted(demo, 80)
    installation.code = then
    installation.replace_worker()  # another version's serve
    # What PHP does not take now waits in Redis, written by one version and read by the other.
    wait_for_accepted(demo, 140)
    installation.crash("backend")
    time.sleep(0.7)
    installation.restart("backend")
    wait_for_accepted(demo, 200)
    installation.code = first
    installation.replace_worker(kill=True)  # who finds in the ledger what the other has left
    wait_for_accepted(demo, 300)
    installation.code = then
    installation.replace_sidecar()  # another version's worker
    wait_for_accepted(demo, 380)
    installation.replace_worker()
    assert_complete(demo, unknown=MAX_UNKNOWN)
    assert read(demo.cloud_api, "report")["numbers"][PHONE_NUMBER_ID]["throttled"] == 0
    with redis.Redis.from_url(installation.redis_url) as client:
        assert not client.exists("ledgers", "campaigns", "deferred:messages", "deferred:statuses")
        assert not client.keys("dead:letters:*")
