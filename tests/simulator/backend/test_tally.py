import sqlite3
from pathlib import Path
from typing import Any

from simulator.backend.seed import SeededVendor, seed_campaign, seed_installation
from simulator.backend.tally import OutgoingMessage, incoming_wamids, outgoing_messages, tally


def _log(
    connection: sqlite3.Connection, vendor_id: int, wamid: str, row_uid: str | None, **columns: Any
) -> None:
    values = {
        "_uid": f"log-{vendor_id}-{wamid}",
        "created_at": "2025-01-01 00:00:00",
        "vendors__id": vendor_id,
        "wamid": wamid,
        "is_incoming_message": 0,
        "__data": None if row_uid is None else f'{{"sidecar": {{"queue_row_uid": "{row_uid}"}}}}',
        **columns,
    }
    marks = ", ".join("?" * len(values))
    connection.execute(
        f"INSERT INTO whatsapp_message_logs ({', '.join(values)}) VALUES ({marks})",
        tuple(values.values()),
    )


def test_an_empty_database(connection: sqlite3.Connection, database: Path) -> None:
    counts = tally(database)
    assert (counts.queue, counts.outgoing, counts.doubles) == ({}, {}, {})
    assert (counts.incoming, counts.contacts, counts.pending_webhooks) == (0, 0, 0)
    assert outgoing_messages(database) == []
    assert incoming_wamids(database) == []


def test_rows_are_counted(
    connection: sqlite3.Connection, database: Path, vendor: SeededVendor
) -> None:
    other = seed_installation(connection)[0]
    campaign = seed_campaign(connection, vendor.uid, messages=3)
    seed_campaign(connection, other.uid, messages=2)
    connection.execute(
        "UPDATE whatsapp_message_queue SET status = 6 WHERE _uid = ?", (campaign.row_uids[0],)
    )
    twice = campaign.row_uids[1]
    _log(connection, vendor.id, "w1", twice, status="sent")
    _log(connection, vendor.id, "w2", twice, status="read")
    _log(connection, vendor.id, "w3", None, status="sent")
    _log(connection, vendor.id, "w4", None, status="received", is_incoming_message=1)
    _log(connection, other.id, "w5", None, status="received", is_incoming_message=1)

    mine = tally(database, vendor.uid)
    assert mine.queue == {1: 2, 6: 1}
    assert mine.outgoing == {"read": 1, "sent": 2}
    assert mine.doubles == {twice: 2}
    assert (mine.incoming, mine.contacts) == (1, 3)
    assert (mine.queued_rows, mine.sent_messages) == (3, 3)
    everybody = tally(database)
    assert (everybody.queued_rows, everybody.incoming, everybody.contacts) == (5, 2, 5)
    assert outgoing_messages(database, vendor.uid) == [
        OutgoingMessage(twice, "w1", "sent"),
        OutgoingMessage(twice, "w2", "read"),
        OutgoingMessage(None, "w3", "sent"),
    ]
    assert incoming_wamids(database) == ["w4", "w5"]
