"""Whether this machine can start the stack, and which of its programs are taken."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from simulator.__main__ import main
from simulator.stack import packages
from simulator.stack.packages import MARIADB, MYSQL, database_server, find, fpm
from tests.stack.packages import reason, require_stack, wanted


def test_the_stack_can_be_started() -> None:
    if not wanted():
        pytest.skip(reason())
    require_stack()


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Path]]:
    """The only folders that programs are looked for in."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    monkeypatch.setenv("PATH", f"{first}{os.pathsep}{second}")
    monkeypatch.setattr(packages, "_SERVERS", ())
    packages.missing.cache_clear()
    yield first, second
    packages.missing.cache_clear()


def put(folder: Path, name: str, says: str = "") -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\nprintf '%s' '{says}'\n")
    program.chmod(0o755)


def test_the_database_is_what_comes_first(folders: tuple[Path, Path]) -> None:
    first, second = folders
    assert database_server() is MARIADB
    put(second, "mysqld")
    assert database_server() is MYSQL
    # MariaDB's package has both.
    put(second, "mariadbd")
    assert database_server() is MARIADB
    put(first, "mysqld")
    assert database_server() is MYSQL
    assert find("mysqld") == str(first / "mysqld")


def test_php_fpm_is_of_phps_version(folders: tuple[Path, Path]) -> None:
    first, second = folders
    put(second, "php", "8.2")
    put(second, "php-fpm8.2")
    assert fpm() == "php-fpm8.2"
    put(first, "php", "8.4")
    assert fpm() == "php-fpm8.4"


def test_what_is_missing_is_named(folders: tuple[Path, Path]) -> None:
    first, second = folders
    assert packages.missing() == ["nginx", "php", "mariadbd", "mariadb-install-db"]
    for name in ("nginx", "mysqld"):
        put(first, name)
    put(second, "php", "8.4")
    packages.missing.cache_clear()
    assert packages.missing() == ["php-fpm8.4"]


@pytest.mark.parametrize(
    "command",
    [
        ["adversary"],
        ["chaos"],
        ["chaos-failover"],
        ["chaos-hosts"],
        ["migration"],
        ["outages", "--stack"],
        ["demo", "--stack"],
    ],
)
def test_commands_say_what_is_missing(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.setattr(packages, "missing", lambda: ["nginx", "php"])
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert "no real stack without nginx, php: run scripts/install-stack as root" in result.stderr
