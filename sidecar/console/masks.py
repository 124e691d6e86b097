"""Personal data, as a user may see it: the role ``look`` sees neither phone numbers, nor ids of
messages, which hold one, nor texts."""

import re

from sidecar.console.sessions import User
from sidecar.format import many

#: Digits of a phone number that remain, so that two can be told apart.
_SHOWN = 2

WAMID = re.compile(r"wamid\.[A-Za-z0-9+/=_-]{16,}")
_SHOWN_OF_WAMID = 8


def phone(number: str | None, user: User) -> str:
    """Return a phone number, or its last digits."""
    if not number or user.operates:
        return number or ""
    return "•••• " + number[-_SHOWN:] if len(number) > 2 * _SHOWN else "••••"


def wamid(found: re.Match[str]) -> str:
    """Return the end of a message's id, so that two can be told apart."""
    return f"wamid…{found[0][-_SHOWN_OF_WAMID:]}"


def ids(value: str | None, user: User) -> str:
    """Return what is said in a line, in which ids of messages may stand."""
    return value or "" if user.operates else WAMID.sub(wamid, value or "")


def text(value: str | None, user: User) -> str:
    """Return a text (a message, a contact's name), or how long it is."""
    if not value or user.operates:
        return value or ""
    return f"({many(len(value), 'character')})"
