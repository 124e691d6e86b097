"""Whether the tests of the real stack are collected on this machine."""

import os
import subprocess

import pytest

from simulator.stack.packages import missing, program


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


def require_php_redis() -> None:
    """Skip the test, or fail it where ``CI`` is set, if PHP lacks its extension for Redis."""
    loaded = subprocess.run([program("php"), "-m"], capture_output=True, text=True, check=True)
    if "redis" not in loaded.stdout.split():
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse("no queue in Redis without php8.2-redis: run scripts/install-stack as root")
