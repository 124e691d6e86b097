from collections.abc import AsyncIterator

import pytest

from tests.simulator.cloud_api.helpers import Receiver, receiving


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one
