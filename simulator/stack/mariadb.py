"""A MariaDB of the tests' own: own folder, no network, one socket."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from simulator.stack.child import Child
from simulator.stack.packages import program

DATABASE = "reference"
Row = dict[str, Any]

#: Small and quick; what it holds need not survive a power cut.
_OPTIONS = (
    "--skip-networking",
    "--skip-log-bin",
    "--skip-name-resolve",
    "--innodb-buffer-pool-size=128M",
    "--innodb-log-file-size=32M",
    "--innodb-flush-log-at-trx-commit=2",
    "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_unicode_ci",
    "--default-time-zone=+00:00",
)

#: Counters of what is no statement of its own: parts of prepared statements, connections that
#: close, and the question for the counters.
_NOT = ("Com_stmt_", "Com_admin_commands", "Com_show_status")


class SqlError(Exception):
    """The database refused a statement."""


class MariaDB:
    """Starts the server in a folder; the database has the tables of ``schema``."""

    def __init__(self, folder: Path, schema: Path, encryption_key: str) -> None:
        folder.mkdir()
        self.socket = folder / "sql.sock"
        self._data = folder / "data"
        user = ["--user=root"] if os.geteuid() == 0 else []
        self._install(folder, user)
        self._server = Child(
            [
                *(program("mariadbd"), "--no-defaults", *user, *_OPTIONS),
                f"--datadir={self._data}",
                f"--socket={self.socket}",
                f"--pid-file={folder / 'sql.pid'}",
                f"--tmpdir={folder}",
            ],
            folder / "mariadb.log",
        )
        self._server.wait_until(self.socket.exists)
        self._client = self._connect("mysql", encryption_key)
        self.script(f"CREATE DATABASE {DATABASE}; USE {DATABASE}; {schema.read_text()}")

    def _install(self, folder: Path, user: list[str]) -> None:
        arguments = ["--auth-root-authentication-method=normal", "--skip-test-db"]
        done = subprocess.run(
            [
                *(program("mariadb-install-db"), "--no-defaults", *user, *arguments),
                f"--datadir={self._data}",
                f"--tmpdir={folder}",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"mariadb-install-db failed:\n{done.stdout}{done.stderr}")

    def _connect(self, database: str, encryption_key: str) -> "subprocess.Popen[bytes]":
        helper = str(Path(__file__).with_name("sql.php"))
        return subprocess.Popen(
            [program("php"), helper, str(self.socket), database, encryption_key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one statement and return its rows."""
        rows: list[Row] = self._ask({"sql": sql, "parameters": list(parameters)})["rows"]
        return rows

    def script(self, sql: str) -> None:
        """Run statements that are parted by semicolons."""
        lines = (line for line in sql.splitlines() if not line.lstrip().startswith("--"))
        for statement in "\n".join(lines).split(";"):
            if statement.strip():
                self._ask({"sql": statement, "parameters": None})

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows that have the same columns."""
        for start in range(0, len(rows), 500):
            part = rows[start : start + 500]
            columns = tuple(part[0])
            mark = f"({', '.join('?' * len(columns))})"
            marks = ", ".join([mark] * len(part))
            self.rows(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES {marks}",
                [value for row in part for value in row.values()],
            )

    def encrypted(self, text: str) -> str:
        """Encrypt as the application's ``encrypt()`` does."""
        value: str = self._ask({"encrypt": text})["encrypted"]
        return value

    def statements(self) -> int:
        """How many statements have been run so far, by the server's own counters; those that ask
        for them are not counted."""
        counters = self.rows("SHOW GLOBAL STATUS LIKE 'Com\\_%'")
        return sum(
            int(row["Value"]) for row in counters if not row["Variable_name"].startswith(_NOT)
        )

    def _ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        assert self._client.stdin is not None
        assert self._client.stdout is not None
        self._client.stdin.write(orjson.dumps(order) + b"\n")
        self._client.stdin.flush()
        answer: dict[str, Any] = orjson.loads(self._client.stdout.readline())
        if "error" in answer:
            raise SqlError(answer["error"])
        return answer

    def stop(self) -> None:
        assert self._client.stdin is not None
        assert self._client.stdout is not None
        self._client.stdin.close()
        self._client.wait(10)
        self._client.stdout.close()
        self._server.stop()
