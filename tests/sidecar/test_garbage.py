"""The garbage collector of a process that has loaded what it needs."""

import gc
from collections.abc import Iterator

import pytest

from sidecar.garbage import calm_collector


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_it_leaves_alone_what_was_loaded_and_still_collects() -> None:
    calm_collector()
    assert gc.get_freeze_count() > 1000
    assert gc.isenabled()
    ring: list[object] = []
    ring.append(ring)
    del ring
    assert gc.collect() > 0
