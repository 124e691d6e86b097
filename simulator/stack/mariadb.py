"""A MariaDB of one's own: own folder, no network, one socket."""

import os
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Self

from simulator.ports import listens
from simulator.processes import Process, ProcessFailed
from simulator.stack.database import Database
from simulator.stack.packages import program

DATABASE = "reference"

#: Small and quick.
_OPTIONS = (
    "--skip-networking",
    "--skip-log-bin",
    "--skip-name-resolve",
    "--innodb-buffer-pool-size=128M",
    "--innodb-log-file-size=32M",
    "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_unicode_ci",
    "--default-time-zone=+00:00",
)


class MariaDB(Process):
    """Keeps its data in ``folder``; its first start makes the database, with the tables of
    ``schema``. What was committed outlives a kill; if it is ``durable``, a power cut too, at the
    price of a sync for each commit."""

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
            *(program("mariadbd"), "--no-defaults", *self._user, *_OPTIONS),
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

    def version(self) -> str:
        """Return such as ``10.11.14-MariaDB-0+deb12u2``."""
        with closing(self.connect()) as client:
            [row] = client.rows("SELECT VERSION() AS version")
        return str(row["version"])

    def _install(self) -> None:
        # With force it does without a host name that can be looked up.
        arguments = ["--auth-root-authentication-method=normal", "--skip-test-db", "--force"]
        done = subprocess.run(
            [
                *(program("mariadb-install-db"), "--no-defaults", *self._user, *arguments),
                f"--datadir={self._data}",
                f"--tmpdir={self._data.parent}",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ProcessFailed(f"mariadb-install-db failed:\n{done.stdout}{done.stderr}")
