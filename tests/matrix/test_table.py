"""Counting, and the table."""

from pathlib import Path

import pytest

from tests.matrix.table import HEAD, Counts, counts, table

REPORT = """\
<testsuites><testsuite><testcase name="a"/><testcase name="b"><skipped/></testcase>
<testsuite><testcase name="c"><failure/><error/></testcase><testcase name="d"><error/></testcase>
<testcase name="e"><system-out>words</system-out></testcase></testsuite></testsuite></testsuites>
"""


@pytest.mark.parametrize(
    ("report", "returncode", "expected"),
    [
        (REPORT, 1, Counts(2, 2, 1)),
        ("<testsuite><testcase/></testsuite>", 0, Counts(1, 0, 0)),
        # A folder that cannot be collected, say.
        ("<testsuite><testcase/></testsuite>", 2, Counts(1, 1, 0)),
        (None, 0, Counts(0, 0, 0)),
        (None, -9, Counts(0, 1, 0)),
    ],
)
def test_counts(tmp_path: Path, report: str | None, returncode: int, expected: Counts) -> None:
    file = tmp_path / "report.xml"
    if report is not None:
        file.write_text(report)
    assert counts(file, returncode) == expected


def test_counts_of_parts_are_added() -> None:
    assert Counts(1, 2, 3) + Counts(10, 20, 30) == Counts(11, 22, 33)


def test_table() -> None:
    rows = [["sid", *"1234567", "0"], ["trixie", *"1234", "1.30.1", *"678"]]
    lines = table(rows).splitlines()
    assert [line.split() for line in lines] == [list(HEAD), *rows]
    for line in lines[1:]:
        assert line.index("1") == lines[0].index("Laravel")
    assert not any(line.endswith(" ") for line in lines)
