"""The versions of what the stack runs on, as the programs themselves say them."""

import re
import subprocess
from dataclasses import dataclass
from functools import cache

from simulator.stack.packages import database_server, find, program

_PHP = """\
error_reporting(0); require 'Illuminate/autoload.php';
echo PHP_VERSION, ' ', Illuminate\\Foundation\\Application::VERSION;
"""


@dataclass(frozen=True, slots=True)
class Versions:
    """``database`` and ``redis`` name the product too: ``MariaDB 10.11.14``, ``Valkey 9.1.0``."""

    laravel: str
    php: str
    database: str
    redis: str
    nginx: str

    def __str__(self) -> str:
        return (
            f"nginx {self.nginx}, Laravel {self.laravel}, PHP {self.php}, {self.database},"
            f" {self.redis}"
        )


@cache
def versions() -> Versions:
    """Ask every program, once. Raises FileNotFoundError where one is missing."""
    return _asked()


def _asked() -> Versions:
    php, laravel = _said(program("php"), "-r", _PHP).split()
    server = database_server()
    return Versions(
        laravel=laravel,
        php=php.partition("-")[0],
        database=f"{server.product} {_number(_said(program(server.name), '--version'))}",
        redis=_redis(),
        nginx=_number(_said(program("nginx"), "-v")),
    )


def _redis() -> str:
    path = find("redis-server")
    if path is None:
        return "Valkey (embedded)"
    said = _said(path, "--version")
    return f"{said.split()[0]} {_number(said)}"


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return (done.stdout + done.stderr).strip()


def _number(text: str) -> str:
    found = re.search(r"\d+\.\d+(\.\d+)?", text)
    return found[0] if found else "?"
