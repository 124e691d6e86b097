"""Times in the tables of a host whose zone is not UTC, for those who look from outside."""

import re
from datetime import UTC, datetime, tzinfo
from typing import Any

_FORMAT = "%Y-%m-%d %H:%M:%S"

#: A whole value, or a whole text in JSON.
_TIME = re.compile(r'(?:(?<=")|^)\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?="|$)')


def local(value: Any, zone: tzinfo) -> Any:
    """Return a value with the UTC times in it as the host writes them. An hour that comes twice
    loses which it was."""
    return _moved(value, UTC, zone)


def utc(value: Any, zone: tzinfo) -> Any:
    """Return a value of the tables with the times in it in UTC: of two that are possible the
    first."""
    return _moved(value, zone, UTC)


def _moved(value: Any, old: tzinfo, new: tzinfo) -> Any:
    if not isinstance(value, str):
        return value

    def move(found: re.Match[str]) -> str:
        try:
            moment = datetime.strptime(found[0], _FORMAT).replace(tzinfo=old)
            return moment.astimezone(new).strftime("%Y-%m-%d %H:%M:%S")
        except (ValueError, OverflowError):
            # The ends of what a column can hold.
            return found[0]

    return _TIME.sub(move, value)
