"""Tables in which a few rows that matter stand behind many that do not: how many rows each
statement of the package's reads, by the server's own counters, whatever its plan is called."""

import re
from collections.abc import Iterator

import pytest

from contracts.backend import PENDING_EFFECTS, PREVIEW_MESSAGES
from simulator.backend.seed_bots import SeedBot
from simulator.stack.database import Database
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import now_ms
from tests.contract.switching import switch
from tests.contract.talk import says, sends
from tests.contract.under_test import Campaign
from tests.stack.explained import recorded
from tests.stack.test_indexes import everything

LARGE = (
    *("whatsapp_webhook_queue", "whatsapp_message_queue", "whatsapp_message_logs"),
    *("vendor_settings", "contacts"),
)

#: Rows of each of them.
MANY = 12_000

#: Of the newest rows of the log, so many are read where the index is missing.
NEWEST = 10_000

#: How many rows a statement may read. The largest page has 1,000, which some join with two tables.
FEW = 4_000

#: What reads an index of all of a campaign's rows, for it counts them; what looks in an index for
#: pending webhooks behind those of other vendors; and what looks in one of all of a contact's
#: messages for those after a question.
THROUGH = re.compile(
    r"COUNT\(\*\) AS (found FROM `whatsapp_message_(queue|logs)` WHERE campaigns__id|queued)"
    r"|SUM\(scheduled_at <= |AS size FROM \(SELECT|FROM `whatsapp_message_logs` AS later WHERE"
)

_DIGIT = "(SELECT 0 AS n" + "".join(f" UNION ALL SELECT {n}" for n in range(1, 10)) + ")"
_NUMBERS = (
    "(SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n"
    f" FROM {_DIGIT} AS a JOIN {_DIGIT} AS b JOIN {_DIGIT} AS c JOIN {_DIGIT} AS d"
    f" JOIN (SELECT 0 AS n UNION ALL SELECT 1) AS e HAVING n < {MANY}) AS numbers"
)

WEBHOOKS = f"""
    INSERT INTO whatsapp_webhook_queue (_uid, created_at, vendors__id, headers, payload, status)
    SELECT CONCAT('skewed-', n), NOW(), ?, '{{}}', '{{}}', IF(n < ?, 'failed', 'pending')
    FROM {_NUMBERS} ORDER BY n
"""

QUEUE = f"""
    INSERT INTO whatsapp_message_queue
        (_uid, created_at, updated_at, __data, vendors__id, campaigns__id, contacts__id, status,
         scheduled_at, phone_with_country_code, retries)
    SELECT CONCAT('skewed-', n), NOW(), NOW(), '{{}}', ?, ?, ?, IF(n < ?, IF(n % 2, 1, 4), 2),
           '2099-01-01', '999700000001', 0
    FROM {_NUMBERS} ORDER BY n
"""

LOGS = f"""
    INSERT INTO whatsapp_message_logs
        (_uid, created_at, __data, vendors__id, campaigns__id, contacts__id, status, wamid,
         is_incoming_message, message)
    SELECT CONCAT('skewed-', n), '2020-01-01', '{{}}', ?, ?, IF(n < ?, ?, ? + n % 1000), 'read',
           CONCAT('wamid.skewed.', n), n % 2, 'Hi'
    FROM {_NUMBERS} ORDER BY n
"""

CONTACTS = f"""
    INSERT INTO contacts (_uid, created_at, vendors__id, wa_id)
    SELECT CONCAT('skewed-', n), NOW(), ?, CONCAT('99980000', n) FROM {_NUMBERS} WHERE n < 1000
    ORDER BY n
"""

SETTINGS = f"""
    INSERT INTO vendor_settings (_uid, created_at, vendors__id, name, value)
    SELECT CONCAT('skewed-', n), NOW(), ?, CONCAT('other_', n), '1' FROM {_NUMBERS} WHERE n < 2000
"""


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaravelBackend]:
    with LaravelBackend(tmp_path_factory.mktemp("skewed")) as running:
        yield running
        assert running.refused_statements() == []


@pytest.fixture(scope="module")
def skewed(backend: LaravelBackend) -> Campaign:
    """A campaign whose vendor has had many messages, most of them one contact's of many who have
    few, and has many queued for later; and webhooks that wait behind many that have failed, of a
    vendor that is not on the sidecar."""
    database = backend.database
    campaign = backend.seed_campaign(backend.seed_vendor(), 60)
    vendor = campaign.vendor
    (first, *_) = backend.rows("contacts", vendors__id=vendor.id)
    strangers = backend.seed_vendor()
    backend.leave_to_php(strangers)
    old = backend.seed_campaign(vendor, 1)
    database.rows(WEBHOOKS, (strangers.id, MANY // 2))
    database.rows(QUEUE, (vendor.id, old.id, first["_id"], MANY * 9 // 10))
    database.rows(CONTACTS, (vendor.id,))
    [others] = backend.rows("contacts", _uid="skewed-0")
    ids = (first["_id"], others["_id"])
    database.rows(LOGS, (vendor.id, old.id, MANY * 2 // 3, *ids))
    database.rows(SETTINGS, (vendor.id,))
    ours = WEBHOOKS.replace("skewed", "ours").replace("ORDER BY", "WHERE n < 40 ORDER BY")
    database.rows(ours, (vendor.id, 0))
    unknown = "UPDATE whatsapp_message_queue SET status = 6 WHERE campaigns__id = ? AND _id % 4 = 0"
    database.rows(unknown, (campaign.id,))
    for table in LARGE:
        database.rows(f"ANALYZE TABLE {table}")
    return campaign


async def test_no_statement_reads_what_it_has_no_use_for(
    caller: Caller, backend: LaravelBackend, skewed: Campaign
) -> None:
    with recorded(backend.database) as statements:
        await everything(caller, skewed)
    assert len(statements) > 50
    reads = [(reads_of(backend.database, one), one) for one in dict.fromkeys(statements)]
    # Left to itself, the server walks the primary key where there are ten times as many rows.
    (oldest,) = [one for one in statements if ") AS oldest " in one]
    assert "FORCE INDEX (sidecar_webhooks_order)" in oldest
    assert [(n, one[:400]) for n, one in reads if n > FEW and not THROUGH.search(one)] == []


@pytest.mark.parametrize("mode", ["shadow", "sidecar"])
async def test_rows_that_have_ended_among_many(
    caller: Caller, backend: LaravelBackend, skewed: Campaign, mode: str
) -> None:
    """All in one second, whose vendor is in shadow or is not; from the first one on, and from one
    in the midst of them. Each way of ending is read on its own."""
    database = backend.database
    await switch(caller, skewed.vendor, campaigns=mode)
    [first] = database.rows(
        "SELECT MIN(_id) AS id, MAX(updated_at) AS at FROM whatsapp_message_queue"
        " WHERE _uid LIKE 'skewed-%' AND status IN (2, 4)"
    )
    places = [None, *(f"{first['at']}|{first['id'] + MANY * n // 10}" for n in (1, 5, 9))]
    for after in places:
        with recorded(database) as statements:
            request = {"ended_since": now_ms() - 600_000, "limit": 100, "after": after}
            answer = await caller.call(PREVIEW_MESSAGES, request)
        reads = {one: reads_of(database, one) for one in statements}
        (look,) = [one for one in statements if " AS found ORDER BY " in one]
        # Six parts, what they have found, and the first of that; then whole rows with their logs,
        # which are looked for behind what the contact has been sent since (by other tests).
        costs = [(n, one[:60]) for one, n in reads.items()]
        assert (reads[look] <= 700, sum(reads.values()) <= 2_000) == (True, True), costs
        assert (len(answer["messages"]), answer["next"] is not None) == (
            (100 if mode == "shadow" else 0),
            True,
        )


@pytest.mark.parametrize("indexed", [True, False])
async def test_messages_that_stand_pending_among_many(
    caller: Caller, backend: LaravelBackend, indexed: bool
) -> None:
    """Of no campaign, as customers' messages and their answers are. Without the index only the
    newest rows are looked at."""
    vendor = backend.seed_vendor()
    chat = LOGS.replace("'read'", "IF(n % 4 = 0, 'delivered', 'read')").replace("skewed", "chat")
    backend.database.rows(chat, (vendor.id, None, MANY, None, 0))
    (bot,) = backend.seed_bots(vendor, SeedBot("is", "open", "At nine."))
    (result,) = await caller.process(says(vendor, "open", [(bot, "is")]))
    backend.database.rows("ANALYZE TABLE whatsapp_message_logs")
    request = {"kind": "send_message", "older_than_s": 0}
    if not indexed:
        backend.database.rows("ALTER TABLE whatsapp_message_logs DROP INDEX sidecar_logs_campaign")
    try:
        with recorded(backend.database) as statements:
            answer = await caller.call(PENDING_EFFECTS, request)
        (found,) = [one for one in statements if "status = 'pending'" in one]
        reads = reads_of(backend.database, found)
    finally:
        if not indexed:
            backend.database.rows(
                "ALTER TABLE whatsapp_message_logs ADD INDEX sidecar_logs_campaign"
                " (campaigns__id, is_incoming_message, status)"
            )
        backend.database.rows("DELETE FROM whatsapp_message_logs WHERE _uid LIKE 'chat-%'")
    ids = [effect["id"] for one in answer["results"] for effect in one["effects"]]
    assert sends(result)[0].id in ids
    assert reads <= (100 if indexed else NEWEST + 10)


def reads_of(database: Database, statement: str) -> int:
    """Return how many rows or entries of indexes the server reads for a statement."""
    verb, _, rest = statement.partition(" ")
    if verb not in ("SELECT", "UPDATE", "DELETE", "INSERT") or "_LOCK(" in rest:
        return 0
    database.script("START TRANSACTION")
    try:
        before = _read(database)
        database.rows(statement)
        return _read(database) - before
    finally:
        database.script("ROLLBACK")


def _read(database: Database) -> int:
    """Return how many so far. Entries that the index's own condition drops are no reads (MariaDB
    counts them, MySQL does not)."""
    rows = database.rows("SHOW SESSION STATUS LIKE 'Handler\\_%'")
    found = {row["Variable_name"]: int(row["Value"]) for row in rows}
    dropped = found.get("Handler_icp_attempts", 0) - found.get("Handler_icp_match", 0)
    return dropped + sum(n for name, n in found.items() if name.startswith("Handler_read_"))
