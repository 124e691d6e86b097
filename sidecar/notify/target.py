"""What a target of notifications is."""

from typing import Protocol

from contracts.notifications import Notification

#: Longest that a target may take.
TIMEOUT_S = 10.0


class NotTaken(Exception):
    """The target did not take a notification, as far as is known. The message says why, and holds
    no secret."""


class Target(Protocol):
    """Somewhere people are told."""

    async def send(self, notification: Notification) -> None:
        """Return when it is taken. Raises :class:`NotTaken`."""

    async def close(self) -> None: ...
