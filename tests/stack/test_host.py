"""What a host's configuration comes to, without starting it."""

import pytest

from simulator.stack.host import Host

TABLES = "CREATE TABLE vendors (_id INT);"


def test_the_plain_host_changes_nothing() -> None:
    host = Host()
    assert host.variables() == {}
    assert (host.zone, host.database) == (None, "reference")
    assert host.schema(TABLES).startswith(TABLES)
    assert "DATABASE" not in host.schema(TABLES)


@pytest.mark.parametrize(
    ("host", "variables"),
    [
        (Host(sql_mode=""), {"DB_SQL_MODE": "empty"}),
        (Host(isolation=""), {"WHATSAPP_SIDECAR_DB_ISOLATION": "empty"}),
        (Host(replica=True, sticky=True), {"DB_REPLICA": "replica", "DB_STICKY": "1"}),
        (Host(cached=True, opcache=True), {}),
    ],
)
def test_what_differs_is_a_variable(host: Host, variables: dict[str, str]) -> None:
    assert host.variables() == variables


def test_with_a_prefix_the_plain_names_are_elsewhere() -> None:
    """Whoever forgets the prefix finds no table."""
    host = Host(table_prefix="wa_", replica=True)
    sql = host.schema(TABLES)
    assert host.database == "plain"
    assert "RENAME TABLE vendors TO wa_vendors;" in sql
    assert "CREATE VIEW plain.vendors AS SELECT * FROM reference.wa_vendors;" in sql
    assert "CREATE TABLE replica.wa_vendors LIKE reference.wa_vendors;" in sql
    assert "INSERT INTO replica.wa_vendors SELECT * FROM reference.wa_vendors" in host.copying()
