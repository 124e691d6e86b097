"""Whether there can be hosts on this machine."""

import os

import pytest

from simulator.chaos.hosts import wire


def require_hosts() -> None:
    """Skip the test where no namespace or no TUN device can be made; fail it where ``CI`` is set
    and this is root."""
    if reason := wire.refusal():
        (pytest.fail if os.environ.get("CI") and os.geteuid() == 0 else pytest.skip)(reason)
