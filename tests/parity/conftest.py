"""One PHP process that this folder's tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parity.php_loop import PhpLoop
from tests.stack.packages import require_stack, wanted

#: Where there is no PHP with Laravel, tests/stack/test_packages.py alone says so.
collect_ignore = [] if wanted() else [file.name for file in Path(__file__).parent.glob("test_*.py")]


@pytest.fixture(scope="session")
def php() -> Iterator[PhpLoop]:
    require_stack()
    with PhpLoop() as running:
        yield running
