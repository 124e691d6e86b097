"""Lines, and what stands in them."""

import pytest

from sidecar.commands.checks.line import fail, ok, warn
from sidecar.format import size, version_of


def test_how_a_line_reads() -> None:
    assert ok("redis", "answers").text == "OK    redis: answers"
    assert warn("php", "is slow").text == "WARN  php: is slow"
    assert fail("php", "is away", "start it").text == "FAIL  php: is away; start it"
    assert fail("php", "is away", "start it").json == {
        "level": "FAIL",
        "what": "php",
        "detail": "is away",
        "do": "start it",
    }


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("7.0.15", (7, 0, 15)),
        ("10.11.14-MariaDB-0+deb12u2", (10, 11, 14)),
        ("v8.0", (8, 0)),
        ("8.2.36", (8, 2, 36)),
        ("unknown", ()),
    ],
)
def test_versions(text: str, version: tuple[int, ...]) -> None:
    assert version_of(text) == version


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 kB"), (32 * 1024**2, "32.0 MB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text
