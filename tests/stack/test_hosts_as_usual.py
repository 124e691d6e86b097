"""What many hosts do, at once: Laravel 11's defaults (cache and queue in the database), a table
prefix, cached configuration and routes, opcache that does not look at files, models that are
strict, a connection that is not, and a time zone of their own. None hides another, and the contract
holds as on the plain host."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.backend import DIAGNOSIS, QueueStatus
from simulator.stack.host import Host
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import now_ms
from tests.contract.switching import switch
from tests.contract.talk import says
from tests.contract.under_test import Vendor
from tests.stack.called_sidecar import called_sidecar
from tests.stack.main_flows import MAIN, contract_tests
from tests.stack.packages import require_php_redis, require_stack
from tests.stack.php_code import run_php

HOST = Host(
    cache_store="database",
    queue="database",
    timezone="America/Sao_Paulo",
    sql_mode="",
    found_rows=True,
    strict_models=True,
    table_prefix="wa_",
    cached=True,
    opcache=True,
)
QUEUE = "whatsapp_message_queue"
LOGS = "whatsapp_message_logs"
HOUR_MS = 3_600_000

globals().update(contract_tests(**MAIN))


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaravelBackend]:
    require_stack()
    with LaravelBackend(tmp_path_factory.mktemp("laravel"), HOST) as running:
        yield running
        assert running.refused_statements() == []


def uncached(backend: LaravelBackend, **variables: str) -> dict[str, str]:
    """Return variables for a command that reads its configuration anew."""
    application = backend.installation.application
    return {**application.variables, "APP_CONFIG_CACHE": "/nonexistent/config.php", **variables}


def php(backend: LaravelBackend, code: str, **variables: str) -> Any:
    """Run the host's own code."""
    return run_php(backend.installation.application, code, variables)


def test_the_host_is_as_it_says(backend: LaravelBackend) -> None:
    """Whatever were not so would not be tested here."""
    application = backend.installation.application
    found = php(
        backend,
        """
        $db = $app['db']->connection();
        return [
            $app->configurationIsCached(), $app->routesAreCached(), $app->eventsAreCached(),
            config('cache.default'),
            config('queue.default'), config('app.timezone'), date_default_timezone_get(),
            $db->getTablePrefix(), $db->selectOne('SELECT @@sql_mode AS mode')->mode,
            $db->update('UPDATE wa_vendors SET status = status LIMIT 1'),
            Illuminate\\Database\\Eloquent\\Model::preventsLazyLoading(),
        ];
        """,
    )
    zone = HOST.timezone
    assert found == [True, True, True, "database", "database", zone, zone, "wa_", "", 1, True]
    fpm = (application.storage.parent / "fpm.conf").read_text()
    assert "env[APP_KEY]" not in fpm
    assert "opcache.validate_timestamps] = off" in fpm
    assert backend.run("SELECT `key` FROM cache") != [], "calls' ids are kept there"


# -- times ---------------------------------------------------------------------------------------


#: As the host's own code changes a row of the queue.
CHANGE = """
    $change = static function (string $uid, array $values): void {
        $rows = App\\Models\\QueuedMessage::withoutGlobalScopes();
        $row = $rows->where('_uid', $uid)->firstOrFail();
        $data = ['expiry_at' => $values['expiry_at'] ?? null] + $row->__data;
        $row->forceFill(['__data' => $data] + array_diff_key($values, ['expiry_at' => 0]))->save();
    };
"""


async def test_in_two_hours_is_in_two_hours(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    campaign = backend.seed_campaign(vendor, 2)
    first, second = campaign.row_uids
    php(
        backend,
        f"""{CHANGE}
        $change('{first}', ['scheduled_at' => now()->addHours(2)]);
        $change('{second}', ['scheduled_at' => now()->subMinute()]);""",
    )
    claim = await caller.claim(campaign)
    assert [row.uid for row in claim.rows] == [second]
    assert claim.next_due_at is not None
    assert abs(claim.next_due_at - now_ms() - 2 * HOUR_MS) < 60_000


async def test_what_the_host_lets_expire(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    """As text, or as a Carbon in JSON, which is UTC whatever the zone."""
    campaign = backend.seed_campaign(vendor, 4)
    first, second, third, fourth = campaign.row_uids
    php(
        backend,
        f"""{CHANGE}
        $change('{first}', ['expiry_at' => now()->addHour()->toDateTimeString()]);
        $change('{second}', ['expiry_at' => now()->addHour()]);
        $change('{third}', ['expiry_at' => now()->subHour()->toDateTimeString()]);
        $change('{fourth}', ['expiry_at' => now()->subHour()]);""",
    )
    claim = await caller.claim(campaign)
    assert (claim.expired, [row.uid for row in claim.rows]) == (2, [first, second])


async def test_the_host_reads_our_times_as_now(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    [result] = await caller.process(says(vendor, "hello"))
    assert result.result == "done"
    ages = php(
        backend,
        f"$row = $app['db']->table('{LOGS}')->where('vendors__id', {vendor.id})->first();"
        "return array_map(fn ($name) => abs(now()->diffInSeconds($row->{$name})),"
        " ['created_at', 'updated_at', 'messaged_at']);",
    )
    assert max(ages) < 60


async def test_the_crons_take_what_is_due(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    backend.change(QUEUE, {"status": QueueStatus.ERROR})
    mine, theirs = backend.seed_campaign(backend.seed_vendor(), 1), backend.seed_campaign(vendor, 2)
    await switch(caller, vendor, campaigns="php")
    php(backend, f"{CHANGE} $change('{theirs.row_uids[0]}', ['scheduled_at' => now()->addHour()]);")
    done = backend.installation.application.artisan("campaign:process")
    assert (done.returncode, done.stdout.split()) == (0, [theirs.row_uids[1]]), done.stderr
    [row] = backend.rows(QUEUE, _uid=mine.row_uids[0])
    assert row["status"] == QueueStatus.QUEUED


def _check(backend: LaravelBackend, **variables: str) -> str:
    done = backend.installation.application.artisan(
        "whatsapp-sidecar:check", **uncached(backend, **variables)
    )
    [line] = [line for line in done.stdout.splitlines() if " time zone: " in line]
    return line


def test_check_names_the_zone_and_sees_a_wrong_one(backend: LaravelBackend, vendor: Vendor) -> None:
    backend.seed_campaign(vendor, 1)
    assert _check(backend) == "ok      time zone: America/Sao_Paulo (app.timezone)"
    # Of a host that stores UTC, the newest row lies three hours ahead.
    utc = {"WHATSAPP_SIDECAR_TIMEZONE": "UTC"}
    ahead = (datetime.now(UTC) + timedelta(hours=3)).strftime("%Y-%m-%d %H:%M:%S")
    backend.change("contacts", {"created_at": ahead}, vendors__id=vendor.id)
    line = _check(backend)
    assert line.startswith("FAILED  time zone: the newest row was created 179 minutes from now")
    assert "set WHATSAPP_SIDECAR_TIMEZONE" in line
    assert _check(backend, **utc) == "ok      time zone: UTC (WHATSAPP_SIDECAR_TIMEZONE)"
    backend.delete("contacts", vendors__id=vendor.id)


async def test_diagnosis_tells_of_the_zone(caller: Caller) -> None:
    facts = (await caller.call(DIAGNOSIS, {}))["php"]
    assert (facts["timezone"], facts["rows_ahead_s"]) == (HOST.timezone, 0)


# -- the queue -----------------------------------------------------------------------------------


@pytest.mark.parametrize("driver", ["database", "redis"])
def test_a_broadcast_of_the_queues_worker(
    backend: LaravelBackend, vendor: Vendor, redis_url: str, driver: str
) -> None:
    """Laravel queues broadcasts: a worker on the command line hands them to the sidecar."""
    if driver == "redis":
        require_php_redis()
    application = backend.installation.application
    size = "return $app['queue']->connection()->size();"
    with called_sidecar() as sidecar:
        variables = uncached(
            backend,
            BROADCAST_DRIVER="whatsapp-sidecar",
            QUEUE_CONNECTION=driver,
            REDIS_URL=redis_url,
            **sidecar.variables,
        )
        event = f"event(new App\\VendorChanged('{vendor.uid}'));"
        assert run_php(application, event + size, variables) == 1
        assert sidecar.called("/internal/effects") == []
        done = application.artisan("queue:work", "--once", **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        assert run_php(application, size, variables) == 0
        assert backend.run("SELECT id FROM failed_jobs") == []
    [body] = sidecar.called("/internal/effects")
    assert body["vendor_uid"] == vendor.uid
    assert [effect["event"] for effect in body["effects"]] == ["App\\VendorChanged"]
