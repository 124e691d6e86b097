"""What the stack needs of this machine."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache

import click

#: Where Debian puts servers, which is not in everybody's path.
_SERVERS = ("/usr/sbin", "/usr/local/sbin")

_PROGRAMS = ("nginx", "php")

_PHP = "require 'Illuminate/autoload.php'; foreach (['pdo_mysql', 'mbstring', 'curl'] as $name)"
_PHP += " extension_loaded($name) || exit(1);"


@dataclass(frozen=True, slots=True)
class DatabaseServer:
    """A program, and what it is."""

    name: str
    product: str


MARIADB = DatabaseServer("mariadbd", "MariaDB")
MYSQL = DatabaseServer("mysqld", "MySQL")


def find(name: str) -> str | None:
    """Return the path of a program, or None where there is none."""
    return shutil.which(name, path=os.pathsep.join(_folders()))


def _folders() -> list[str]:
    return [*os.environ.get("PATH", "").split(os.pathsep), *_SERVERS]


def program(name: str) -> str:
    """Return the path of one of the programs that :func:`missing` has not named."""
    found = find(name)
    if found is None:
        raise FileNotFoundError(f"there is no {name}; run scripts/install-stack as root")
    return found


def fpm() -> str:
    """Return the name of the PHP-FPM that goes with ``php``, such as ``php-fpm8.2``."""
    script = "echo PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION;"
    done = subprocess.run(
        [program("php"), "-r", script], capture_output=True, text=True, check=True
    )
    return f"php-fpm{done.stdout}"


def database_server() -> DatabaseServer:
    """Return the first that there is on the path. MariaDB's package brings a ``mysqld`` that is
    MariaDB's."""
    for folder in _folders():
        for server in (MARIADB, MYSQL):
            if shutil.which(server.name, path=folder):
                return server
    return MARIADB


@cache
def missing() -> list[str]:
    """Return what is missing on this machine; nothing if the stack can be started."""
    needed = [*_PROGRAMS, database_server().name]
    if database_server() is MARIADB:
        needed.append("mariadb-install-db")
    if find("php"):
        needed.append(fpm())
    lacking = [name for name in needed if find(name) is None]
    if "php" not in lacking:
        php = [program("php"), "-d", "error_reporting=0", "-r", _PHP]
        if subprocess.run(php, capture_output=True, check=False).returncode != 0:
            lacking.append(
                "php-laravel-framework or one of PHP's extensions mysql, mbstring and curl"
            )
    return lacking


def require_stack() -> None:
    """End a command that needs the stack with what is missing, if something is."""
    if lacking := missing():
        raise click.ClickException(
            f"no real stack without {', '.join(lacking)}: run scripts/install-stack as root"
        )
