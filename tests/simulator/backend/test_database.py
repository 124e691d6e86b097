import sqlite3

import pytest

from simulator.backend.database import Database
from simulator.backend.seed import CampaignSeed, SeededVendor, seed_campaign


def _row(uid: str) -> dict[str, object]:
    return {"_uid": uid, "created_at": "2025-01-01 00:00:00", "title": uid}


def _uids(db: Database) -> list[str]:
    return [row["_uid"] for row in db.rows("SELECT _uid FROM vendors ORDER BY _id")]


def _insert_and_fail(db: Database) -> None:
    db.insert("vendors", _row("undone"))
    raise ZeroDivisionError


@pytest.fixture
def db(connection: sqlite3.Connection) -> Database:
    return Database(connection)


def test_only_missing_rows_are_inserted(db: Database) -> None:
    assert db.insert_missing("vendors", [_row("a"), _row("b"), _row("a")]) == 2
    assert db.insert_missing("vendors", [_row("b"), _row("c")]) == 1
    assert db.insert_missing("vendors", []) == 0
    assert _uids(db) == ["a", "b", "c"]


def test_more_rows_than_fit_into_one_statement(db: Database) -> None:
    count = 11_000
    before = db.statements
    assert db.insert_missing("vendors", [_row(str(n)) for n in range(count)]) == count
    assert db.statements - before == 2


def test_a_savepoint_undoes_its_part_alone(db: Database) -> None:
    with db.transaction():
        db.insert("vendors", _row("kept"))
        with pytest.raises(ZeroDivisionError), db.savepoint():
            _insert_and_fail(db)
        with db.savepoint():
            db.insert("vendors", _row("kept too"))
    assert _uids(db) == ["kept", "kept too"]


def test_a_transaction_is_undone_whole(db: Database) -> None:
    with pytest.raises(ZeroDivisionError), db.transaction():
        _insert_and_fail(db)
    assert _uids(db) == []


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        (
            "SELECT _id FROM whatsapp_message_logs WHERE vendors__id = 1 AND wamid = 'x'",
            "logs_wamid",
        ),
        ("SELECT _id FROM contacts WHERE vendors__id = 1 AND wa_id = 'x'", "contacts_wa_id"),
        (
            "SELECT _id FROM contacts WHERE vendors__id = 1"
            " AND json_extract(__data, '$.user_id') = 'x'",
            "contacts_user_id",
        ),
        (
            "SELECT _id FROM whatsapp_message_queue WHERE campaigns__id = 1 AND status = 1 AND"
            " nullif(replace(substr(json_extract(__data, '$.expiry_at'), 1, 19), 'T', ' '), '')"
            " <= '2025'",
            "queue_expiry",
        ),
        (
            "SELECT _id FROM whatsapp_message_queue WHERE status = 3 AND updated_at < '2025'",
            "queue_stale",
        ),
    ],
)
def test_hot_queries_use_their_index(
    db: Database, connection: sqlite3.Connection, vendor: SeededVendor, sql: str, index: str
) -> None:
    seed_campaign(connection, vendor.uid, CampaignSeed(10))
    plan = " ".join(row["detail"] for row in db.rows(f"EXPLAIN QUERY PLAN {sql}"))
    assert index in plan
