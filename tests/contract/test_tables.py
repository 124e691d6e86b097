"""What demos and chaos tests count in the tables is the same on both databases."""

import json
from typing import Any

from simulator.tables import OutgoingMessage
from tests.contract.installed import InstalledBackend
from tests.contract.under_test import Vendor

Backend = InstalledBackend[Any]


def _log(backend: Backend, vendor: Vendor, wamid: str, row_uid: str | None, **columns: Any) -> None:
    values = {
        "_uid": f"log-{vendor.id}-{wamid}",
        "created_at": "2025-01-01 00:00:00",
        "vendors__id": vendor.id,
        "wamid": wamid,
        "is_incoming_message": 0,
        "__data": row_uid and json.dumps({"sidecar": {"queue_row_uid": row_uid}}),
        **columns,
    }
    marks = ", ".join("?" * len(values))
    backend.run(
        f"INSERT INTO whatsapp_message_logs ({', '.join(values)}) VALUES ({marks})",
        tuple(values.values()),
    )


def test_a_vendor_without_rows(backend: Backend, vendor: Vendor) -> None:
    tables = backend.installation.tables
    counts = tables.counts(vendor.uid)
    assert (counts.queue, counts.outgoing, counts.doubles) == ({}, {}, {})
    assert (counts.incoming, counts.contacts, counts.pending_webhooks) == (0, 0, 0)
    assert tables.outgoing_messages(vendor.uid) == []
    assert tables.incoming_wamids(vendor.uid) == []


def test_rows_are_counted(backend: Backend, vendor: Vendor) -> None:
    tables = backend.installation.tables
    before = tables.counts()
    other = backend.seed_vendor()
    campaign = backend.seed_campaign(vendor, 3)
    backend.seed_campaign(other, 2)
    backend.change("whatsapp_message_queue", {"status": 6}, _uid=campaign.row_uids[0])
    twice = campaign.row_uids[1]
    _log(backend, vendor, "w1", twice, status="sent")
    _log(backend, vendor, "w2", twice, status="read")
    _log(backend, vendor, "w3", None, status="sent")
    _log(backend, vendor, "w4", None, status="received", is_incoming_message=1)
    _log(backend, other, "w5", None, status="received", is_incoming_message=1)

    mine = tables.counts(vendor.uid)
    assert mine.queue == {1: 2, 6: 1}
    assert mine.outgoing == {"read": 1, "sent": 2}
    assert mine.doubles == {twice: 2}
    assert (mine.incoming, mine.contacts) == (1, 3)
    assert (mine.queued_rows, mine.sent_messages) == (3, 3)
    assert tables.outgoing_messages(vendor.uid) == [
        OutgoingMessage(twice, "w1", "sent"),
        OutgoingMessage(twice, "w2", "read"),
        OutgoingMessage(None, "w3", "sent"),
    ]
    assert tables.incoming_wamids(vendor.uid) == ["w4"]
    after = tables.counts()
    assert after.queued_rows - before.queued_rows == 5
    assert after.incoming - before.incoming == 2
    assert after.contacts - before.contacts == 5
    assert tables.incoming_wamids()[-2:] == ["w4", "w5"]
