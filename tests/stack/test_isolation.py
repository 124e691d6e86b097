"""A batch in which one update can never be written: the others are, and that one is not asked for
again."""

import base64
from collections.abc import Iterator

import orjson
import pytest

from contracts.backend import QueueStatus
from simulator.stack.packages import MYSQL, database_server
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import (
    accepted,
    message,
    message_object,
    status,
    status_object,
    wamid_of,
)
from tests.contract.talk import CUSTOMER
from tests.contract.under_test import Campaign, Vendor
from tests.stack.php_code import run_php

LOGS = "whatsapp_message_logs"

#: No row takes it.
REFUSED = "wamid.refused"

_CODE = "HY000, code 3819" if database_server() is MYSQL else "23000, code 4025"
#: All that may be said of it.
REASON = rf"error: Illuminate\Database\QueryException: SQLSTATE {_CODE}, table {LOGS}"


@pytest.fixture(autouse=True)
def refused(backend: LaravelBackend) -> Iterator[None]:
    """The database refuses something in these tests."""
    backend.run(f"ALTER TABLE {LOGS} ADD CONSTRAINT refusal CHECK (wamid <> '{REFUSED}')")
    yield
    backend.run(f"ALTER TABLE {LOGS} DROP CONSTRAINT refusal")
    assert backend.refused_statements()
    (backend.installation.application.storage / "logs" / "laravel.log").write_text("")


async def test_one_result(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    first, second, third = campaign.row_uids
    answers = await caller.report(
        accepted(campaign, first),
        accepted(campaign, second, wamid=REFUSED),
        accepted(campaign, third),
    )
    assert [answer.result for answer in answers] == ["done", "retry", "done"]
    assert answers[1].reason == REASON
    rows = caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    assert [row["status"] for row in rows] == [
        QueueStatus.AWAITING_STATUS,
        QueueStatus.PROCESSING,
        QueueStatus.AWAITING_STATUS,
    ]
    logs = caller.backend.rows(LOGS, campaigns__id=campaign.id)
    assert [log["wamid"] for log in logs] == [wamid_of(first), wamid_of(third)]


async def test_one_status(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    first, second, third = campaign.row_uids
    await caller.report(accepted(campaign, first), accepted(campaign, third))
    answers = await caller.process(
        status(campaign.vendor, status_object(wamid_of(first), "sent", row_uid=first)),
        status(campaign.vendor, status_object(REFUSED, "sent", row_uid=second)),
        status(campaign.vendor, status_object(wamid_of(third), "read", row_uid=third)),
    )
    assert [answer.result for answer in answers] == ["done", "rejected", "done"]
    assert answers[1].reason == REASON
    logs = caller.backend.rows(LOGS, campaigns__id=campaign.id)
    assert [log["status"] for log in logs] == ["sent", "read"]
    left = caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    assert [row["_uid"] for row in left] == [second]


async def test_one_message(caller: Caller, vendor: Vendor) -> None:
    """The next one of the same customer is not held back."""
    wamids = ["wamid.before", REFUSED, "wamid.after"]
    updates = [message(vendor, message_object(wamid, CUSTOMER), order="c") for wamid in wamids]
    answers = await caller.process(*updates)
    assert [answer.result for answer in answers] == ["done", "rejected", "done"]
    assert answers[1].reason == REASON
    logs = caller.backend.rows(LOGS, vendors__id=vendor.id)
    assert [log["wamid"] for log in logs] == ["wamid.before", "wamid.after"]


#: Fails as often as it comes, and not for what it is.
FAILING = "wamid.failing"

TRIGGER = f"""
    CREATE TRIGGER failing BEFORE INSERT ON {LOGS} FOR EACH ROW
    IF NEW.wamid = '{FAILING}' THEN SIGNAL SQLSTATE '45000'; END IF
"""


#: As often as all messages together are tried.
CONFLICTS = f"""
    CREATE TRIGGER conflicts BEFORE INSERT ON {LOGS} FOR EACH ROW
    BEGIN
        SET @conflicts = COALESCE(@conflicts, 0) + 1;
        IF @conflicts <= 8 THEN SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213; END IF;
    END
"""


async def test_messages_that_lose_each_time_together(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    """They are stored one by one, in their order."""
    wamids = [f"wamid.lost.{n}" for n in range(5)]
    backend.run("SET @conflicts = 9")
    backend.database.rows(CONFLICTS)
    answers = await caller.process(
        *(message(vendor, message_object(wamid, CUSTOMER)) for wamid in wamids),
        message(vendor, message_object(REFUSED, CUSTOMER)),
    )
    backend.run("DROP TRIGGER conflicts")
    assert [answer.result for answer in answers] == [*["done"] * 5, "rejected"]
    assert [log["wamid"] for log in backend.rows(LOGS, vendors__id=vendor.id)] == wamids


#: The application hands messages over in a transaction of its own.
IN_TRANSACTION = """
    $action = $app->make(WhatsappSidecar\\Laravel\\Actions\\ProcessUpdates::class);
    $answer = fn () => $action->handle(base64_decode('{}'));

    return $app['db']->connection()->transaction($answer)['results'];
"""


async def test_messages_in_a_transaction_of_the_applications(
    backend: LaravelBackend, vendor: Vendor
) -> None:
    """They are stored in it. After a conflict, which has undone all of it, nothing is."""
    found = []
    for trigger in (TRIGGER, CONFLICTS):
        wamids = [FAILING, *(f"wamid.{len(trigger)}.{n}" for n in range(3))]
        updates = [message(vendor, message_object(wamid, CUSTOMER)) for wamid in wamids]
        body = base64.b64encode(orjson.dumps({"updates": updates})).decode()
        backend.database.rows(trigger)
        code = IN_TRANSACTION.format(body)
        answers = run_php(backend.installation.application, code)
        backend.run(f"DROP TRIGGER {'failing' if trigger == TRIGGER else 'conflicts'}")
        found.append([answer["result"] for answer in answers])
    assert found == [["retry", *["done"] * 3], ["retry"] * 4]
    assert len(backend.rows(LOGS, vendors__id=vendor.id)) == 3


async def test_two_of_many_messages(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    """Two each of twenty customers. The others are stored, in fewer statements than one by one;
    what a customer has written after what comes again waits for it."""
    wamids = [f"wamid.many.{n:02}" for n in range(40)]
    wamids[5], wamids[12] = REFUSED, FAILING
    updates = [
        message(vendor, message_object(wamid, f"99970000{n % 20:04}"), order=f"{n % 20}")
        for n, wamid in enumerate(wamids)
    ]
    backend.database.rows(TRIGGER)
    before = backend.database.statements()
    answers = await caller.process(*updates)
    statements = backend.database.statements() - before
    backend.run("DROP TRIGGER failing")
    expected = {REFUSED: "rejected", FAILING: "retry", "wamid.many.32": "retry"}
    assert [answer.result for answer in answers] == [expected.get(one, "done") for one in wamids]
    assert answers[32].reason == "behind_another"
    logs = backend.rows(LOGS, vendors__id=vendor.id)
    assert [log["wamid"] for log in logs] == [one for one in wamids if one not in expected]
    assert len(backend.rows("contacts", vendors__id=vendor.id)) == 19
    assert statements < 5 * len(wamids), "one by one each would take 7, and its contact 2"
    again = await caller.process(*({**one, "attempt": 2} for one in (updates[12], updates[32])))
    assert [answer.result for answer in again] == ["done", "done"]
    logs = backend.rows(LOGS, vendors__id=vendor.id)
    assert [log["wamid"] for log in logs[-2:]] == [FAILING, "wamid.many.32"]
