"""A host with several connections: the tables are not on the default one, reads go to a replica
that lags, transactions have the connection's own isolation, and the clocks of its zone change. And
what the sidecar does while such a host is in maintenance."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from contracts.backend import VENDOR_CONFIG, QueueStatus
from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from sidecar.ops.accounting import Counters
from sidecar.redis.client import connect
from simulator.backend.seed import SeededVendor
from simulator.stack.host import Host
from simulator.stack.installation import StackInstallation
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.switching import switch
from tests.contract.under_test import Vendor
from tests.eventually import eventually
from tests.nginx.installation import PHONE_NUMBER_ID, wamid_of
from tests.sidecar.payloads import message_webhook
from tests.stack.main_flows import MAIN, contract_tests
from tests.stack.packages import require_stack
from tests.stack.php_code import run_php

HOST = Host(own_connection=True, replica=True, timezone="Europe/Berlin", isolation="")
QUEUE = "whatsapp_message_queue"
ACTIONS = "WhatsappSidecar\\Laravel\\Actions"
CLOCK = "WhatsappSidecar\\Laravel\\Support\\Clock"
KEY = f"first:{LaravelBackend.keys['first'].decode()}"
WAIT_S = 120.0
#: Of those that the other host has passed: where transactions and locks decide.
MODULES = (
    *("claims", "send_results", "release", "early_statuses", "messages", "modes"),
    *("due_campaigns", "pending_webhooks", "signing"),
)

globals().update(contract_tests(**{module: MAIN[module] for module in MODULES}))


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaravelBackend]:
    require_stack()
    with LaravelBackend(tmp_path_factory.mktemp("laravel"), HOST) as running:
        yield running
        assert running.refused_statements() == []


def test_the_host_is_as_it_says(backend: LaravelBackend, vendor: Vendor) -> None:
    found = run_php(
        backend.installation.application,
        """
        $tables = $app['db']->connection('whatsapp');
        return [
            config('app.timezone'), $app['db']->connection()->getDatabaseName(),
            $tables->getDatabaseName(), App\\Models\\Vendor::query()->count() > 0,
            App\\Models\\Vendor::query()->useWritePdo()->count() > 0,
            config('whatsapp-sidecar.isolation'),
        ];
        """,
    )
    assert found == ["Europe/Berlin", "elsewhere", "reference", False, True, None]


@pytest.mark.parametrize("sticky", ["0", "1"])
def test_what_a_request_reads_after_it_has_written(
    backend: LaravelBackend, vendor: Vendor, sticky: str
) -> None:
    found = run_php(
        backend.installation.application,
        f"""
        App\\Models\\Vendor::query()->where('_id', {vendor.id})->update(['slug' => 'written']);
        return App\\Models\\Vendor::query()->where('_id', {vendor.id})->exists();
        """,
        {"DB_STICKY": sticky},
    )
    assert found is (sticky == "1")


@pytest.mark.parametrize("sticky", ["0", "1"])
async def test_a_cron_whose_replica_lags(
    caller: Caller, backend: LaravelBackend, vendor: Vendor, sticky: str
) -> None:
    """What it reads of a vendor who is the sidecar's now, it leaves alone."""
    backend.change(QUEUE, {"status": QueueStatus.ERROR})
    campaign = backend.seed_campaign(vendor, 2)
    await switch(caller, vendor, campaigns="php")
    backend.installation.copy_to_replica()
    await switch(caller, vendor, campaigns="sidecar")
    application = backend.installation.application
    done = application.artisan("campaign:process", DB_STICKY=sticky)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    rows = backend.rows(QUEUE, campaigns__id=campaign.id)
    assert [row["status"] for row in rows] == [QueueStatus.QUEUED] * 2


async def test_where_the_clocks_go_back(backend: LaravelBackend, vendor: Vendor) -> None:
    """From 03:00 to 02:00 on 25 October 2026, 01:00 UTC. What is written is read as text."""
    campaign = backend.seed_campaign(vendor, 2)
    first, second = campaign.row_uids
    found = run_php(
        backend.installation.application,
        f"""
        $back = strtotime('2026-10-25T01:00:00Z') * 1000;
        $clock = new class extends {CLOCK} {{
            public int $ms = 0;
            public function nowMs(): int {{ return $this->ms; }}
        }};
        $app->instance({CLOCK}::class, $clock);
        $row = static fn (string $uid) => $app['db']->connection('whatsapp')->table('{QUEUE}')
            ->useWritePdo()->where('_uid', $uid);
        $due = static fn (string $uid, string $at) => $row($uid)->update(['scheduled_at' => $at]);
        $stale = static fn () => $app->make({ACTIONS}\\ListDueCampaigns::class)
            ->handle('{{"campaign_uids": [], "stale_after_s": 300}}')['made_unknown'];
        $claim = static fn () => $app->make({ACTIONS}\\ClaimMessages::class)->handle(json_encode([
            'vendor_uid' => '{vendor.uid}', 'campaign_uid' => '{campaign.uid}', 'claim_uid' => 'c',
            'fence' => 1, 'limit' => 10,
        ]));

        // Claimed at 02:01, when it was 02:58 three minutes ago.
        $clock->ms = $back + 60_000;
        $due('{first}', '2026-10-25 02:00:00');
        $due('{second}', '2026-10-25 02:30:00');
        $claimed = $claim();
        $clock->ms = $back + 120_000;
        $early = $stale();

        // Requeued at 02:55 before, for ten minutes: 02:05 would be due at once.
        $clock->ms = $back - 300_000;
        $app->make({ACTIONS}\\RecordResults::class)->handleOne(json_encode([
            'uid' => '{first}', 'vendor_uid' => '{vendor.uid}', 'campaign_uid' => '{campaign.uid}',
            'outcome' => 'requeue', 'attempted' => true, 'at' => $back - 300_000,
            'phone_number_id' => '1', 'due_at' => $back + 300_000,
        ]));
        return [
            array_column($claimed['rows'], 'uid'), $claimed['next_due_at'] - $back, $early,
            $row('{first}')->value('scheduled_at'), count($claim()['rows']),
        ];
        """,
    )
    # The other row, of 02:30, is due half an hour later, and was so half an hour before.
    assert found == [[first], 1_800_000, 0, "2026-10-25 03:00:00", 1]


# -- maintenance ---------------------------------------------------------------------------------


@contextmanager
def down(installation: StackInstallation, **how: Any) -> Iterator[None]:
    """Take the application down, as ``php artisan down`` with these options does."""
    folder = installation.application.storage / "framework"
    if how.get("template"):
        stub = "Illuminate/Foundation/Console/stubs/maintenance-mode.stub"
        shutil.copy(Path("/usr/share/php") / stub, folder / "maintenance.php")
    (folder / "down").write_bytes(orjson.dumps({"status": 503, **how}))
    try:
        yield
    finally:
        (folder / "down").unlink(missing_ok=True)
        (folder / "maintenance.php").unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ({}, 503, "maintenance"),
        ({"redirect": "/soon", "retry": 60}, 503, "maintenance"),
        ({"status": 200}, 503, "maintenance"),
        # PHP's own code does not run then.
        ({"template": "<h1>Soon</h1>"}, 503, None),
    ],
)
async def test_internal_calls_are_told_of_maintenance(
    caller: Caller, backend: LaravelBackend, how: dict[str, Any], status: int, code: str | None
) -> None:
    body = b'{"vendor_uids": ["nobody"]}'
    signed = {
        "Content-Type": "application/json",
        **caller.signer.headers("POST", VENDOR_CONFIG, body),
    }
    with down(backend.installation, **how):
        answer = await caller.raw(VENDOR_CONFIG, body, signed)
    assert answer.status == status
    assert code is None or answer.code == code
    assert (await caller.raw(VENDOR_CONFIG, body, signed)).status == 200, "it was not taken"


@pytest.fixture(scope="module")
def served(backend: LaravelBackend) -> tuple[StackInstallation, SeededVendor]:
    """A sidecar and a worker beside the host, and a vendor for them."""
    installation = backend.installation
    installation.configure(
        signing_keys=KEY, due_campaigns_interval_s=0.5, reconcile_interval_s=0.1, lease_ttl_ms=2000
    )
    installation.start_redis()
    [vendor] = installation.seed_vendors(
        phone_number_ids=[PHONE_NUMBER_ID], messages_per_second=20.0
    )
    installation.start_cloud_api(
        *("--phone-number-id", PHONE_NUMBER_ID),
        *("--webhook-url", installation.webhook_url(vendor.uid)),
    )
    installation.start_sidecar()
    installation.start_worker()
    return installation, vendor


def _status(installation: StackInstallation) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "sidecar.commands.main", "status"],
        env={**os.environ, **installation.environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


async def test_the_sidecar_waits_and_says_so(
    backend: LaravelBackend, served: tuple[StackInstallation, SeededVendor]
) -> None:
    """In the middle of a campaign, while customers write; nothing is lost, given up or doubled."""
    installation, vendor = served
    secret = installation.APP_SECRET.encode()
    bodies = [message_webhook(number) for number in range(10)]

    async def post(session: aiohttp.ClientSession, body: bytes) -> bool:
        """Post as Meta does, which comes again: where the sidecar is too slow, nginx asks PHP."""
        headers = {SIGNATURE_HEADER: sign(secret, body), "Content-Type": "application/json"}
        url = installation.webhook_url(vendor.uid)
        async with session.post(url, data=body, headers=headers) as answer:
            return answer.status == 200

    def sent() -> list[str | None]:
        return [one.queue_row_uid for one in installation.tables.outgoing_messages(vendor.uid)]

    campaign = installation.seed_campaign(vendor.uid, 40)
    await eventually(lambda: len(sent()) >= 5, WAIT_S)
    with down(installation):
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(
                *(eventually(partial(post, session, body), WAIT_S, every_s=0.5) for body in bodies)
            )
        status = _status(installation)
        assert "[php-in-maintenance]" in status
        assert "php artisan up" in status
        assert "php-unavailable" not in status
        stored = set(installation.tables.incoming_wamids(vendor.uid))
        assert stored == set()

    def is_done() -> bool:
        incoming = installation.tables.incoming_wamids(vendor.uid)
        return len(sent()) == 40 and len(incoming) == len(bodies)

    try:
        await eventually(is_done, WAIT_S, every_s=0.1)
    finally:
        assert is_done(), (installation.tables.counts(vendor.uid), installation.backend_errors())
    assert Counter(sent()) == Counter(campaign.row_uids)
    assert Counter(installation.tables.incoming_wamids(vendor.uid)) == Counter(
        wamid_of(body) for body in bodies
    )
    await eventually(lambda: not installation.tables.counts(vendor.uid).queue, WAIT_S, every_s=0.1)
    async with aclosing(connect(installation.redis_url, timeout_s=5.0)) as redis:
        everybody = await Counters(redis).read()
    [found] = [one for one in everybody if one.vendor_uid == vendor.uid]
    assert found.balanced
    assert found.updates.parts["dead"] == found.sends.parts["unknown"] == 0
