"""Where the primary is, by what its Sentinels say.

A connection asks when it is made, as the guide for clients wants it
(https://redis.io/docs/latest/develop/reference/sentinel-clients/). That is not enough for a primary
that was cut off from its Sentinels and not from us: it goes on answering, while another one has
taken its place. So what is known is looked up again each second by whoever takes a connection,
beside the work; and when the primary has moved, connections to anything else are broken off, those
on which somebody waits for an answer too.

All clients of a process share what is known, on whichever event loop or thread they are.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol
from weakref import WeakSet

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

from sidecar.url import SentinelUrl

#: What is known is looked up again when it is so old, and nothing is done by it when it is older
#: than the other.
LOOK_S = 1.0
STALE_S = 3.0
#: A Sentinel that takes longer to answer says nothing.
ANSWER_S = 0.5


class NoPrimary(RedisConnectionError):
    """No Sentinel names a primary that is up."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a Sentinel says of a group. ``epoch`` counts failovers; ``down``: it does not reach the
    primary; ``quorum`` of the ``sentinels`` have to agree on that; ``replicas`` are those that it
    reaches."""

    sentinel: str
    primary: str
    epoch: int
    down: bool
    quorum: int
    sentinels: int
    replicas: tuple[str, ...]


def no_failover(seen: Sequence[Sighting], sentinels: int) -> str | None:
    """Return why nothing would take the primary's place, or None, given what those say that answer
    of so many Sentinels."""
    if len(seen) <= sentinels // 2:
        return f"{len(seen)} of {sentinels} Sentinels answer, which is no majority"
    if not any(one.replicas for one in seen):
        return f"the primary {seen[0].primary} has no replica"
    return None


class Follower(Protocol):
    """A connection to the primary."""

    def leave(self) -> None:
        """The primary has moved: break off, if this is connected elsewhere. Called from any
        thread."""


class Primary:
    """The primary of a group. Use :func:`primary_of`."""

    def __init__(self, url: SentinelUrl) -> None:
        self._service = url.service
        self._sentinels = {
            address: redis.Redis.from_url(
                url.sentinel(address),
                socket_timeout=ANSWER_S,
                socket_connect_timeout=ANSWER_S,
                retry=Retry(NoBackoff(), 0),
                protocol=2,
            )
            for address in url.sentinels
        }
        # One that asks for all, and those that ask one each.
        self._threads = ThreadPoolExecutor(1 + len(self._sentinels), "sentinels")
        self._lock = threading.Lock()
        self._search: Future[str] | None = None
        self._followers: WeakSet[Follower] = WeakSet()
        self._seen_at = -STALE_S
        #: ``host:port``, as far as is known.
        self.address: str | None = None

    def known(self) -> str | None:
        """Return the address, or None if it has to be searched for. Has it looked up again where
        that is due."""
        age = time.monotonic() - self._seen_at
        if age > LOOK_S:
            self.search()
        return self.address if age < STALE_S else None

    def known_or_search(self) -> "Future[str]":
        """Return the address in any case. It may raise :class:`NoPrimary`."""
        if (address := self.known()) is None:
            return self.search()
        known: Future[str] = Future()
        known.set_result(address)
        return known

    def search(self) -> "Future[str]":
        """Ask all Sentinels. Who comes meanwhile shares the answer. It raises
        :class:`NoPrimary`."""
        with self._lock:
            if self._search is None or self._search.done():
                self._search = self._threads.submit(self._find)
            return self._search

    def doubt(self) -> None:
        """Nobody could connect to it."""
        self._seen_at = -STALE_S

    def follow(self, follower: Follower) -> None:
        """Have a connection told when the primary moves, for as long as there is any other
        reference to it."""
        with self._lock:
            self._followers.add(follower)

    def sightings(self) -> tuple[list[Sighting], dict[str, str]]:
        """Return what the Sentinels say, and of those that say nothing why."""
        asked = {one: self._threads.submit(self._ask, one) for one in self._sentinels}
        seen, silent = [], {}
        for sentinel, answer in asked.items():
            try:
                seen.append(answer.result())
            except RedisError as error:
                silent[sentinel] = str(error)
        return seen, silent

    def _find(self) -> str:
        began = time.monotonic()
        seen, silent = self.sightings()
        up = [one for one in seen if not one.down]
        if not up:
            silent |= {one.sentinel: "the primary is down" for one in seen}
            reasons = "; ".join(f"{sentinel}: {reason}" for sentinel, reason in silent.items())
            raise NoPrimary(f"no Sentinel names a primary {self._service} that is up: {reasons}")
        # One that was cut off as well may not have heard of the last failover.
        found = max(up, key=lambda one: one.epoch).primary
        with self._lock:
            self._seen_at = began
            moved, self.address = self.address not in (None, found), found
            followers = list(self._followers) if moved else []
        for follower in followers:
            follower.leave()
        return found

    def _ask(self, sentinel: str) -> Sighting:
        pipeline: Any = self._sentinels[sentinel].pipeline(transaction=False)
        pipeline.execute_command("SENTINEL MASTER", self._service)
        pipeline.execute_command("SENTINEL SLAVES", self._service)
        state, replicas = pipeline.execute()
        return Sighting(
            sentinel=sentinel,
            primary=_address(state),
            epoch=int(state["config-epoch"]),
            down=_is_down(state),
            quorum=int(state["quorum"]),
            sentinels=1 + int(state["num-other-sentinels"]),
            replicas=tuple(_address(one) for one in replicas if not _is_down(one)),
        )


def primary_of(url: SentinelUrl) -> Primary:
    """Return what this process knows of the group of an address, whichever its database."""
    return _primary(replace(url, database=0))


_primary = cache(Primary)


def _address(server: dict[str, Any]) -> str:
    host = server["ip"]
    return f"[{host}]:{server['port']}" if ":" in host else f"{host}:{server['port']}"


def _is_down(server: dict[str, Any]) -> bool:
    return bool(server["is_sdown"] or server["is_odown"] or server["is_disconnected"])


def _place(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _retrieved(search: "asyncio.Future[str]") -> None:
    """Nobody has to be there any more when it fails."""
    if not search.cancelled():
        search.exception()


def following(base: Any, primary: Primary) -> Any:
    """Return a kind of connection that leads to the primary, given one of redis-py's
    :mod:`redis.asyncio`."""

    class Following(base):  # type: ignore[misc]
        _led_to: str | None = None
        _led_on: asyncio.AbstractEventLoop

        async def connect(self) -> None:
            """Be connected to where the primary is now. Called by the pool each time before it
            gives the connection away."""
            if self.is_connected and primary.known() not in (None, self._led_to):
                await self.disconnect(nowait=True)
            await super().connect()

        async def _connect(self) -> None:
            async with asyncio.timeout(self.socket_connect_timeout):
                # Others wait for the same answer: it is not cancelled with one of them.
                search = asyncio.wrap_future(primary.known_or_search())
                search.add_done_callback(_retrieved)
                address = await asyncio.shield(search)
            self.host, self.port = _place(address)
            try:
                await super()._connect()
            except OSError:
                primary.doubt()
                raise
            self._led_to, self._led_on = address, asyncio.get_running_loop()
            primary.follow(self)
            self._break_off()

        def leave(self) -> None:
            with suppress(RuntimeError):  # the loop has ended
                self._led_on.call_soon_threadsafe(self._break_off)

        def _break_off(self) -> None:
            if self._led_to != primary.address and self._writer is not None:
                self._writer.transport.abort()

    return Following


def following_blocking(base: Any, primary: Primary) -> Any:
    """Return the same, given one of redis-py's blocking kinds."""

    class Following(base):  # type: ignore[misc]
        _led_to: str | None = None

        def connect(self) -> None:
            if primary.known() not in (None, self._led_to):
                self.disconnect()
            super().connect()

        def _connect(self) -> Any:
            address = primary.known_or_search().result(self.socket_connect_timeout)
            self.host, self.port = _place(address)
            try:
                connected = super()._connect()
            except OSError:
                primary.doubt()
                raise
            self._led_to = address
            primary.follow(self)
            if address != primary.address:
                connected.close()
                raise OSError("the primary has moved")
            return connected

        def leave(self) -> None:
            connected = self._sock
            if self._led_to != primary.address and connected is not None:
                with suppress(OSError):  # it has ended by itself
                    # Not SSLSocket's, which is not made for somebody who waits on another thread.
                    socket.socket.shutdown(connected, socket.SHUT_RDWR)

    return Following
