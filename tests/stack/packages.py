"""Whether the tests of the real stack are collected on this machine."""

import os

import pytest

from simulator.stack.packages import missing


def wanted() -> bool:
    """Tell whether to collect tests of the stack. Where ``CI`` is set they are, whatever is
    missing, and fail; elsewhere tests/stack/test_packages.py says in one line why they are not."""
    return bool(os.environ.get("CI")) or not missing()


def require_stack() -> None:
    """Fail with what is missing, if something is."""
    if missing():
        pytest.fail(reason(), pytrace=False)


def reason() -> str:
    lacking = ", ".join(missing())
    return f"no tests of the real stack without {lacking}: run scripts/install-stack as root"
