from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simulator.demo import Demo
from simulator.embedded import EmbeddedInstallation
from tests.stack.packages import wanted
from tests.system.running import MESSAGES, QUICK_CUSTOMERS, RATE

#: Where the stack cannot be started, tests/stack/test_packages.py says so.
collect_ignore = [] if wanted() else ["test_demo_stack.py"]


@contextmanager
def running_demo(folder: Path) -> Iterator[Demo]:
    """An installation that has nothing to do yet."""
    installation = EmbeddedInstallation(folder)
    demo = Demo(installation, messages=MESSAGES, rate=RATE, cloud_api_options=QUICK_CUSTOMERS)
    installation.configure(
        lease_ttl_ms=1500,
        reconcile_interval_s=0.2,
        backend_timeout_s=5,
        due_campaigns_interval_s=1,
        console=True,
    )
    with installation:
        demo.start()
        yield demo


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """A campaign that is being sent, with customers who write meanwhile."""
    with running_demo(tmp_path) as demo:
        demo.start_campaign(replies=30)
        yield demo


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


@pytest.fixture
def shared_demo(installed: Demo) -> Demo:
    """The same on an installation that the module's tests share, and leave at rest."""
    installed.start_campaign(replies=30)
    return installed
