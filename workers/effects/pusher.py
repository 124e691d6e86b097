"""Pusher's HTTP API (https://pusher.com/docs/channels/library_auth_reference/rest-api/)."""

import hashlib
import hmac
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from contracts.effects import Broadcast, Broadcaster
from sidecar.effects.outbound import Outbound, Reply

#: Maximum events of one ``batch_events`` call.
MAX_BATCH = 10
#: Larger data is refused with 413. Self-hosted servers may take more, or less.
MAX_DATA_BYTES = 10 * 1024
#: Maximum size of a batch: Laravel Reverb's default limit.
MAX_BATCH_BYTES = 10_000


@dataclass(frozen=True, slots=True)
class Event:
    """``data`` is the text that subscribers get."""

    name: str
    channels: Sequence[str]
    data: str
    socket_id: str | None = None

    @classmethod
    def of(cls, effect: Broadcast) -> "Event":
        """Return the event of an effect. Data that is text stays as it is, other data becomes
        JSON. Raises ``ValueError`` for data that cannot be written as JSON."""
        data = effect.data
        if not isinstance(data, str):
            try:
                data = orjson.dumps(data).decode()
            except TypeError as error:
                raise ValueError(f"its data cannot be written as JSON: {error}") from None
        return cls(effect.event, effect.channels, data, effect.socket_id)

    @property
    def fits_a_batch(self) -> bool:
        """Return whether it may be part of a batch: a batched event has one channel, and one with
        too much data would have the whole batch refused."""
        return len(self.channels) == 1 and len(self.data.encode()) <= MAX_DATA_BYTES

    def as_one(self) -> dict[str, Any]:
        """Return the body of an ``events`` call."""
        return {"name": self.name, "channels": list(self.channels), **self._other_fields()}

    def as_part(self) -> dict[str, Any]:
        """Return an element of a ``batch_events`` call."""
        return {"name": self.name, "channel": self.channels[0], **self._other_fields()}

    def _other_fields(self) -> dict[str, Any]:
        rest = {"data": self.data}
        if self.socket_id:
            rest["socket_id"] = self.socket_id
        return rest


def signed_query(broadcaster: Broadcaster, path: str, body: bytes, now_s: int) -> str:
    """Return the query that signs a POST of ``body`` to ``path``, which begins with ``/apps``: what
    stands before that in the server's URL is not signed, as in Pusher's library for PHP."""
    parameters = {
        "auth_key": broadcaster.key,
        "auth_timestamp": str(now_s),
        "auth_version": "1.0",
        "body_md5": hashlib.md5(body, usedforsecurity=False).hexdigest(),
    }
    text = "&".join(f"{name}={value}" for name, value in parameters.items())  # sorted by name
    signature = hmac.digest(broadcaster.secret.encode(), f"POST\n{path}\n{text}".encode(), "sha256")
    encoded = "&".join(f"{name}={quote(value)}" for name, value in parameters.items())
    return f"{encoded}&auth_signature={signature.hex()}"


class Pusher:
    """Calls servers that speak Pusher's HTTP API. ``outbound`` is its own."""

    def __init__(self, outbound: Outbound, *, timeout_s: float) -> None:
        self._outbound = outbound
        self._timeout_s = timeout_s

    async def close(self) -> None:
        await self._outbound.close()

    async def trigger(self, broadcaster: Broadcaster, event: Event) -> Reply:
        """Trigger one event. Raises what :meth:`sidecar.effects.outbound.Outbound.post` does."""
        return await self._post(broadcaster, "events", event.as_one())

    async def trigger_batch(self, broadcaster: Broadcaster, events: Sequence[Event]) -> Reply:
        """Trigger up to :data:`MAX_BATCH` events, which each fit a batch."""
        batch = {"batch": [event.as_part() for event in events]}
        return await self._post(broadcaster, "batch_events", batch)

    async def _post(self, broadcaster: Broadcaster, method: str, value: object) -> Reply:
        body = orjson.dumps(value)
        path = f"/apps/{quote(broadcaster.app_id, safe='')}/{method}"
        query = signed_query(broadcaster, path, body, int(time.time()))
        url = f"{broadcaster.url.rstrip('/')}{path}?{query}"
        return await self._outbound.post(url, body, {}, timeout_s=self._timeout_s)
