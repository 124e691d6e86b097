"""The indexes: every query of the package uses one, and none of them reads a whole table."""

import pytest

from simulator.stack.database import Database
from simulator.stack.installation import INDEXES, INDEXES_DOWN
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import (
    accepted,
    failed,
    message,
    message_object,
    now_ms,
    result,
    status,
    status_object,
    wamid_of,
)
from tests.contract.under_test import Campaign
from tests.stack.explained import plans, recorded

OURS = (
    "SELECT DISTINCT INDEX_NAME FROM information_schema.STATISTICS WHERE INDEX_NAME LIKE 'sidecar%'"
)

LOGS_OF_QUEUE = """
    INSERT INTO whatsapp_message_logs
        (_uid, created_at, vendors__id, contacts__id, campaigns__id, status, wamid,
         contact_wa_id, is_incoming_message, __data)
    SELECT UUID(), created_at, vendors__id, contacts__id, campaigns__id, 'read',
           CONCAT('wamid.seeded.', _id), phone_with_country_code, 0, '{}'
    FROM whatsapp_message_queue
"""


#: Vendors have many more settings than the package reads.
SETTINGS = """
    INSERT INTO vendor_settings (_uid, created_at, vendors__id, name, value)
    SELECT UUID(), created_at, vendors__id, CONCAT('other_', _id), '1'
    FROM whatsapp_message_queue WHERE _id % 10 = 0
"""

LARGE = ("whatsapp_message_queue", "whatsapp_message_logs", "contacts", "campaigns")


@pytest.fixture
def busy(backend: LaravelBackend) -> Campaign:
    """A campaign of an installation that has many: for few rows, no index is worth it."""
    for _ in range(4):
        vendor = backend.seed_vendor()
        for _ in range(6):
            campaign = backend.seed_campaign(vendor, 300)
    backend.database.rows(LOGS_OF_QUEUE)
    backend.database.rows("UPDATE whatsapp_message_queue SET status = 4 WHERE _id % 10 = 0")
    backend.database.rows(SETTINGS)
    for table in ("vendor_settings", *LARGE):
        backend.database.rows(f"ANALYZE TABLE {table}")
    return campaign


async def _everything(caller: Caller, campaign: Campaign) -> None:
    """Call every endpoint that reads or changes rows of large tables, in all its branches."""
    vendor = campaign.vendor
    caller.backend.set_setting(vendor, "enable_requeue_healthy_error_msg", "1")
    claim = await caller.claim(campaign, 20)
    await caller.claim(campaign, 20, recover=True)
    uids = [row.uid for row in claim.rows]
    await caller.report(
        *(accepted(campaign, uid, wa_id=f"99{campaign.id}") for uid in uids[:9]),
        failed(campaign, uids[9]),
        result(campaign, uids[10], "requeue", due_at=now_ms()),
    )
    await caller.release(campaign, uids[11:13], claim_uid="claim", campaign_state="running")
    await caller.process(
        *(status(vendor, status_object(wamid_of(uid), "sent", row_uid=uid)) for uid in uids[:5]),
        status(vendor, status_object(wamid_of(uids[5]), "failed", code=131049)),
        status(vendor, status_object("wamid.seeded.11", "read")),
        *(status(vendor, status_object(wamid_of(u), "read", row_uid=u)) for u in uids[13:15]),
        message(vendor, message_object("wamid.x", "999123", context={"id": wamid_of(uids[0])})),
    )
    await caller.due(limit=1000)
    await caller.due(campaign)


async def test_every_statement_uses_an_index(
    caller: Caller, backend: LaravelBackend, busy: Campaign
) -> None:
    with recorded(backend.database) as statements:
        await _everything(caller, busy)
    assert len(statements) > 50
    scans = {
        (plan["table"], statement[:400])
        for statement in statements
        for plan in plans(backend.database, statement)
        if plan["type"] in ("ALL", "index") and plan["table"] not in ("vendors", "campaigns")
    }
    assert scans == set()


async def test_the_expiry_check_reads_what_is_claimed_and_no_more(
    caller: Caller, backend: LaravelBackend, busy: Campaign
) -> None:
    with recorded(backend.database) as statements:
        await caller.claim(busy, 10)
    assert not any("expiry_at" in statement for statement in statements if "UPDATE" in statement)
    (candidates,) = [s for s in statements if s.endswith("FOR UPDATE") and "LIMIT" in s]
    (plan,) = plans(backend.database, candidates)
    assert plan["key"] == "sidecar_queue_claim", plan
    assert "filesort" not in (plan["Extra"] or "")


async def test_a_user_who_hides_the_number_is_looked_for_among_the_vendors_contacts(
    caller: Caller, backend: LaravelBackend, busy: Campaign
) -> None:
    """No index can cover a key of the JSON without a further column."""
    item = message_object("wamid.hidden", None, from_user_id="GB.1")
    with recorded(backend.database) as statements:
        await caller.process(message(busy.vendor, item, contacts=[{"user_id": "GB.1"}]))
    (search,) = [s for s in statements if s.startswith("SELECT") and "GB.1" in s]
    (plan,) = plans(backend.database, search)
    assert plan["type"] == "ref"
    assert plan["key"]


def test_the_scripts_may_run_twice_and_be_taken_back(backend: LaravelBackend) -> None:
    database: Database = backend.database
    before = _indexes(database)
    assert len(before) == 9
    database.script(INDEXES.read_text())
    assert _indexes(database) == before
    for _ in range(2):
        database.script(INDEXES_DOWN.read_text())
        assert _indexes(database) == set()
    database.script(INDEXES.read_text())
    assert _indexes(database) == before


def _indexes(database: Database) -> set[str]:
    return {row["INDEX_NAME"] for row in database.rows(OURS)}
