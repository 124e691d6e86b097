from collections.abc import Iterator

import pytest

from simulator.embedded import EmbeddedInstallation
from simulator.stack.installation import StackInstallation
from tests.cases.world import World
from tests.stack.packages import require_stack, wanted

KINDS = [StackInstallation if wanted() else EmbeddedInstallation]


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.__name__)
def world(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[World]:
    if request.param is StackInstallation:
        require_stack()
    with request.param(tmp_path_factory.mktemp("world")) as installation:
        world = World(installation)
        world.start()
        yield world
