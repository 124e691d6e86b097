"""Whether this machine can start the stack."""

import pytest

from tests.stack.packages import reason, require_stack, wanted


def test_the_stack_can_be_started() -> None:
    if not wanted():
        pytest.skip(reason())
    require_stack()
