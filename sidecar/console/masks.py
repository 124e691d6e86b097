"""Personal data, as a user may see it: the role ``look`` sees neither phone numbers nor texts."""

from sidecar.console.sessions import User

#: Digits of a phone number that remain, so that two can be told apart.
_SHOWN = 2


def phone(number: str | None, user: User) -> str:
    """Return a phone number, or its last digits."""
    if not number or user.operates:
        return number or ""
    return "•••• " + number[-_SHOWN:] if len(number) > 2 * _SHOWN else "••••"


def text(value: str | None, user: User) -> str:
    """Return a text (a message, a contact's name), or how long it is."""
    if not value or user.operates:
        return value or ""
    return f"({len(value):,} characters)" if len(value) != 1 else "(1 character)"
