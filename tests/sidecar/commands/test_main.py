"""The command line: each command is listed once, has a module of its name, and costs nobody else
anything."""

import pkgutil
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version

import click
import pytest

from sidecar import commands
from sidecar.commands.main import COMMANDS, main
from tests.sidecar.commands.running import run

pytestmark = pytest.mark.usefixtures("own_environment", "configured")


def test_every_command_has_a_module_and_every_module_with_a_command_is_listed() -> None:
    found = set()
    for module in pkgutil.iter_modules(commands.__path__):
        command = getattr(import_module(f"sidecar.commands.{module.name}"), module.name, None)
        if isinstance(command, click.Command) and command is not main:
            found.add(command.name)
    assert found == set(COMMANDS)
    assert len(COMMANDS) == len(set(COMMANDS))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_fits_a_line(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name
    described = command.get_short_help_str(limit=60)
    assert described.endswith(".")
    assert not described.endswith("..."), described


def test_help_names_every_command() -> None:
    for option in ("--help", "-h"):
        shown = run(option)
        assert shown.exit_code == 0
        listed = shown.stdout.partition("Commands:")[2]
        assert [line.split()[0] for line in listed.splitlines() if line.strip()] == list(COMMANDS)


def test_a_command_that_does_not_exist() -> None:
    result = run("numbrs")
    assert result.exit_code == 2
    assert "No such command 'numbrs'" in result.stderr


def test_version() -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert version("whatsapp-sidecar") in result.stdout


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("main", ("starlette", "aiohttp", "dramatiq", "redis", "pydantic", "structlog")),
        ("worker", ("starlette", "aiohttp", "dramatiq", "redis", "pydantic", "workers")),
        ("demo", ("starlette", "aiohttp", "dramatiq", "redis", "pydantic", "simulator")),
        ("status", ("workers", "simulator", "sidecar.commands.checks")),
        (
            "dead_letters",
            ("workers", "simulator", "starlette", "sidecar.migration", "sidecar.bots"),
        ),
    ],
)
def test_no_command_pays_for_another(name: str, without: tuple[str, ...]) -> None:
    code = f"import sys, sidecar.commands.{name}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    assert f"sidecar.commands.{name}" in loaded
    assert [module for module in loaded if module in without] == []


def leaves() -> dict[str, click.Command]:
    """Return all commands that do something, by what is typed."""
    found: dict[str, click.Command] = {}
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        inner = command.commands if isinstance(command, click.Group) else {"": command}
        found |= {f"{name} {one}".strip(): leaf for one, leaf in inner.items()}
    return found


LEAVES = leaves()
#: What prints lines of JSON anyway, and what runs something of its own.
WITHOUT_JSON = {
    *("dead-letters show", "dead-letters export", "completion"),
    *("serve", "worker", "demo", "simulate"),
}


@pytest.mark.parametrize("name", sorted(set(LEAVES) - WITHOUT_JSON))
def test_every_command_speaks_json(name: str) -> None:
    assert any("--json" in option.opts for option in LEAVES[name].params)


@pytest.mark.parametrize("name", sorted(set(LEAVES) - {"worker", "demo", "simulate"}))
def test_every_command_and_option_is_explained(name: str) -> None:
    shown = run(*name.split(), "--help")
    assert shown.exit_code == 0
    short = LEAVES[name].get_short_help_str(limit=60)
    assert short.endswith(".")
    assert not short.endswith("..."), "a group's list of commands would cut it"
    for option in LEAVES[name].params:
        if isinstance(option, click.Option) and option.name != "percent":
            assert option.help, option.name
