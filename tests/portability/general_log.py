"""The statements of the Laravel package and of ``contracts/sql``, from MariaDB's general log.

As a plugin of pytest (``-p tests.portability.general_log``) it has every MariaDB that the tests
start write such a log, beside its data.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from simulator.stack.mariadb import MariaDB

NAME = "general.log"

#: A line that begins an entry: the time, if it is another than before, the connection, what it
#: asked for, and the text, which may go on on the next lines.
_ENTRY = re.compile(r"(?:\d{6} +[\d:]+|\t)\t *(\d+) ([A-Z][A-Za-z ]*)\t(.*)", re.DOTALL)

#: What Laravel begins a connection with, and no other client here.
_LARAVEL = "use `"

#: What the files of contracts/sql put together and run, and nobody else does.
_ALTER = ("ALTER TABLE ", ", ALGORITHM=INPLACE, LOCK=NONE")


def pytest_configure() -> None:
    MariaDB.options = (*MariaDB.options, "--general-log", f"--general-log-file={NAME}")


def logs(folder: Path) -> list[Path]:
    """Return the logs of the servers that had their data somewhere below a folder."""
    return sorted(folder.rglob(NAME))


def statements(log: Path) -> set[str]:
    """Return what Laravel asked for: prepared statements with a ``?`` for each value, lists of them
    with one, and others, like ``COMMIT``, as they were; and what the SQL files put together."""
    found = set()
    connections = set()
    for connection, kind, text in _entries(log):
        if kind == "Connect":
            connections.discard(connection)
        elif kind == "Query" and text.startswith(_LARAVEL):
            connections.add(connection)
        elif kind in {"Query", "Prepare"}:
            put_together = text.startswith(_ALTER[0]) and text.endswith(_ALTER[1])
            if put_together or connection in connections:
                found.add(shape(text))
    return found


def shape(statement: str) -> str:
    """Return the statement with lists of values cut down to one value or row: their lengths
    differ, and nothing else.

    >>> shape("INSERT INTO bots (name, text) VALUES (?, ?), (?, ?), (?, ?)")
    'INSERT INTO bots (name, text) VALUES (?)'
    """
    one_value = re.sub(r"\(\?(?:, ?\?)+\)", "(?)", statement)
    return re.sub(r"(?<!\w)\(\?\)(?:, ?\(\?\))+", "(?)", one_value)


def _entries(log: Path) -> Iterator[tuple[str, str, str]]:
    entry: list[str] = []
    for line in log.read_text(errors="replace").splitlines(keepends=True):
        if _ENTRY.match(line):
            yield from _parsed(entry)
            entry = [line]
        elif entry:
            entry.append(line)
    yield from _parsed(entry)


def _parsed(entry: list[str]) -> Iterator[tuple[str, str, str]]:
    found = _ENTRY.match("".join(entry))
    if found:
        yield found[1], found[2], found[3].rstrip("\n")
