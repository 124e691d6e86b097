import sqlite3
from pathlib import Path

import pytest

from contracts.signing import SignatureRefused
from simulator.backend.database import Database, open_database
from simulator.backend.nonces import Nonces


def _count(connection: sqlite3.Connection) -> int:
    (count,) = connection.execute("SELECT count(*) FROM sidecar_nonces").fetchone()
    return int(count)


def test_a_nonce_is_claimed_once(connection: sqlite3.Connection) -> None:
    nonces = Nonces(Database(connection), ttl_s=600)
    nonces.claim("nonce-one", 1000)
    nonces.claim("nonce-two", 1000)
    with pytest.raises(SignatureRefused):
        nonces.claim("nonce-one", 1600)


def test_nonces_survive_a_restart(database: Path) -> None:
    first = open_database(database)
    Nonces(Database(first), ttl_s=600).claim("nonce-one", 1000)
    first.close()
    second = open_database(database)
    with pytest.raises(SignatureRefused):
        Nonces(Database(second), ttl_s=600).claim("nonce-one", 1001)
    second.close()


def test_expired_nonces_are_deleted_now_and_then(connection: sqlite3.Connection) -> None:
    nonces = Nonces(Database(connection), ttl_s=10)
    for number in range(600):
        nonces.claim(f"old-{number:04d}", 1000)
    assert _count(connection) == 600
    for number in range(600):
        nonces.claim(f"new-{number:04d}", 2000)
    assert _count(connection) == 600
