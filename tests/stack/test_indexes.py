"""The indexes: every query of the package uses one, and none of them reads a whole table."""

from dataclasses import replace

import pytest

from contracts.backend import (
    AI_ANSWERS,
    BOTS,
    DIAGNOSIS,
    EPOCH,
    FIND,
    MODES,
    OBSERVE,
    PENDING_EFFECTS,
    PENDING_WEBHOOKS,
    PREVIEW_MESSAGES,
    RESOLVE_MESSAGES,
    UNKNOWN_MESSAGES,
)
from contracts.effects import AiProvider
from simulator.backend.seed_bots import SeedBot
from simulator.backend.stored_modes import MODES as MODES_SETTING
from simulator.stack.database import Row
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
from tests.contract.talk import question, says, sends, sent
from tests.contract.under_test import Campaign
from tests.stack.explained import plans, recorded

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

#: A vendor whose cron does not work, and one that is on the sidecar; and one of no vendor.
WEBHOOKS = """
    INSERT INTO whatsapp_webhook_queue (_uid, created_at, vendors__id, headers, payload, status)
    SELECT UUID(), created_at, CASE _id % 100 WHEN 0 THEN NULL WHEN 1 THEN ? ELSE ? END, '{}', '{}',
           IF(_id % 2, 'pending', 'failed')
    FROM whatsapp_message_queue
"""

#: The newest row of each table, which is read from its end.
NEWEST = "(SELECT created_at FROM"
#: Looks at so many of a vendor's contacts: along the primary key, where most of them are its.
SOME = "LIMIT 10000) AS newest"
#: A page of the log along its primary key: so many are read, and no more. MySQL calls that a walk
#: through the index.
PAGE = "ORDER BY logs._id DESC LIMIT"

LARGE = ("whatsapp_message_queue", "whatsapp_message_logs", "contacts", "campaigns")
MANY = ("vendor_settings", "whatsapp_webhook_queue", "bot_replies", "bot_flows", *LARGE)


@pytest.fixture(scope="module")
def large(backend: LaravelBackend) -> LaravelBackend:
    """An installation with many rows: for few, no index is worth it."""
    for _ in range(4):
        vendor = backend.seed_vendor()
        for _ in range(6):
            campaign = backend.seed_campaign(vendor, 300)
    for _ in range(30):
        bots = [SeedBot("is", "nothing", "A", flow_active=True)] * 20
        backend.seed_bots(backend.seed_vendor(), *bots)
    _have_sent(backend)
    backend.database.rows(SETTINGS)
    strangers = backend.seed_vendor()
    backend.leave_to_php(strangers)
    backend.database.rows(WEBHOOKS, (campaign.vendor.id, strangers.id))
    for table in MANY:
        backend.database.rows(f"ANALYZE TABLE {table}")
    return backend


@pytest.fixture
def busy(large: LaravelBackend) -> Campaign:
    """A campaign that nobody has touched, in a large installation."""
    campaign = large.seed_campaign(large.seed_vendor(), 300)
    _have_sent(large, f" AND campaigns__id = {campaign.id}")
    return campaign


def _have_sent(backend: LaravelBackend, of: str = "") -> None:
    """Give the queue's rows messages in the log, and some of them another status."""
    backend.database.rows(f"{LOGS_OF_QUEUE} WHERE TRUE{of}")
    for remainder, status_ in ((0, 4), (1, 6)):
        backend.database.rows(
            f"UPDATE whatsapp_message_queue SET status = {status_} WHERE _id % 10 = {remainder}{of}"
        )


async def everything(caller: Caller, campaign: Campaign) -> None:
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
    await caller.retry(campaign, dry_run=True)
    await caller.retry(campaign, codes=["131026"], limit=1, after="1")
    await caller.due(limit=1000)
    await caller.due(campaign, errors=True)
    await _resolve_unknown(caller, campaign)
    await _take_over(caller)
    await _talk(caller, campaign)
    await _talk_of_many(caller, campaign)
    await _observe(caller, campaign)
    await caller.call(MODES, {"history": True})
    await caller.call(DIAGNOSIS, {})
    await caller.call(EPOCH, {"epoch": now_ms(), "at": 1, "settle_pending": True})
    await caller.call(PREVIEW_MESSAGES, {"campaign_uid": campaign.uid})
    # By the tables, not by a call: what is recorded of these tests is made again.
    caller.backend.set_setting(vendor, MODES_SETTING, '{"campaigns": "shadow"}')
    await caller.call(PREVIEW_MESSAGES, {"ended_since": now_ms() - 10_000})
    caller.backend.delete("vendor_settings", vendors__id=vendor.id, name=MODES_SETTING)
    await _find(caller, campaign)
    for kind in ("send_message", "ai_reply"):
        await caller.call(PENDING_EFFECTS, {"kind": kind, "older_than_s": 0, "limit": 100})


async def _find(caller: Caller, campaign: Campaign) -> None:
    vendor_uid, uid = campaign.vendor.uid, campaign.row_uids[0]
    names = ("Ada", campaign.recipients[0], campaign.uid, uid, wamid_of(uid), "w.0")
    for query in names:
        await caller.call(FIND, {"query": query, "limit": 5})
        await caller.call(FIND, {"query": query, "limit": 5, "vendor_uid": vendor_uid})


async def _observe(caller: Caller, campaign: Campaign) -> None:
    vendor = campaign.vendor
    for number in range(3):
        await caller.process(
            says(vendor, "Hello", None, wamid=f"w.{number}", sender=campaign.recipients[0])
        )
    wamids = ["wamid.seeded.11", wamid_of(campaign.row_uids[0]), "w.0", "w.2"]
    asked = [{"vendor_uid": vendor.uid, "wamid": wamid} for wamid in wamids]
    await caller.call(OBSERVE, {"messages": asked})


async def _talk(caller: Caller, campaign: Campaign) -> None:
    """Have bots and an AI answer a contact who has been written to."""
    vendor = campaign.vendor
    caller.backend.seed_effects(
        vendor, ai=AiProvider(name="main", url="http://127.0.0.1:1"), bots_on_sidecar=False
    )
    hello, bot = caller.backend.seed_bots(
        vendor, SeedBot("welcome", None, "Hi."), SeedBot("stop_promotional", "stop", "As you like.")
    )
    sender = campaign.recipients[0]
    update = says(vendor, "stop", [(hello, "welcome"), (bot, "stop_promotional")], sender=sender)
    (result,) = await caller.process(update)
    welcome, bye = sends(result)
    await caller.process({**update, "attempt": 2})
    await caller.process(status(vendor, status_object("w.bye", "sent", row_uid=bye.id)))
    await caller.report(sent(vendor, welcome.id))
    (asked,) = await caller.process(says(vendor, "And now?", None, sender=sender))
    answer = {"id": question(asked).id, "vendor_uid": vendor.uid, "outcome": "answered", "at": 1}
    for _ in range(2):
        await caller.call(AI_ANSWERS, {"answers": [{**answer, "text": "Yes."}]})
    await caller.call(BOTS, {"vendor_uids": [vendor.uid], "vendor_ids": [vendor.id + 1]})


async def _talk_of_many(caller: Caller, campaign: Campaign) -> None:
    """The same of many contacts at once, of another vendor's too, and of people who are new."""
    vendor, other = campaign.vendor, caller.backend.seed_vendor()
    (hello,) = caller.backend.seed_bots(vendor, SeedBot("welcome", None, "Hi."))
    welcome = [(hello, "welcome")]
    await caller.process(
        *(
            says(vendor, "And now?", (None, welcome)[n % 2], sender=sender, from_user_id=f"GB.{n}")
            for n, sender in enumerate(campaign.recipients[10:30])
        ),
        *(
            says(one, "Hi", sender=f"9993{n:08}", context={"id": "wamid.seeded.12"})
            for n, one in enumerate((vendor, other) * 5)
        ),
    )


async def _resolve_unknown(caller: Caller, campaign: Campaign) -> None:
    request = {"older_than_s": 0, "limit": 2}
    page = await caller.call(UNKNOWN_MESSAGES, request)
    for more in ({}, {"vendor_uid": campaign.vendor.uid, "campaign_uid": campaign.uid}):
        await caller.call(UNKNOWN_MESSAGES, {**request, **more, "after": page["next"]})
    uids = [message["uid"] for message in page["messages"]]
    assert len(uids) == 2
    for uid, action in zip(uids, ("resend", "give_up"), strict=True):
        await caller.call(RESOLVE_MESSAGES, {"row_uids": [uid], "action": action})


async def _take_over(caller: Caller) -> None:
    taken: list[str] = []
    for _ in range(2):
        answer = await caller.call(PENDING_WEBHOOKS, {"limit": 10, "taken": taken})
        taken = [webhook["uid"] for webhook in answer["webhooks"]]
        assert len(taken) == 10


async def test_every_statement_uses_an_index(
    caller: Caller, backend: LaravelBackend, busy: Campaign
) -> None:
    with recorded(backend.database) as statements:
        await everything(caller, busy)
    assert len(statements) > 50
    locked = [one for one in statements if "JSON_TABLE" in one and "FOR UPDATE" in one]
    assert locked == [], "MySQL refuses that (3569)"
    scans = {
        (plan["table"], statement[:400])
        for statement in statements
        for plan in plans(backend.database, statement)
        if plan["type"] in ("ALL", "index")
        and not statement.startswith(NEWEST)
        and not ((SOME in statement or PAGE in statement) and plan["type"] == "index")
        and plan["table"] not in ("vendors", "campaigns")
    }
    assert scans == set()


async def test_statuses_of_the_crons_messages_read_no_more_of_the_queue_than_is_theirs(
    caller: Caller, backend: LaravelBackend, busy: Campaign
) -> None:
    """However many there are at once, and however few rows are left of the campaign."""
    seeded = backend.database.rows(
        "SELECT wamid FROM whatsapp_message_logs WHERE campaigns__id = ?", (busy.id,)
    )
    objects = [status_object(row["wamid"], "read") for row in seeded]
    with recorded(backend.database) as statements:
        await caller.process(*(status(busy.vendor, one) for one in objects))
    (search,) = [s for s in statements if "campaigns__id + 0 IN" in s]
    assert "JSON_TABLE" not in search, "MySQL refuses to lock what is joined with one (3569)"
    backend.database.rows(f"DELETE FROM whatsapp_message_queue WHERE campaigns__id = {busy.id}")
    (plan,) = plans(backend.database, search)
    assert (plan["key"], plan["type"]) == ("whatsapp_message_queue_contacts__id", "range"), plan


async def test_statuses_of_many_vendors_are_looked_for_some_vendors_at_a_time(
    caller: Caller, backend: LaravelBackend
) -> None:
    """What the optimizer weighs is their number times that of the wamids."""
    backend.database.rows(
        "INSERT INTO vendors (_uid, created_at, status) WITH RECURSIVE seq (n) AS"
        " (SELECT 1 UNION ALL SELECT n + 1 FROM seq WHERE n < 220)"
        " SELECT CONCAT('many-', n), NOW(), 1 FROM seq"
    )
    backend.database.rows(
        "INSERT INTO whatsapp_message_logs (_uid, created_at, vendors__id, status, wamid)"
        " SELECT UUID(), NOW(), _id, 'sent', 'wamid.many' FROM vendors WHERE _uid LIKE 'many-%'"
    )
    one = backend.seed_vendor()
    vendors = [replace(one, uid=f"many-{n}") for n in range(1, 221)]
    with recorded(backend.database) as statements:
        results = await caller.process(
            *(status(vendor, status_object("wamid.many", "read")) for vendor in vendors)
        )
    assert {one.result for one in results} == {"done"}
    assert len([s for s in statements if "AS has_error" in s]) == 3
    (row,) = backend.database.rows(
        "SELECT COUNT(*) AS n FROM whatsapp_message_logs"
        " WHERE wamid = 'wamid.many' AND status = 'read'"
    )
    assert row["n"] == 220
    backend.database.rows("DELETE FROM vendors WHERE _uid LIKE 'many-%'")


async def test_what_a_contact_has_said_is_read_from_its_end(
    caller: Caller, backend: LaravelBackend, busy: Campaign
) -> None:
    with recorded(backend.database) as statements:
        await _talk(caller, busy)
    reads = [s for s in statements if "ORDER BY _id DESC LIMIT" in s]
    assert len(reads) == 3
    for statement in reads:
        (plan,) = _plans_of(backend, statement, "whatsapp_message_logs")
        assert plan["type"] in ("ref", "range"), plan
        assert plan["key"] == "whatsapp_message_logs_contacts__id", plan
    answers = [s for s in statements if "AS later" in s]
    assert len(answers) == 2
    for statement in answers:
        # By contact, or from the question on where little has been logged since.
        (plan,) = _plans_of(backend, statement, "later")
        assert plan["type"] in ("ref", "range"), plan


async def test_what_many_contacts_have_said_is_read_from_its_end(
    caller: Caller, backend: LaravelBackend, busy: Campaign
) -> None:
    caller.backend.seed_effects(busy.vendor, ai=AiProvider(name="main", url="http://127.0.0.1:1"))
    with recorded(backend.database) as statements:
        await _talk_of_many(caller, busy)
    reads = [s for s in statements if "ORDER BY _id DESC LIMIT" in s]
    assert len(reads) == 2
    for statement in reads:
        found = _plans_of(backend, statement, "whatsapp_message_logs")
        assert len(found) == 20
        assert {plan["type"] for plan in found} <= {"ref", "range"}, found
        assert {plan["key"] for plan in found} == {"whatsapp_message_logs_contacts__id"}, found


async def test_what_a_contact_said_before_is_read_from_its_end(
    caller: Caller, backend: LaravelBackend, busy: Campaign
) -> None:
    with recorded(backend.database) as statements:
        await _observe(caller, busy)
    (statement,) = [s for s in statements if "AS wrote_before" in s]
    found = {plan["table"]: plan for plan in plans(backend.database, statement)}
    assert found["logs"]["type"] in ("ref", "range"), found
    assert found["earlier"]["key"] == "whatsapp_message_logs_contacts__id", found
    assert found["earlier"]["type"] in ("ref", "range"), found
    assert "filesort" not in (found["earlier"]["Extra"] or ""), found


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


async def test_stored_webhooks_are_walked_in_their_order_and_counted_by_vendor(
    caller: Caller, backend: LaravelBackend, busy: Campaign
) -> None:
    """However many rows wait, and whoever else's."""
    with recorded(backend.database) as statements:
        await _take_over(caller)
    selects = [s for s in statements if s.startswith("SELECT")]
    walks = [s for s in selects if "ORDER BY page._id" in s]
    counts = [s for s in selects if "AS bounded" in s]
    rows = [s for s in selects if "webhooks.created_at" in s]
    assert (len(walks), len(counts), len(rows)) == (2, 2, 2)
    for statement in walks:
        *rest, walk = _plans_of(backend, statement, "webhooks")
        assert (walk["key"], walk["type"]) == ("sidecar_webhooks_order", "ref"), walk
        assert "Using index" in walk["Extra"]
        assert [plan["type"] for plan in rest] == ["eq_ref"]
    for statement in counts:
        (plan,) = _plans_of(backend, statement, "webhooks")
        assert (plan["key"], plan["type"]) == ("sidecar_webhooks_vendor", "ref"), plan
        assert "Using index" in plan["Extra"]
    for statement in rows:
        (plan,) = _plans_of(backend, statement, "webhooks")
        assert (plan["key"], plan["type"]) == ("PRIMARY", "range"), plan
    (deletion,) = [s for s in statements if s.startswith("DELETE")]
    (plan,) = _plans_of(backend, deletion, "webhooks")
    assert (plan["key"], plan["type"]) == ("whatsapp_webhook_queue__uid", "range"), plan


def _plans_of(backend: LaravelBackend, statement: str, table: str) -> list[Row]:
    """Return how a statement finds the rows of one table. None of its rows may be sorted: the
    first page of many would cost as much as all of them."""
    found = plans(backend.database, statement)
    # MySQL sorts the one or two rows that a vendor's setting has.
    walked = [plan for plan in found if plan["select_type"] != "DEPENDENT SUBQUERY"]
    extras = [plan["Extra"] or "" for plan in walked]
    assert not any("filesort" in extra or "temporary" in extra for extra in extras), extras
    return [plan for plan in found if plan["table"] == table]


async def test_rows_of_unknown_outcome_are_walked_in_their_order(
    caller: Caller, backend: LaravelBackend, busy: Campaign
) -> None:
    with recorded(backend.database) as statements:
        await _resolve_unknown(caller, busy)
    walks = [s for s in statements if "ORDER BY queue.updated_at" in s]
    assert len(walks) == 3
    for statement in walks:
        (plan,) = _plans_of(backend, statement, "queue")
        assert (plan["key"], plan["type"]) == ("sidecar_queue_stale", "range"), plan


async def test_a_user_who_hides_the_number_is_looked_for_among_the_vendors_contacts(
    caller: Caller, backend: LaravelBackend, busy: Campaign
) -> None:
    """No index can cover a key of the JSON without a further column."""
    element = message_object("wamid.hidden", None, from_user_id="GB.1")
    with recorded(backend.database) as statements:
        await caller.process(message(busy.vendor, element, contacts=[{"user_id": "GB.1"}]))
    (search,) = [s for s in statements if s.startswith("SELECT") and "GB.1" in s]
    (plan,) = plans(backend.database, search)
    assert plan["type"] == "ref"
    assert plan["key"]
