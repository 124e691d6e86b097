"""SQL for those who look at a MariaDB from outside: demos and tests."""

import select
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from threading import RLock
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from simulator.stack.packages import program
from simulator.stack.zones import local, utc

Row = dict[str, Any]

#: A database that is suspended does not answer.
ANSWER_TIMEOUT_S = 60.0

_HELPER = Path(__file__).with_name("sql.php")

#: Counters of what is no statement of its own: parts of prepared statements, connections that
#: close, and the question for the counters.
_NOT = ("Com_stmt_", "Com_admin_commands", "Com_show_status")


class SqlError(Exception):
    """The database refused a statement, or could not be reached."""


class Database:
    """One connection, which threads share. It is made when it is first used, and again after the
    server was away."""

    def __init__(self, socket: Path, name: str, encryption_key: str) -> None:
        self._command = [program("php"), str(_HELPER), str(socket), name, encryption_key]
        self._helper: subprocess.Popen[bytes] | None = None
        self._lock = RLock()
        #: The zone of the tables' times, if it is not UTC: callers give and get UTC.
        self.zone: ZoneInfo | None = None

    def alone(self) -> AbstractContextManager[object]:
        """Keep other threads' statements out for a block, a transaction say."""
        return self._lock

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one statement and return its rows. Raises :class:`SqlError`."""
        given = [local(value, self.zone) for value in parameters] if self.zone else [*parameters]
        rows: list[Row] = self._ask({"sql": sql, "parameters": given})["rows"]
        if self.zone is None:
            return rows
        return [{name: utc(value, self.zone) for name, value in row.items()} for row in rows]

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
        """How many statements the server has run since it was started, by its own counters; those
        of this connection are left out."""
        return self._counted("GLOBAL") - self._counted("SESSION")

    def _counted(self, scope: str) -> int:
        counters = self.rows(f"SHOW {scope} STATUS LIKE 'Com\\_%'")
        return sum(
            int(row["Value"]) for row in counters if not row["Variable_name"].startswith(_NOT)
        )

    def close(self) -> None:
        if self._helper is not None:
            self._helper.kill()
            self._helper.communicate()
            self._helper = None

    def _ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            answer = self._answer(orjson.dumps(order) + b"\n")
        if "error" in answer:
            raise SqlError(answer["error"])
        return answer

    def _answer(self, order: bytes) -> dict[str, Any]:
        if self._helper is None:
            self._helper = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        line, asked, answers = b"", self._helper.stdin, self._helper.stdout
        assert asked is not None
        assert answers is not None
        asked.write(order)
        asked.flush()
        if select.select([answers], [], [], ANSWER_TIMEOUT_S)[0]:
            line = answers.readline()
        if not line:
            self.close()
            raise SqlError(f"the database gives no answer in {ANSWER_TIMEOUT_S:.0f} s")
        answer: dict[str, Any] = orjson.loads(line)
        return answer
