"""What a rehearsal may find lower than it was, for PHP's own routine writes without a lock."""

from typing import Any

import pytest

from simulator.migration.load import NOT_READ, lowered_by_php


@pytest.mark.parametrize(
    ("unfinished", "before", "messages", "lowered"),
    [
        ({}, 0, 100, 0),
        ({NOT_READ: {"delivered": 1}}, 0, 100, 1),
        ({NOT_READ: {"delivered": 1}}, 0, 12, 1),
        ({NOT_READ: {"delivered": 1}}, 1, 101, 1),
        ({NOT_READ: {"delivered": 1}}, 1, 100, 0),
        ({NOT_READ: {"delivered": 2}}, 0, 100, 0),
        ({NOT_READ: {"sent": 1}}, 0, 100, 0),
        ({NOT_READ: {"delivered": 1, "sent": 1}}, 0, 200, 0),
        ({NOT_READ: {"delivered": 1}, "messages to be sent": 1}, 0, 100, 0),
    ],
)
def test_few_and_nothing_else(
    unfinished: dict[str, Any], before: int, messages: int, lowered: int
) -> None:
    assert lowered_by_php(unfinished, before, messages) == lowered
