"""A database server of one's own: own folder, no network, one socket."""

import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Self

from simulator.ports import listens
from simulator.processes import Process, ProcessFailed
from simulator.stack.database import Database
from simulator.stack.packages import program

DATABASE = "reference"

#: Small and quick, in words that MariaDB and MySQL share.
_OPTIONS = (
    "--skip-networking",
    "--skip-log-bin",
    "--skip-name-resolve",
    "--innodb-buffer-pool-size=128M",
    "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_unicode_ci",
    "--default-time-zone=+00:00",
)


class SqlServer(Process, ABC):
    """Keeps its data in ``folder``; its first start makes the database, with the tables of
    ``schema``. What was committed outlives a kill; if it is ``durable``, a power cut too, at the
    price of a sync for each commit. As a part of an installation it is called ``mariadb``,
    whichever it is."""

    #: The server's program, and its options beside those that both products know.
    server: str
    options: Sequence[str]

    def __init__(
        self, folder: Path, schema: str, encryption_key: str, *, durable: bool = False
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.socket = folder / "sql.sock"
        self._data = folder / "data"
        self._schema = schema
        self._key = encryption_key
        self._user = ["--user=root"] if os.geteuid() == 0 else []
        command = [
            *(program(self.server), "--no-defaults", *self._user, *_OPTIONS, *self.options),
            f"--innodb-flush-log-at-trx-commit={1 if durable else 2}",
            f"--datadir={self._data}",
            f"--socket={self.socket}",
            f"--pid-file={folder / 'sql.pid'}",
            f"--tmpdir={folder}",
        ]
        super().__init__("mariadb", command, folder / "mariadb.log")

    def start(self) -> Self:
        if (self._data / DATABASE).exists():
            return super().start()
        self._install()
        super().start()
        with closing(self.connect("mysql")) as client:
            client.script(f"CREATE DATABASE {DATABASE}; USE {DATABASE}; {self._schema}")
        return self

    def is_ready(self) -> bool:
        return listens(self.socket)

    def connect(self, name: str = DATABASE) -> Database:
        """Return a connection of one's own."""
        return Database(self.socket, name, self._key)

    def _install(self) -> None:
        name, *arguments = self.installer()
        done = subprocess.run(
            [
                *(program(name), "--no-defaults", *self._user, *arguments),
                f"--datadir={self._data}",
                f"--tmpdir={self._data.parent}",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ProcessFailed(f"{name} failed:\n{done.stdout}{done.stderr}")

    @abstractmethod
    def installer(self) -> list[str]:
        """Return the program that makes the server's own tables, and its arguments."""
