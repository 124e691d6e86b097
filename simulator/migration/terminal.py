"""Runs the operator's commands against an installation, as they stand on the page."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from string import Template

from simulator.processes import python
from simulator.stack.application import APPLICATION
from simulator.stack.installation import StackInstallation
from simulator.stack.packages import MYSQL, database_server, program
from simulator.stack.sql_server import DATABASE
from simulator.warm import spawn

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120.0

#: The units of deploy/systemd, and the parts of an installation that they stand for.
UNITS = {"sidecar": "sidecar", "sidecar-worker": "worker"}


@dataclass(frozen=True, slots=True)
class Done:
    """``command`` as it stands on the page, and how long it took."""

    command: str
    code: int
    output: str
    seconds: float


class Terminal:
    """A shell in which ``sidecar``, ``php``, ``mysql`` and ``nginx`` are the installation's, and
    ``systemctl`` starts and stops its parts. ``variables`` are those of the operator, such as
    ``VENDOR``. With ``warm``, lines that begin with ``sidecar`` are executed without the shell, as
    forks if there may be some (:mod:`simulator.warm`)."""

    def __init__(
        self, installation: StackInstallation, variables: dict[str, str], *, warm: bool
    ) -> None:
        self._installation = installation
        self._variables = variables
        self._warm = warm
        self._programs = installation.folder / "bin"
        self._programs.mkdir()
        nginx, php = installation.nginx, installation.application
        client = "mysql" if database_server() is MYSQL else "mariadb"
        mysql = f"{program(client)} --no-defaults --user=root"
        files = f"-p {nginx.folder} -e {nginx.error_log} -c {nginx.folder}/nginx.conf"
        self._put("sidecar", f"{sys.executable} -m sidecar.commands.main", installation.environment)
        self._put("php", f"{program('php')} {APPLICATION}/artisan", php.variables)
        self._put("mysql", f"{mysql} --socket={installation.mariadb.socket} {DATABASE}")
        self._put("nginx", f"{program('nginx')} {files}")

    def _put(self, name: str, command: str, environment: Mapping[str, str] | None = None) -> None:
        """Have a name stand for a program, with an environment of its own. ``artisan`` and the
        database's name are there already."""
        variables = " ".join(f"{k}={shlex.quote(v)}" for k, v in (environment or {}).items())
        known = 'case "${1-}" in artisan|whatsapp) shift;; esac'
        path = self._programs / name
        path.write_text(f'#!/bin/sh\n{known}\nexec env {variables} {command} "$@"\n')
        path.chmod(0o700)

    def run(self, command: str) -> Done:
        """Execute a line."""
        began = time.monotonic()
        words = command.split()
        if words[0] == "systemctl":
            code, output = self._systemctl(words[1], words[2:])
        elif words[0] == "sidecar" and self._warm:
            code, output = self._sidecar(command)
        else:
            code, output = self._shell(command)
        return Done(command, code, output, round(time.monotonic() - began, 2))

    def _sidecar(self, command: str) -> tuple[int, str]:
        arguments = shlex.split(Template(command).substitute(self._variables))[1:]
        environment = {**os.environ, **self._installation.environment}
        path = self._installation.folder / "sidecar.out"
        with path.open("wb") as output:
            part = spawn(python("sidecar.commands.main", *arguments), environment, output, output)
            code = part.wait(TIMEOUT_S)
        return code, path.read_text()

    def _shell(self, command: str) -> tuple[int, str]:
        done = subprocess.run(
            ["bash", "-euc", command.replace("/etc/nginx", str(self._installation.nginx.folder))],
            cwd=ROOT,
            env={
                **os.environ,
                **self._variables,
                "PATH": f"{self._programs}:{os.environ['PATH']}",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return done.returncode, done.stdout

    def _systemctl(self, verb: str, units: list[str]) -> tuple[int, str]:
        """Units are started and stopped side by side."""
        with ThreadPoolExecutor() as pool:
            said = [text for text in pool.map(lambda unit: self._unit(verb, unit), units) if text]
        return len(said), "\n".join(said)

    def _unit(self, verb: str, unit: str) -> str | None:
        """Return what is wrong."""
        parts = self._installation.processes
        match verb, unit:
            case "reload", "nginx":
                os.kill(parts["nginx"].pid, signal.SIGHUP)
            case "start", "sidecar" if "sidecar" not in parts:
                self._installation.start_sidecar()
            case "start", "sidecar-worker" if "worker" not in parts:
                self._installation.start_worker(name="worker")
            case "start", _:
                self._installation.start(UNITS[unit])
            case "stop", _:
                parts[UNITS[unit]].stop()
            case _:
                return f"no {verb} of {unit} here"
        return None
