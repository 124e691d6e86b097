"""A database with one vendor, and a backend that serves it."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.backend.database import open_database
from simulator.backend.seed import SeededVendor, seed_installation


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "backend.sqlite3"


@pytest.fixture
def connection(database: Path) -> Iterator[sqlite3.Connection]:
    connection = open_database(database)
    yield connection
    connection.close()


@pytest.fixture
def vendor(connection: sqlite3.Connection) -> SeededVendor:
    return seed_installation(connection)[0]
