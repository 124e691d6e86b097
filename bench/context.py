"""What a part of the benchmark is given, and helps itself with."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from simulator.installation import Installation

_Size = TypeVar("_Size", int, float)
_Installation = TypeVar("_Installation", bound=Installation)

#: Where the measured process runs, and where the load generator and Redis do.
SERVER_CPU, OTHERS_CPU = 0, 1


@dataclass(frozen=True, slots=True)
class Context:
    """``quick``: as small as shows that it works."""

    quick: bool = False

    def size(self, full: _Size, quick: _Size) -> _Size:
        return quick if self.quick else full


@contextmanager
def installed(kind: type[_Installation], **options: object) -> Iterator[_Installation]:
    """Make an installation in a folder of its own, and stop and remove it."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        kind(Path(folder), **options) as installation,  # type: ignore[arg-type]
    ):
        yield installation


@contextmanager
def on_cpu(cpu: int) -> Iterator[None]:
    """Have this process, and what it starts, run on one processor, for a block."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu} & before or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
