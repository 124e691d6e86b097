"""The garbage collector of a process that serves."""

import gc
from collections.abc import Iterator

import pytest

from sidecar import garbage


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_what_is_there_is_left_alone_and_cycles_that_come_are_found() -> None:
    before = gc.get_threshold()[0]
    garbage.calm()
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold()[0] > before
    assert gc.isenabled()
