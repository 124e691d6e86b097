"""contracts/sql: every script can be run again, and taken back, on each database server."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from contracts.diagnosis import INDEXES
from simulator.stack.application import APPLICATION
from simulator.stack.database import Database, SqlError
from simulator.stack.installation import CONTRACTS
from tests.contract.laravel import LaravelBackend

SCRIPTS = CONTRACTS / "sql"
PAIRS = ("indexes", "user_ids")
TABLES = (
    *("vendor_settings", "contacts", "whatsapp_message_queue", "whatsapp_message_logs"),
    "whatsapp_webhook_queue",
)
NAMES = {
    "queue": "whatsapp_message_queue",
    "logs": "whatsapp_message_logs",
    "webhooks": "whatsapp_webhook_queue",
}
#: Those of foreign keys, which the server makes if there is none.
WRITTEN_KEY = re.compile(r"^    KEY .*\n", re.M)


@pytest.fixture
def database(backend: LaravelBackend) -> Iterator[Database]:
    """The application's tables in a database of their own, as Laravel's migrations make them: the
    server itself makes the indexes of foreign keys."""
    schema = WRITTEN_KEY.sub("", (APPLICATION / "schema.sql").read_text())
    backend.database.script("DROP DATABASE IF EXISTS migrated; CREATE DATABASE migrated")
    with closing(backend.installation.mariadb.connect("migrated")) as database:
        database.script(schema)
        yield database
    backend.database.script("DROP DATABASE migrated")


def text(name: str) -> str:
    return (SCRIPTS / f"{name}.sql").read_text()


def tables(database: Database) -> dict[str, object]:
    shown = {table: database.rows(f"SHOW CREATE TABLE {table}")[0] for table in TABLES}
    return {table: row["Create Table"] for table, row in shown.items()}


def indexes(database: Database) -> dict[str, list[str]]:
    """Return the columns of each index, by table and name."""
    found: dict[str, list[str]] = {}
    for table in TABLES:
        for row in database.rows(f"SHOW INDEX FROM {table}"):
            found.setdefault(f"{table}.{row['Key_name']}", []).append(row["Column_name"])
    return found


def ours(database: Database) -> dict[str, list[str]]:
    return {name: of for name, of in indexes(database).items() if ".sidecar_" in name}


WANTED = {
    f"{NAMES.get(table, table)}.{name}": list(columns)
    for table, wanted in INDEXES.items()
    for name, columns in wanted.items()
}


def test_every_script_is_tried_here() -> None:
    there = {file.stem for file in SCRIPTS.glob("*")}
    assert there == {name for pair in PAIRS for name in (pair, f"{pair}_down")}


@pytest.mark.parametrize("name", PAIRS)
def test_a_script_can_be_run_again_and_taken_back(database: Database, name: str) -> None:
    before = tables(database)
    database.script(text(name))
    built = tables(database)
    assert built != before
    database.script(text(name))
    assert tables(database) == built
    for _ in range(2):
        database.script(text(f"{name}_down"))
        assert tables(database) == before


def test_the_indexes_are_those_that_the_checks_want(database: Database) -> None:
    database.script(text("indexes"))
    assert ours(database) == WANTED


def test_what_is_missing_is_added(database: Database) -> None:
    database.script(text("indexes"))
    database.script(
        "ALTER TABLE whatsapp_message_queue DROP INDEX sidecar_queue_due,"
        " DROP INDEX sidecar_queue_vendor; ALTER TABLE contacts DROP INDEX sidecar_contacts_wa_id"
    )
    database.script(text("indexes"))
    assert ours(database) == WANTED


@pytest.mark.parametrize("first", PAIRS)
def test_the_scripts_do_not_depend_on_one_another(database: Database, first: str) -> None:
    [second] = set(PAIRS) - {first}
    before = indexes(database)
    for name in (first, second, f"{first}_down", f"{second}_down"):
        database.script(text(name))
    assert indexes(database) == before


@pytest.mark.parametrize("name", PAIRS)
def test_an_index_that_the_server_made_for_a_foreign_key_is_kept(
    database: Database, name: str
) -> None:
    """Ours would serve the key as well, and the server drops what it has made itself. Then ours
    could not be dropped before another is built."""
    before = indexes(database)
    database.script(text(name))
    found = indexes(database)
    assert {name: found.get(name) for name in before} == before


def test_an_index_that_ours_had_replaced_is_built_again(database: Database) -> None:
    """Indexes of an older file, or ones that were added by hand."""
    before = indexes(database)
    for name, columns in WANTED.items():
        table, _, index = name.partition(".")
        database.rows(f"ALTER TABLE {table} ADD INDEX {index} ({', '.join(columns)})")
    assert not set(before) <= set(indexes(database))
    with pytest.raises(SqlError, match="1553"):
        database.rows("ALTER TABLE vendor_settings DROP INDEX sidecar_settings_name")
    database.script(text("indexes"))
    for _ in range(2):
        database.script(text("indexes_down"))
        assert indexes(database) == before


def test_a_foreign_key_of_two_columns_gets_both_back(database: Database) -> None:
    database.script(
        "CREATE TABLE named (vendors__id INT UNSIGNED, name VARCHAR(45) COLLATE"
        " utf8mb4_unicode_ci, PRIMARY KEY (vendors__id, name)) ENGINE=InnoDB;"
        " ALTER TABLE vendor_settings DROP FOREIGN KEY fk_vendor_settings_vendors;"
        " ALTER TABLE vendor_settings ADD CONSTRAINT fk_two FOREIGN KEY (vendors__id, name)"
        " REFERENCES named (vendors__id, name)"
    )
    database.rows("ALTER TABLE vendor_settings ADD INDEX sidecar_settings_name (vendors__id, name)")
    database.script(text("indexes_down"))
    assert indexes(database)["vendor_settings.fk_two"] == ["vendors__id", "name"]
    assert ours(database) == {}


def test_nobody_waits_for_long_behind_a_table_that_somebody_holds(
    backend: LaravelBackend, database: Database
) -> None:
    """A statement that changes a table waits for the transactions that have read it, and all who
    come later wait behind it: for a day, as the server is set up."""
    patient = "lock_wait_timeout = 5"
    for name in (file.stem for file in SCRIPTS.glob("*.sql")):
        assert patient in text(name)
    with closing(backend.installation.mariadb.connect("migrated")) as other:
        other.script("START TRANSACTION; SELECT COUNT(*) FROM contacts")
        with pytest.raises(SqlError, match="1205"):
            database.script(text("indexes").replace(patient, "lock_wait_timeout = 1"))
        other.script("COMMIT")
    database.script(text("indexes"))
    assert ours(database) == WANTED


def test_what_a_script_sets_ends_with_it(database: Database) -> None:
    asked = "SELECT @@lock_wait_timeout AS patience, @@group_concat_max_len AS longest"
    before = database.rows(asked)
    for pair in PAIRS:
        for name in (pair, f"{pair}_down"):
            database.script(text(name))
            assert database.rows(asked) == before


def test_a_table_that_is_not_there_is_named(database: Database) -> None:
    database.script("DROP TABLE vendor_settings")
    with pytest.raises(SqlError, match="vendor_settings"):
        database.script(text("indexes"))


@pytest.mark.parametrize("file", sorted(SCRIPTS.glob("*.sql")), ids=lambda file: file.stem)
def test_a_script_is_plain_statements(file: Path) -> None:
    """So that everything that runs SQL can run it: no DELIMITER, no procedure, and no semicolon
    but at the end of a line."""
    for line in file.read_text().splitlines():
        assert line.startswith("--") or ";" not in line[:-1]
        assert not line.upper().startswith(("DELIMITER", "CREATE"))
        assert len(line) <= 120
