"""Events as they are asked for, and what Pusher would not take."""

import re
from dataclasses import dataclass
from typing import Any

MAX_CHANNELS = 100
MAX_BATCH = 10
MAX_DATA_BYTES = 10 * 1024
_MAX_NAME = 200
_CHANNEL = re.compile(r"[A-Za-z0-9_\-=@,.;]{1,200}")
_SOCKET = re.compile(r"[0-9]+\.[0-9]+")


class PusherRefused(Exception):
    """The request is answered with this status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Triggered:
    """One event. ``batch``: which batch it came in, counted from 1; None where it came alone."""

    channels: tuple[str, ...]
    event: str
    data: str
    socket_id: str | None
    batch: int | None


def read_event(asked: Any, batch: int | None) -> Triggered:
    """Return the event of a ``POST events``, or of one element of a batch, whose event has one
    channel. Raises :class:`Refused`."""
    if not isinstance(asked, dict):
        raise PusherRefused(400, "an event is an object")
    channels = asked.get("channels") if batch is None else None
    if channels is None:
        channels = [asked.get("channel")]
    if not isinstance(channels, list) or not 1 <= len(channels) <= MAX_CHANNELS:
        raise PusherRefused(400, f"an event goes to 1 to {MAX_CHANNELS} channels")
    for channel in channels:
        if not isinstance(channel, str) or not _CHANNEL.fullmatch(channel):
            raise PusherRefused(400, f"{channel!r} is no name of a channel")
    name, data, socket = asked.get("name"), asked.get("data"), asked.get("socket_id")
    if not isinstance(name, str) or not 1 <= len(name) <= _MAX_NAME:
        raise PusherRefused(400, f"an event has a name of 1 to {_MAX_NAME} characters")
    if not isinstance(data, str):
        raise PusherRefused(400, "an event's data is a text; objects are encoded as JSON")
    if len(data.encode()) > MAX_DATA_BYTES:
        raise PusherRefused(413, f"the data of event {name!r} has more than {MAX_DATA_BYTES} bytes")
    if socket is not None and not (isinstance(socket, str) and _SOCKET.fullmatch(socket)):
        raise PusherRefused(400, f"{socket!r} is no socket_id")
    return Triggered(tuple(channels), name, data, socket, batch)


def read_batch(asked: Any, number: int) -> list[Triggered]:
    """Return the events of a ``POST batch_events``. Raises :class:`Refused`."""
    events = asked.get("batch") if isinstance(asked, dict) else None
    if not isinstance(events, list) or not 1 <= len(events) <= MAX_BATCH:
        raise PusherRefused(400, f"a batch has 1 to {MAX_BATCH} events")
    return [read_event(event, number) for event in events]
