"""Calls to URLs that tenants choose: a vendor's own webhook, a vendor's AI.

A tenant's URL must not reach what only this machine or its network can reach (server-side request
forgery). So the address is checked when the connection is made, and not the URL beforehand: a name
may resolve differently the second time. Redirects are not followed, and the environment's proxies
are not used.
"""

import asyncio
import socket
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from sidecar.addresses import AllowList

CONNECT_TIMEOUT_S = 5.0
KEEPALIVE_S = 15.0
#: Maximum connections of one :class:`Outbound`, idle ones included.
CONNECTIONS = 1024
#: How much of an unwanted body is read, and for how long, so that the connection can be reused.
DRAIN_BYTES = 16 * 1024
DRAIN_S = 1.0
_DNS_THREADS = 16


class OutboundRefused(Exception):
    """The URL is invalid or may not be called; a retry does not help. The message names the host
    and never the rest of the URL, which may contain a secret."""


class OutboundFailed(Exception):
    """No answer came, though the call may have arrived. ``how`` is no_connection, timed_out or
    broke."""

    def __init__(self, how: str, reason: str) -> None:
        super().__init__(reason)
        self.how = how


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. ``body`` is what was read; ``cut``: the body is longer than the limit.
    ``retry_after`` is the header of that name."""

    status: int
    body: bytes
    retry_after: str | None = None
    cut: bool = False


class _NotPublic(OSError):
    """An address that must not be called. An ``OSError``, because aiohttp passes these on."""


class SystemResolver(AbstractResolver):
    """The system's resolver, in threads of its own: a tenant's host names may take long to resolve,
    and those of PHP and the Cloud API must not wait behind them."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_DNS_THREADS, "outbound-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, _look_up, host, port, family)
        except UnicodeError:
            raise OSError(f"{host} cannot be the name of a host") from None
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=found_family,
                proto=proto,
                flags=socket.AI_NUMERICHOST,
            )
            for found_family, _, proto, _, address in found
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(
    host: str, port: int, family: socket.AddressFamily
) -> list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[object, ...]]]:
    return list(
        socket.getaddrinfo(
            host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
    )


class _PublicResolver(AbstractResolver):
    """Drops addresses that may not be called."""

    def __init__(self, resolver: AbstractResolver, allowed: AllowList) -> None:
        self._resolver = resolver
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        fitting = [one for one in found if self._allowed.may_call(one["host"])]
        if found and not fitting:
            raise _NotPublic(f"resolves to {found[0]['host']}")
        return fitting

    async def close(self) -> None:
        """Do nothing: the other resolver belongs to whoever made it."""


class Outbound:
    """Posts to URLs that tenants choose. Belongs to one event loop.

    ``allow`` is the setting ``outbound_allow``.
    """

    def __init__(
        self, allow: Iterable[str] = (), *, resolver: AbstractResolver | None = None
    ) -> None:
        self._allowed = AllowList(allow)
        self._given_resolver = resolver
        self._resolver: AbstractResolver | None = None
        self._public: aiohttp.ClientSession | None = None
        self._any: aiohttp.ClientSession | None = None

    @classmethod
    def anywhere(cls) -> Self:
        """Return one for URLs that the operator chooses: it may call any address."""
        return cls(["0.0.0.0/0", "::/0"])

    async def close(self) -> None:
        for session in (self._public, self._any):
            if session is not None:
                await session.close()
        if self._resolver is not None and self._given_resolver is None:
            await self._resolver.close()
        self._public = self._any = self._resolver = None

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        timeout_s: float,
        limit_bytes: int = 0,
    ) -> Reply:
        """Post ``body`` and return the answer, with up to ``limit_bytes`` of its body, within
        ``timeout_s`` in all. With 0, the body is discarded.
        Raises :class:`OutboundRefused` and :class:`OutboundFailed`.

        Header values must hold no control characters.
        """
        target, host = _parse(url)
        timeout = aiohttp.ClientTimeout(
            total=timeout_s, sock_connect=min(CONNECT_TIMEOUT_S, timeout_s / 2)
        )
        try:
            async with self._session(host).post(
                target, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                content, cut = await _read(response, limit_bytes)
                retry_after = response.headers.get("Retry-After")
                return Reply(response.status, content, retry_after, cut)
        except aiohttp.InvalidURL:
            raise OutboundRefused(f"the URL's host {host} is no host's name or address") from None
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, _NotPublic):
                raise OutboundRefused(
                    f"{host} {error.os_error}, which is not on the public Internet; if it is to be "
                    f"called all the same, the operator adds it to the setting outbound_allow"
                ) from None
            reason = f"cannot connect to {host}: {error.os_error}"
            raise OutboundFailed("no_connection", reason) from None
        except aiohttp.ConnectionTimeoutError:
            raise OutboundFailed("no_connection", f"cannot connect to {host} in time") from None
        except TimeoutError:
            reason = f"{host} did not answer within {timeout_s:g} s"
            raise OutboundFailed("timed_out", reason) from None
        except aiohttp.ClientError as error:
            # Not its text: it may repeat what the other side has sent.
            reason = f"the connection to {host} broke: {type(error).__name__}"
            raise OutboundFailed("broke", reason) from None
        except (ValueError, RecursionError) as error:
            # The client cannot parse the answer.
            reason = f"the answer of {host} cannot be read: {type(error).__name__}"
            raise OutboundFailed("broke", reason) from None

    def _session(self, host: str) -> aiohttp.ClientSession:
        if self._resolver is None:
            self._resolver = self._given_resolver or SystemResolver()
        if self._allowed.has_name(host):
            if self._any is None:
                self._any = _session(_connector(self._resolver))
            return self._any
        if self._public is None:
            resolver = _PublicResolver(self._resolver, self._allowed)
            self._public = _session(_connector(resolver, self._socket))
        return self._public

    def _socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """Make the socket for a connection. An IP address in the URL itself is never resolved, so
        addresses are checked here, where none can slip past."""
        family, type_, proto, _, address = info
        if not self._allowed.may_call(str(address[0])):
            raise _NotPublic(f"is the address {address[0]}")
        return socket.socket(family, type_, proto)


def _connector(
    resolver: AbstractResolver, socket_factory: aiohttp.SocketFactoryType | None = None
) -> aiohttp.TCPConnector:
    return aiohttp.TCPConnector(
        limit=CONNECTIONS,
        keepalive_timeout=KEEPALIVE_S,
        resolver=resolver,
        socket_factory=socket_factory,
    )


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Content-Type": "application/json", "User-Agent": "whatsapp-sidecar"},
        trust_env=False,
    )


def _parse(url: str) -> tuple[URL, str]:
    try:
        target = URL(url)
        host = target.raw_host
    except ValueError:
        raise OutboundRefused("the URL is not one") from None
    if target.scheme not in ("http", "https") or not host:
        raise OutboundRefused("the URL is not an http:// or https:// one")
    if target.raw_user is not None or target.raw_password is not None:
        raise OutboundRefused(f"the URL for {host} holds a user or password, which is not sent")
    return target, host


async def _read(response: aiohttp.ClientResponse, limit: int) -> tuple[bytes, bool]:
    if not limit:
        with suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await _read(response, DRAIN_BYTES)
        return b"", False
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > limit:
            response.close()
            return bytes(content[:limit]), True
    return bytes(content), False
