"""A line of ``sidecar check``: what was looked at, how it is, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """``fail``: it does not work, or harm is near. ``warn``: somebody should look at it."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Line:
    """``do``: what a person may do about it. ``names``: all that it is about, of which the text may
    hold the first few."""

    level: Level
    what: str
    detail: str
    do: str | None = None
    names: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        done = "" if self.do is None else f"; {self.do}"
        return f"{self.level:<4}  {self.what}: {self.detail}{done}"

    @property
    def json(self) -> dict[str, Any]:
        found = {"level": self.level, "what": self.what, "detail": self.detail, "do": self.do}
        return {**found, "names": list(self.names)} if self.names else found


def ok(what: str, detail: str) -> Line:
    return Line(Level.OK, what, detail)


def warn(what: str, detail: str, do: str | None = None) -> Line:
    return Line(Level.WARN, what, detail, do)


def fail(what: str, detail: str, do: str | None = None) -> Line:
    return Line(Level.FAIL, what, detail, do)
