from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.demo import Demo
from simulator.embedded import EmbeddedInstallation
from tests.stack.packages import wanted
from tests.system.running import MESSAGES, QUICK_CUSTOMERS, RATE

#: Where the stack cannot be started, tests/stack/test_packages.py says so.
collect_ignore = [] if wanted() else ["test_demo_stack.py"]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """A campaign that is being sent, with customers who write meanwhile."""
    installation = EmbeddedInstallation(tmp_path)
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
        demo.start_campaign(replies=30)
        yield demo
