"""The embedded backend's setting of whose messages are not sent."""

import sqlite3
from pathlib import Path

import pytest
from pydantic import SecretBytes

from contracts.backend import ClaimMessagesRequest
from simulator.backend.claims import claim_messages
from simulator.backend.config import BackendConfig, OptOuts
from simulator.backend.database import Database
from simulator.backend.faults import Faults
from simulator.backend.report import Report
from simulator.backend.seed import CampaignSeed, SeededVendor, seed_campaign
from simulator.backend.work import Work

NOW_MS = 4_102_444_800_000


@pytest.mark.parametrize(
    ("opt_outs", "category", "sent"),
    [
        ("off", "MARKETING", "opted-out blocked deleted fine"),
        ("marketing", "MARKETING", "fine"),
        ("marketing", "UTILITY", "opted-out fine"),
        ("marketing", None, "fine"),
        ("all", "UTILITY", "fine"),
        ("all", None, "fine"),
    ],
)
def test_who_gets_it(
    database: Path,
    connection: sqlite3.Connection,
    vendor: SeededVendor,
    opt_outs: OptOuts,
    category: str | None,
    sent: str,
) -> None:
    campaign = seed_campaign(connection, vendor.uid, CampaignSeed(4, category=category))
    names = dict(zip(campaign.row_uids, ("opted-out", "blocked", "deleted", "fine"), strict=True))
    contacts = [row[0] for row in connection.execute("SELECT _id FROM contacts ORDER BY _id")]
    connection.execute("UPDATE contacts SET whatsapp_opt_out = 1 WHERE _id = ?", contacts[:1])
    connection.execute(
        "UPDATE contacts SET wa_blocked_at = '2025-01-01 00:00:00' WHERE _id = ?", contacts[1:2]
    )
    connection.execute("DELETE FROM contacts WHERE _id = ?", contacts[2:3])
    config = BackendConfig(
        database=database, keys={"id": SecretBytes(b"secret")}, campaign_opt_outs=opt_outs
    )
    work = Work(Database(connection), config, Report(), Faults(), NOW_MS)
    request = ClaimMessagesRequest(
        vendor_uid=vendor.uid, campaign_uid=campaign.uid, claim_uid="c", fence=1, limit=10
    )
    answer = claim_messages(work, request)
    assert [names[row["uid"]] for row in answer["rows"]] == sent.split()
    assert answer["skipped"] == 4 - len(answer["rows"])


def test_the_default_is_marketing(database: Path) -> None:
    config = BackendConfig(database=database, keys={"id": SecretBytes(b"secret")})
    assert config.campaign_opt_outs == "marketing"
