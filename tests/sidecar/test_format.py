"""Durations, sizes and versions."""

import pytest

from sidecar.format import duration, many, size, version_of


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("10.11.14-MariaDB", (10, 11, 14)),
        ("nginx/1.22.1", (1, 22, 1)),
        ("8", (8,)),
        ("7.0.15\n", (7, 0, 15)),
        ("unknown", ()),
        ("", ()),
    ],
)
def test_versions_begin_at_the_first_digit(text: str, version: tuple[int, ...]) -> None:
    assert version_of(text) == version


def test_versions_are_compared_by_numbers() -> None:
    assert version_of("10.2") > version_of("9.9.9")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 kB"),
        (1024**2 - 1, "1024.0 kB"),
        (64 * 1024**2, "64.0 MB"),
        (1536 * 1024**2, "1.5 GB"),
        (5000 * 1024**3, "5000.0 GB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.44, "0.4 s"),
        (9.9, "9.9 s"),
        (10, "10 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "120 min"),
        (7200, "2 h"),
        (172_800, "2 d"),
    ],
)
def test_durations_change_the_unit_at_two_of_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_one_is_no_plural() -> None:
    assert [many(count, "row") for count in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]
    assert [many(count, "reply", "replies") for count in (1, 2)] == ["1 reply", "2 replies"]
