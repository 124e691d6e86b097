"""Programs that the tests need, and that come from Debian's packages."""

import os

import pytest


def require(name: str, path: str | None, package: str) -> str:
    """Return the path of a program. Where it is missing, skip the test that needs it; in CI, fail
    it."""
    if path is not None:
        return path
    how = f"{name} is not installed: apt-get install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{how} (a test may not be skipped in CI)", pytrace=False)
    pytest.skip(how)
