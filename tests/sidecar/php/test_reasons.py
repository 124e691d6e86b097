"""Reasons are kept and logged without personal data, whatever shape an error has."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import simulator.backend
from sidecar.php.reasons import MAX_CHARS, TABLES, scrub

REDUCED = re.compile(
    r"(?:SQLSTATE\[[0-9A-Z]{5}\](?: \d{1,5})?|SQL error(?: \d{4})?)"
    rf"(?: in (?:{'|'.join(TABLES)}))?"
)
#: What an SQL error may look like, with a place for values.
LONG = "SQLSTATE[22001]: String data, right truncated: 1406 Data too long for column 'first_name'"
TAKEN = "SQLSTATE[23000]: Integrity constraint violation: 1062 Duplicate entry '{}' for key 'u'"
SHAPES = {
    "laravel 8": (
        LONG + " at row 1 (SQL: insert into `contacts` (`first_name`, `wa_id`) values ({}, {}))",
        "SQLSTATE[22001] 1406 in contacts",
    ),
    "laravel 10": (
        LONG + " at row 1 (Connection: mysql, SQL: insert into `contacts` (`a`) values ({}, {}))",
        "SQLSTATE[22001] 1406 in contacts",
    ),
    "laravel 11": (
        LONG + " at row 1 (Connection: mysql, Host: db, Port: 3306, Database: app, SQL: "
        "update `contacts` set `first_name` = {} where `wa_id` = {})",
        "SQLSTATE[22001] 1406 in contacts",
    ),
    "pdo": (LONG + " at row 1; {} {}", "SQLSTATE[22001] 1406"),
    "with a class": (
        "Illuminate\\Database\\QueryException: " + TAKEN + " (SQL: update `campaigns` set x = {})",
        None,
    ),
    "incorrect value": (
        "SQLSTATE[22007]: Invalid datetime format: 1366 Incorrect string value: '{}' for column "
        "`app`.`contacts`.`first_name` at row 1 ({})",
        None,
    ),
    "sqlite": ('near "{}": syntax error {}', None),
    "postgres": (
        "SQLSTATE[23505]: Unique violation: 7 ERROR:  duplicate key value violates unique "
        'constraint "u" DETAIL:  Key (first_name)=({}) already exists. (SQL: insert into "contacts"'
        " values ({}))",
        None,
    ),
    "as JSON": (
        '{"message":"SQLSTATE[22001]: String data, right truncated: 1406 Data too long for column '
        'at row 1 (SQL: insert into `contacts` values ({}))","trace":["{}"]}',
        "SQLSTATE[22001] 1406 in contacts",
    ),
    "connection": ("SQLSTATE[HY000] [2002] Connection refused {} {}", "SQLSTATE[HY000] 2002"),
    "driver's own": ("Duplicate entry '{}' for key 'contacts_wa_id' {}", None),
    "mysql": ("ERROR 1062 (23000): Duplicate entry '{}' for key {}", None),
    "only a statement": ('{} insert into "contacts" values ({})', None),
    "a page": (
        "<!DOCTYPE html><html><title>" + LONG + " at row 1 (SQL: insert into `contacts` values ({}"
        "))</title><body><pre>#0 /app/Db.php(3): insert('{}')</pre></body></html>",
        "SQLSTATE[22001] 1406 in contacts",
    ),
    "a trace": (
        LONG + " at row 1\nStack trace:\n#0 /app/Db.php(12): run('insert into `contacts`', '{}')\n"
        "#1 {main}\n{}",
        "SQLSTATE[22001] 1406 in contacts",
    ),
}
VALUES = st.text(min_size=1, max_size=40) | st.sampled_from(
    ["Anna", "4915112345678", "anna@example.com", "'); insert into `Anna` (", "SQL: Anna", "\n"]
)


@pytest.mark.parametrize("shape", SHAPES)
@given(values=st.tuples(VALUES, VALUES))
def test_no_value_of_a_statement_survives(shape: str, values: tuple[str, str]) -> None:
    template, expected = SHAPES[shape]
    text = template
    for value in values:
        text = text.replace("{}", value.replace("{}", ""), 1)
    found = scrub(text)
    assert REDUCED.fullmatch(found), "nothing but codes and a known table"
    assert expected in (None, found)
    assert scrub(found) == found


@given(st.text(max_size=600))
def test_again_changes_nothing_and_nothing_is_long(text: str) -> None:
    found = scrub(text)
    assert len(found) <= MAX_CHARS
    assert scrub(found) == found


PREFIX = st.text(st.characters(codec="ascii", exclude_characters="0123456789<"), max_size=30)


@given(PREFIX, st.integers(10**6, 10**15), st.sampled_from([" ", "-", ".", "/", "", ") "]))
def test_no_number_of_a_phone_survives(around: str, number: int, between: str) -> None:
    digits = str(number)
    for written in (digits, between.join(digits), f"+{digits[:2]} ({digits[2:5]}) {digits[5:]}"):
        found = scrub(f"{around}x {written} {around}")
        assert not re.search(r"\d(?:\D?\d){6,}", found), found


@pytest.mark.parametrize(
    ("reason", "found"),
    [
        ("locked", "locked"),
        ("own_number", "own_number"),
        ("", ""),
        ("the contact of anna.b@example.com is locked", "the contact of [e-mail] is locked"),
        ("no contact 4915112345678", "no contact [number]"),
        ("no contact +49 151 1234-5678.", "no contact +[number]."),
        ("no contact \u0664\u0669\u0661\u0665\u0661\u0661\u0662\u0663", "no contact [number]"),
        ("attempt 123456 of 7", "attempt 123456 of 7"),
        ("cannot connect to 192.168.100.200:3306", "cannot connect to 192.168.100.200:3306"),
        ("it broke\n#0 /app/a.php(3): say('Anna')", "it broke"),
        ("it broke #0 /app/a.php(3): say('Anna')", "it broke"),
        ("it broke #1 {main}", "it broke"),
        ("f(): Argument #1 must be of type string", "f(): Argument #1 must be of type string"),
        (
            "no vendor 00000000-e89b-12d3-a456-426614174000",
            "no vendor 00000000-e89b-12d3-a456-426614174000",
        ),
        (
            "error: Illuminate\\Database\\QueryException: SQLSTATE 22001, code 1406, table "
            "contacts, column first_name",
            "SQLSTATE[22001] 1406 in contacts",
        ),
        ("Duplicate entry 'Anna' for key 'contacts.contacts_wa_id'", "SQL error in contacts"),
        ("it broke Stack trace: say('Anna')", "it broke"),
        ("<html><body>Dear Anna</body></html>", "an HTML page; PHP's log says why"),
        ("PHP answered 'later': try again", "PHP answered 'later': try again"),
        ("x" * 400, "x" * 297 + "..."),
        ("UNIQUE constraint failed: contacts.wa_id", "SQL error in contacts"),
        ("QueryException in users: Anna", "SQL error in users"),
    ],
)
def test_reasons(reason: str, found: str) -> None:
    assert scrub(reason) == found


def test_the_tables_are_those_of_the_backend() -> None:
    schema = (Path(simulator.backend.__file__).parent / "schema.sql").read_text()
    made = set(re.findall(r"(?m)^CREATE TABLE IF NOT EXISTS (\w+)", schema))
    assert {name for name in made if not name.startswith("sidecar_")} <= set(TABLES)
