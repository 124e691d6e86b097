"""Versions that were tested, and what is said of others."""

import re
from pathlib import Path

import pytest

from sidecar.commands.checks.tested import TESTED, untested

README = Path(__file__).parents[4] / "README.md"
COLUMNS = ("laravel", "php", "database", "redis")


@pytest.mark.parametrize(
    ("product", "version"),
    [
        ("php", "8.2.36"),
        ("php", "8.4.27-1~deb13"),
        ("laravel", "8.83.27"),
        ("laravel", "12.99.0"),
        ("mariadb", "10.11.19-MariaDB-0+deb12u1"),
        ("mariadb", "11.8.9"),
        ("redis", "7.4.1"),
        ("valkey", "9.1.0"),
    ],
)
def test_tested(product: str, version: str) -> None:
    assert untested(product, version) is None


@pytest.mark.parametrize(
    ("product", "version", "says"),
    [
        ("php", "8.6.0", "which was never tested: 8.0, 8.1, 8.2, 8.3, 8.4 and 8.5 were"),
        ("php", "9.0.0", "which was never tested: 8.0, 8.1, 8.2, 8.3, 8.4 and 8.5 were"),
        ("laravel", "14.0.0", "which was never tested: 8, 9, 10, 11, 12 and 13 were"),
        ("mariadb", "10.6.20", "which was never tested: 10.11 and 11.8 were"),
        ("mariadb", "11.80.1", "which was never tested: 10.11 and 11.8 were"),
        ("mysql", "8.4.3", "which was never tested: 9.7 was"),
        ("valkey", "8.1.0", "which was never tested: 9 was"),
        ("redis", "", "which was never tested: 7 and 8 were"),
    ],
)
def test_never_tested(product: str, version: str, says: str) -> None:
    assert untested(product, version) == says


def test_the_readme_has_the_same() -> None:
    """What the table "Tested on" names is tested, and the other way round."""
    table = README.read_text().partition("### Tested on")[2].partition("\n#")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| ")]
    assert len(rows) > 3
    seen: dict[str, set[str]] = {product: set() for product in TESTED}
    for row in rows[1:]:
        for column, cell in zip(COLUMNS, row[1:], strict=False):
            for words in re.findall(r"([A-Za-z]*) ?(\d+(?:\.\d+)*)", cell):
                seen[words[0].lower() or column].add(words[1])
    for product, versions in seen.items():
        assert versions, product
        assert [one for one in versions if untested(product, one)] == []
        for one in TESTED[product]:
            name = ".".join(map(str, one))
            assert any(f"{version}.".startswith(f"{name}.") for version in versions), (product, one)
