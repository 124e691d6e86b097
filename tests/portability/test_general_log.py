"""What Laravel and the SQL files said is found in a general log, and others' statements are not."""

from pathlib import Path

import pytest

from tests.portability.general_log import NAME, logs, shape, statements

LOG = """\
mariadbd, Version: 10.11 started with:
Time\t\t    Id Command\tArgument
261129  4:49:02\t     5 Connect\troot@localhost on reference using Socket
\t\t     5 Prepare\tSELECT 'of a test'
261129 14:49:02\t    66 Connect\troot@localhost on reference using Socket
\t\t    66 Query\tSET NAMES utf8mb4
\t\t    66 Query\tuse `reference`
\t\t    66 Query\tSTART TRANSACTION
\t\t    66 Prepare\tSELECT *
  FROM `vendors`

 WHERE _uid IN (?, ?)
\t\t    66 Execute\tSELECT * FROM `vendors` WHERE _uid IN ('a', 'b')
\t\t     5 Query\tSELECT 'of another test'
\t\t     5 Query\tALTER TABLE bots ADD INDEX name (name)
\t\t     5 Prepare\tALTER TABLE bots ADD INDEX name (name), ALGORITHM=INPLACE, LOCK=NONE
\t\t    66 Close stmt\t
\t\t    66 Quit\t
\t\t    66 Connect\troot@localhost on reference using Socket
\t\t    66 Query\tSELECT 'of a test with the number of one that is gone'
\t\t   167 Connect\troot@localhost on reference using Socket
\t\t   167 Query\tuse `reference`
\t\t   167 Prepare\tDELETE FROM `vendors` WHERE _uid IN (?)
"""


def test_laravels_statements(tmp_path: Path) -> None:
    (tmp_path / "one" / "data").mkdir(parents=True)
    (tmp_path / "one" / "data" / NAME).write_text(LOG)
    (log,) = logs(tmp_path)
    assert statements(log) == {
        "START TRANSACTION",
        "ALTER TABLE bots ADD INDEX name (name), ALGORITHM=INPLACE, LOCK=NONE",
        "SELECT *\n  FROM `vendors`\n\n WHERE _uid IN (?)",
        "DELETE FROM `vendors` WHERE _uid IN (?)",
    }


@pytest.mark.parametrize(
    ("statement", "one"),
    [
        ("INSERT INTO a VALUES (?,?,?), (?,?,?)", "INSERT INTO a VALUES (?)"),
        (
            "SELECT 1 FROM a WHERE (b, c) IN ((?, ?), (?, ?))",
            "SELECT 1 FROM a WHERE (b, c) IN ((?))",
        ),
        ("SELECT f(?), (?)", "SELECT f(?), (?)"),
    ],
)
def test_lists_of_any_length_are_one_statement(statement: str, one: str) -> None:
    assert shape(statement) == one
