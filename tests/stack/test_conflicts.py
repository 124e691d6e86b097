"""What loses against another transaction: the whole of it is made again, but never what the host
has begun."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from contracts import backend as contract
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import change
from tests.contract.switching import switch
from tests.contract.talk import says
from tests.contract.under_test import Vendor
from tests.stack.php_code import run_php
from tests.stack.test_indexes import everything

QUEUE = "whatsapp_message_queue"
LOGS = "whatsapp_message_logs"

PENDING = f"""
    INSERT INTO whatsapp_webhook_queue (_uid, created_at, vendors__id, headers, payload)
    SELECT UUID(), created_at, ?, '{{}}', '{{}}' FROM {QUEUE} WHERE campaigns__id = ?
"""

TABLES = (
    *("vendor_settings", "contacts", "campaigns"),
    *(QUEUE, LOGS, "whatsapp_webhook_queue"),
)

#: What is written without a transaction.
STORED = """
    $vendor = $app->make(WhatsappSidecar\\Laravel\\Store\\Vendors::class)->find('{}');
    $store = $app->make(WhatsappSidecar\\Laravel\\Actions\\StoreWebhooks::class);

    return $store->storeRaw($vendor, [], '[]') === null;
"""

#: Each connection's first writes fail: by a deadlock, a wait that is too long, a lost snapshot.
TRIGGER = """
    CREATE TRIGGER refuse_{event}_{table} BEFORE {event} ON {table} FOR EACH ROW
    BEGIN
        SET @refused = COALESCE(@refused, 0) + 1;
        IF @looker IS NULL AND @refused < 4 THEN
            CASE @refused
                WHEN 1 THEN SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213;
                WHEN 2 THEN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1205;
                ELSE SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1020;
            END CASE;
        END IF;
    END
"""


@pytest.fixture
def refusing(backend: LaravelBackend) -> Iterator[None]:
    """Every call that writes loses three times."""
    names = [(event, table) for event in ("INSERT", "UPDATE", "DELETE") for table in TABLES]
    backend.run("SET @looker = 1")
    for event, table in names:
        backend.database.rows(TRIGGER.format(event=event, table=table))
    yield
    for event, table in names:
        backend.run(f"DROP TRIGGER refuse_{event}_{table}")


async def test_every_call_is_made_again(
    caller: Caller, backend: LaravelBackend, vendor: Vendor, refusing: None
) -> None:
    campaign = backend.seed_campaign(vendor, 60)
    backend.run(
        f"UPDATE {QUEUE} SET status = 6 WHERE campaigns__id = ? AND _id % 4 = 0", (campaign.id,)
    )
    backend.delete("whatsapp_webhook_queue")  # what other tests have left would be taken first
    backend.run(PENDING, (vendor.id, campaign.id))
    await everything(caller, campaign)
    await caller.process(says(vendor, "See", wamid="wamid.media"))
    told = {"id": "m", "vendor_uid": vendor.uid, "media_id": "7", "wamid": "wamid.media", "at": 1}
    media = await caller.call(contract.MEDIA, {"media": [{**told, "state": "failed"}]})
    webhook = {"vendor_uid": vendor.uid, "received_at": 0, "headers": {}, "body": '{"stored": 1}'}
    stored = await caller.call(
        contract.STORE_WEBHOOKS, {"webhooks": [{"id": vendor.uid, **webhook}]}
    )
    assert [one["results"][0]["result"] for one in (media, stored)] == ["done", "done"]
    account = {"waba_id": vendor.business_account_id}
    removed = {"event": "PARTNER_REMOVED", "waba_info": account}
    (answer,) = await caller.process(change(vendor, "account_update", removed))
    assert answer.result == "done"
    await switch(caller, vendor, bots="shadow")
    assert run_php(backend.installation.application, STORED.format(vendor.uid)) is True
    rows = backend.rows("whatsapp_webhook_queue", vendors__id=vendor.id)
    # The first ten that waited were taken over.
    found = Counter(orjson.dumps(row["payload"]).decode() for row in rows)
    assert found == {"{}": 50, '{"stored":1}': 1, "[]": 1}


#: Another connection changes a row that a transaction has read. The function is what the package's
#: transaction does; `$calls` counts how often.
LOSING = """
    $db = $app['db']->connection();
    $store = $app->make(WhatsappSidecar\\Laravel\\Store\\Database::class);
    $name = getenv('DB_DATABASE');
    $other = new PDO('mysql:unix_socket=' . getenv('DB_SOCKET') . ";dbname={$name}", 'root');
    $calls = 0;
    $own = static function () use ($db, $other, &$calls): string {
        $db->select('SELECT title FROM vendors WHERE _id = __id__');
        if (++$calls === 1) {
            $other->exec("UPDATE vendors SET title = 'theirs' WHERE _id = __id__");
        }
        $title = $db->select('SELECT title FROM vendors WHERE _id = __id__ FOR UPDATE')[0]->title;
        $db->update("UPDATE vendors SET slug = CONCAT(COALESCE(slug, ''), '!') WHERE _id = __id__");

        return $title;
    };
"""


#: As on MariaDB from 11.6 on.
SNAPSHOTS = "$db->statement('SET SESSION innodb_snapshot_isolation = ON');"


def lose(backend: LaravelBackend, vendor: Vendor, code: str) -> Any:
    code = (LOSING + code).replace("__id__", str(vendor.id))
    variables = {"WHATSAPP_SIDECAR_DB_ISOLATION": "REPEATABLE READ"}
    return run_php(backend.installation.application, code, variables)


@pytest.fixture
def snapshots(backend: LaravelBackend) -> None:
    if not backend.run("SHOW VARIABLES LIKE 'innodb_snapshot_isolation'"):
        pytest.skip("this server has no such isolation")


@pytest.mark.parametrize("nested", [False, True])
def test_a_lost_snapshot_of_the_packages_own(
    backend: LaravelBackend, vendor: Vendor, snapshots: None, nested: bool
) -> None:
    inner = "fn () => $store->transaction($own)" if nested else "$own"
    code = f"{SNAPSHOTS} return [$store->transaction({inner}), $calls, $db->transactionLevel()];"
    assert lose(backend, vendor, code) == ["theirs", 2, 0]
    assert backend.rows("vendors", _id=vendor.id)[0]["slug"].count("!") == 1


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_lost_snapshot_within_the_hosts(
    backend: LaravelBackend, vendor: Vendor, snapshots: None, attempts: int
) -> None:
    """The host hears of it as of a deadlock, and Laravel makes the host's transaction again, if the
    host wants that."""
    code = f"""{SNAPSHOTS}
        try {{
            $title = $db->transaction(function () use ($db, $store, $own) {{
                $db->update("UPDATE vendors SET title = 'ours' WHERE _id = 1");
                return $store->transaction($own);
            }}, {attempts});
        }} catch (PDOException $error) {{
            $title = WhatsappSidecar\\Laravel\\Store\\Conflict::is($error);
        }}
        return [$title, $calls, $db->transactionLevel()];
    """
    expected: list[Any] = ["theirs", 2, 0] if attempts > 1 else [True, 1, 0]
    assert lose(backend, vendor, code) == expected
    slug = backend.rows("vendors", _id=vendor.id)[0]["slug"]
    assert slug.count("!") == (attempts > 1)


def test_a_message_that_another_call_has_stored_since_the_host_began(
    backend: LaravelBackend, vendor: Vendor
) -> None:
    """It waits, and is asked for again, whatever the host's transaction sees of the log."""
    code = """
        $messages = $app->make(WhatsappSidecar\\Laravel\\Effects\\PendingMessages::class);
        $db->statement('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ');
        if ($db->select("SHOW VARIABLES LIKE 'innodb_snapshot_isolation'") !== []) {
            $db->statement('SET SESSION innodb_snapshot_isolation = OFF');
        }
        return $db->transaction(function () use ($db, $other, $messages) {
            $db->select('SELECT COUNT(*) FROM whatsapp_message_logs');
            $other->exec("INSERT INTO whatsapp_message_logs (_uid, created_at, vendors__id, status)
                VALUES ('waits-__id__', NOW(), __id__, 'pending')");
            return $messages->waiting('waits-__id__') !== null;
        });
    """
    assert lose(backend, vendor, code) is True
