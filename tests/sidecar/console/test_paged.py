"""Lists of which one page is shown."""

import pytest

from sidecar.console.paged import Paged, page_number


@pytest.mark.parametrize(
    ("text", "number"), [("", 1), ("3", 3), ("0", 1), ("-1", 1), ("x", 1), ("٣", 1), ("9" * 6, 1)]
)
def test_the_number_of_a_page(text: str, number: int) -> None:
    assert page_number(text) == number


@pytest.mark.parametrize(
    ("count", "number", "shown", "neighbours"),
    [
        (0, 1, [], (None, None)),
        (2, 1, [0, 1], (None, None)),
        (5, 1, [0, 1], (None, 2)),
        (5, 2, [2, 3], (1, 3)),
        (5, 3, [4], (2, None)),
        (5, 99, [4], (2, None)),
    ],
)
def test_a_page(
    count: int, number: int, shown: list[int], neighbours: tuple[int | None, int | None]
) -> None:
    page = Paged.of(range(count), number, 2)
    assert (list(page.items), page.neighbours) == (shown, neighbours)
