"""README's section "Install", line by line, on nginx, Laravel, MariaDB and Redis: at its end a
customer's message is in the tables, a campaign is sent, and a user of the admin sees the
console."""

import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from simulator.backend.seed import SeededVendor
from simulator.control import order, read
from simulator.stack.installation import StackInstallation
from tests.eventually import eventually
from tests.stack.newcomer import Newcomer, install_commands
from tests.stack.packages import require_stack
from tests.stack.php_code import SIDECAR, run_php

CONSOLE_URL = f"""
    $app->register(Illuminate\\Auth\\AuthServiceProvider::class);
    Illuminate\\Support\\Facades\\Gate::define('viewSidecar', static fn ($user) => true);
    $user = new Illuminate\\Auth\\GenericUser(['id' => 1, 'name' => 'Ada & Eva']);
    return {SIDECAR}::consoleUrl($user);
"""


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[StackInstallation]:
    require_stack()
    with StackInstallation(tmp_path / "stack") as running:
        running.start_redis()
        running.add(running.mariadb)
        yield running


def start_cloud_api(
    installation: StackInstallation, newcomer: Newcomer, vendor: SeededVendor
) -> None:
    url = f"{newcomer.nginx.url}/whatsapp-webhook/{vendor.uid}"
    [number] = vendor.phone_number_ids
    installation.start_cloud_api("--webhook-url", url, "--phone-number-id", number)


async def test_from_a_clone_to_a_webhook_and_a_campaign(
    tmp_path: Path, installation: StackInstallation
) -> None:
    [vendor] = installation.seed_vendors(vendors=1)
    newcomer = Newcomer(tmp_path / "new", installation)
    start_cloud_api(installation, newcomer, vendor)
    newcomer.start()
    said = {line: newcomer.run(line, vendor=vendor.uid) for line in install_commands()}
    settings = tmp_path / "new" / "checkout" / "sidecar.toml"
    assert stat.S_IMODE(settings.stat().st_mode) == 0o600
    [check] = [text for line, text in said.items() if line.startswith("sidecar check")]
    assert "FAIL" not in check

    cloud_api = installation.processes["cloud-api"]
    [number] = vendor.phone_number_ids
    order(cloud_api, "inbound", {"phone_number_id": number, "count": 1})
    await eventually(lambda: installation.tables.counts().incoming == 1)

    campaign = installation.seed_campaign(vendor.uid, 3)
    run_php(newcomer.php, f"return {SIDECAR}::sendCampaign('{campaign.uid}');")
    await eventually(lambda: not installation.tables.counts().queue)  # by their statuses
    assert installation.tables.counts().sent_messages == 3
    assert read(cloud_api, "report")["accepted"] == 3

    newcomer.switch_console_on()
    opened = run_php(newcomer.php, CONSOLE_URL)
    with httpx.Client(base_url=newcomer.nginx.url, trust_env=False) as browser:
        # nginx asks a sidecar that was restarted again after two seconds.
        await eventually(lambda: browser.get("/sidecar/sign-in").status_code == 200)
        answer = browser.get(opened, follow_redirects=True)
        assert (answer.status_code, answer.url.path) == (200, "/sidecar/")
        assert "Ada &amp; Eva" in answer.text
        assert "has been used" in browser.get(opened).text
