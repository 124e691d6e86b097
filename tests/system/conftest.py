from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.demo import Demo
from tests.system.running import MESSAGES, QUICK_CUSTOMERS, RATE


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """A campaign that is being sent, with customers who write meanwhile."""
    demo = Demo(
        tmp_path, messages=MESSAGES, rate=RATE, replies=30, cloud_api_options=QUICK_CUSTOMERS
    )
    demo.installation.configure(
        lease_ttl_ms=1500,
        reconcile_interval_s=0.2,
        backend_timeout_s=5,
        due_campaigns_interval_s=1,
    )
    with demo.installation:
        demo.start()
        demo.start_campaign()
        yield demo
