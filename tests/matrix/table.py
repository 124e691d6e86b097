"""What the parts of the matrix have come to."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

HEAD = ("suite", "Laravel", "PHP", "database", "Redis", "nginx", "passed", "failed", "skipped")


@dataclass(frozen=True, slots=True)
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped
        )

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def counts(report: Path, returncode: int) -> Counts:
    """Count what pytest or PHPUnit say in JUnit's format. A run that failed without a test that
    failed, or that left no report, is one failure."""
    passed = failed = skipped = 0
    if report.exists():
        for case in ElementTree.parse(report).iter("testcase"):
            said = {child.tag for child in case}
            failed += bool(said & {"failure", "error"})
            skipped += "skipped" in said
            passed += not said & {"failure", "error", "skipped"}
    return Counts(passed, failed or int(returncode != 0), skipped)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return lines with columns as wide as they must be, and the head above them."""
    lines = [HEAD, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
