"""Durations as options take them: 90s, 30m, 12h, 7d."""

import re
from dataclasses import dataclass
from typing import Any

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Duration:
    """``text`` as it was written, with its unit."""

    seconds: int
    text: str


class DurationType(click.ParamType[Duration]):
    """A number and its unit; without one, seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Duration:
        if isinstance(value, Duration):
            return value
        found = re.fullmatch(r"(\d{1,9})([smhd]?)", value, re.ASCII)
        if found is None:
            self.fail(f"{value!r} is not a duration; write 90s, 30m, 12h or 7d", param, ctx)
        unit = found[2] or "s"
        return Duration(int(found[1]) * _UNITS[unit], found[1] + unit)
