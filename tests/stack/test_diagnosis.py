"""What only this PHP side can tell of itself: crons, indexes, and at what price."""

from contracts import backend as contract
from contracts.diagnosis import INDEXES, DiagnosisAnswer
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import now_ms
from tests.contract.under_test import Vendor

MODEL = "App\\Models\\QueuedMessage"


async def _ask(caller: Caller) -> DiagnosisAnswer:
    return DiagnosisAnswer.model_validate(await caller.call(contract.DIAGNOSIS, {}))


async def test_when_a_cron_last_looked(caller: Caller, backend: LaravelBackend) -> None:
    before = now_ms()
    done = backend.installation.application.artisan(
        "campaign:process", WHATSAPP_SIDECAR_VENDORS="all"
    )
    assert done.returncode == 0, done.stderr
    answer = await _ask(caller)
    assert answer.crons is not None
    crons = {cron.table: cron for cron in answer.crons}
    assert crons.keys() == {"queue", "webhooks"}
    assert crons["queue"].models == [MODEL]
    seen_at = crons["queue"].seen_at
    assert seen_at is not None
    assert before <= seen_at <= now_ms()
    assert crons["webhooks"].models == ["App\\Models\\StoredWebhook"]
    before = now_ms()
    done = backend.installation.application.artisan(
        "webhook:process", WHATSAPP_SIDECAR_VENDORS="all"
    )
    assert done.returncode == 0, done.stderr
    [webhooks] = [cron for cron in (await _ask(caller)).crons or [] if cron.table == "webhooks"]
    assert webhooks.seen_at is not None
    assert before <= webhooks.seen_at <= now_ms()
    assert answer.cron_models_missing == []


async def test_people_are_no_cron(caller: Caller, backend: LaravelBackend) -> None:
    """Nobody on the web has looked at the queue through its model, and so nothing is noted."""
    first = await _ask(caller)
    await caller.due()
    assert (await _ask(caller)).crons == first.crons


async def test_a_cron_whose_note_fails_works_all_the_same(
    backend: LaravelBackend, vendor: Vendor
) -> None:
    campaign = backend.seed_campaign(vendor, 1)
    done = backend.installation.application.artisan(
        "campaign:process",
        "--rows=100000",
        WHATSAPP_SIDECAR_VENDORS="none",
        WHATSAPP_SIDECAR_CACHE_STORE="broken",
    )
    assert set(campaign.row_uids) <= set(done.stdout.split()), done.stderr


async def test_indexes_that_are_missing(caller: Caller, backend: LaravelBackend) -> None:
    table = "whatsapp_message_queue"
    backend.run(f"ALTER TABLE {table} DROP INDEX sidecar_queue_stale")
    try:
        tables = {one.name: one for one in (await _ask(caller)).tables}
    finally:
        backend.run(f"ALTER TABLE {table} ADD INDEX sidecar_queue_stale (status, updated_at)")
    found = tables["queue"].indexes
    assert found is not None
    assert INDEXES["queue"].keys() - found.keys() == {"sidecar_queue_stale"}
    assert found["PRIMARY"] == ["_id"]


async def test_a_table_that_is_missing(caller: Caller, backend: LaravelBackend) -> None:
    table = "whatsapp_webhook_queue"
    backend.run(f"RENAME TABLE {table} TO elsewhere")
    try:
        answer = await _ask(caller)
    finally:
        backend.run(f"RENAME TABLE elsewhere TO {table}")
    tables = {one.name: one for one in answer.tables}
    assert (tables["webhooks"].table, tables["webhooks"].columns) == (table, [])
    [error] = answer.errors
    assert table in error


async def test_the_number_of_statements_is_constant(
    caller: Caller, backend: LaravelBackend
) -> None:
    async def cost() -> int:
        before = backend.database.statements()
        await _ask(caller)
        return backend.database.statements() - before

    first = await cost()
    for _ in range(5):
        backend.seed_campaign(backend.seed_vendor(), 3)
    assert await cost() == first < 12
