"""The parts of the real stack are killed, suspended and brought back by their names."""

import time
from collections.abc import Iterator

import httpx
import pytest
import redis

from contracts.backend import VENDOR_CONFIG
from contracts.signing import Audience, Signer
from simulator import process_group
from simulator.backend.seed import SeededVendor
from simulator.installation import Installation
from simulator.stack.database import SqlError
from simulator.stack.installation import StackInstallation
from tests.stack.packages import require_stack

CHILDREN = {"nginx": 2, "php-fpm": 2}


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackInstallation]:
    require_stack()
    folder = tmp_path_factory.mktemp("stack")
    with StackInstallation(folder, php_workers=2, durable=True) as installation:
        installation.start_redis()
        installation.start_backend()
        yield installation


@pytest.fixture(scope="module")
def vendor(installation: StackInstallation) -> SeededVendor:
    [vendor] = installation.seed_vendors(phone_number_ids=["1"])
    return vendor


def asked(installation: Installation, vendor: SeededVendor, timeout_s: float = 10) -> int:
    """Ask PHP for the vendor, as the sidecar does, and return the answer's status; 0 for none."""
    body = f'{{"vendor_uids": ["{vendor.uid}"]}}'.encode()
    key_id, secret = installation.SIGNING_KEY
    headers = Signer(Audience.BACKEND, key_id, secret.encode()).headers("POST", VENDOR_CONFIG, body)
    url = installation.environment["SIDECAR_BACKEND_URL"] + VENDOR_CONFIG
    try:
        answer = httpx.post(url, content=body, headers=headers, timeout=timeout_s)
    except httpx.TransportError:
        return 0
    assert answer.status_code != 200 or vendor.uid in answer.text
    return answer.status_code


@pytest.mark.parametrize("name", ["mariadb", "php-fpm", "nginx"])
def test_a_part_is_killed_and_comes_back(
    installation: StackInstallation, vendor: SeededVendor, name: str
) -> None:
    assert asked(installation, vendor) == 200
    part = installation.processes[name]
    pid = part.pid
    assert len(process_group.members(pid)) == 1 + CHILDREN.get(name, 0)
    installation.crash(name)
    assert not process_group.members(pid)
    assert asked(installation, vendor) in (0, 500, 502)
    installation.start(name)
    assert part.pid != pid
    assert asked(installation, vendor) == 200


@pytest.mark.parametrize("name", ["mariadb", "php-fpm", "nginx"])
def test_a_part_is_suspended_and_goes_on(
    installation: StackInstallation, vendor: SeededVendor, name: str
) -> None:
    installation.suspend(name)
    try:
        assert asked(installation, vendor, timeout_s=0.3) == 0
    finally:
        installation.resume(name)
    assert asked(installation, vendor) == 200


def test_redis_keeps_what_it_has_answered(installation: StackInstallation) -> None:
    with redis.Redis.from_url(installation.redis_url) as client:
        client.set("kept", "1")
        installation.restart("redis")
        assert client.get("kept") == b"1"
        assert client.config_get("appendfsync") == {"appendfsync": "always"}


def test_mariadb_keeps_what_it_has_committed(
    installation: StackInstallation, vendor: SeededVendor
) -> None:
    """And those who look from outside need not know that it was away."""
    campaign = installation.seed_campaign(vendor.uid, 3)
    installation.crash("mariadb")
    with pytest.raises(SqlError):
        installation.tables.counts()
    installation.start("mariadb")
    assert installation.tables.counts().queue == {1: len(campaign.row_uids)}
    [row] = installation.database.rows("SELECT @@innodb_flush_log_at_trx_commit AS it")
    assert row == {"it": 1}


def test_what_others_run_is_counted(installation: StackInstallation, vendor: SeededVendor) -> None:
    before = installation.backend_statements(), installation.backend_requests()
    installation.tables.counts()
    assert installation.backend_statements() == before[0]
    asked(installation, vendor)
    # use, set, and the vendor with its settings
    assert installation.backend_statements() == before[0] + 3
    # nginx writes its log when the answer has been given.
    end = time.monotonic() + 5
    while installation.backend_requests() == before[1] and time.monotonic() < end:
        time.sleep(0.02)
    assert installation.backend_requests() - before[1] == {"vendor-config": 1}
