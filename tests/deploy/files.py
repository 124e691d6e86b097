"""Reading what is shipped for an installation."""

from collections.abc import Mapping
from pathlib import Path

import click
import pytest

from contracts.jobs import Queue
from sidecar.commands.main import main
from sidecar.settings import ENV_PREFIX, Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def read_environment(path: Path) -> dict[str, str]:
    """Return the variables of an environment file."""
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def load_settings(environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Read the settings as the sidecar would with these variables; others are no settings."""
    for name, value in environment.items():
        if name.startswith(ENV_PREFIX):
            monkeypatch.setenv(name, value)
    return Settings.load()


def assert_command(arguments: list[str]) -> None:
    """Check that the program ``sidecar`` takes these arguments."""
    name, *rest = arguments
    command = main.get_command(click.Context(main), name)
    assert command is not None, f"there is no command {name}"
    if name == "worker":
        assert set(rest) <= {queue.value for queue in Queue}
    else:
        assert rest == []
