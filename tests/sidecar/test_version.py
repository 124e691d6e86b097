"""Which version of the sidecar this is."""

import tomllib
from pathlib import Path

from sidecar.version import VERSION

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_it_is_the_projects() -> None:
    assert tomllib.loads(PROJECT.read_text())["project"]["version"] == VERSION
