"""Vendors' bots: fetched from PHP once for many callers, and kept compiled in memory."""

import asyncio
import hashlib
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from contracts import backend as contract
from contracts.bots import BotsAnswer, BotsRequest, VendorBots
from sidecar.bots.matcher import Matcher
from sidecar.php.cache import RemoteCache
from sidecar.php.client import Backend
from sidecar.settings import Settings

#: Maximum vendors in one request. The answer holds all their bots, and is read as a whole.
BATCH = 50

#: How long a vendor's bots are kept after they were last used.
KEEP_S = 3600.0

#: With more bots, or more characters in their triggers, compiling is done in a thread: it takes
#: longer than a few milliseconds.
QUICK_CHARACTERS = 10_000
QUICK_BOTS = 200

Compile = Callable[[VendorBots], Matcher]


@dataclass(frozen=True, slots=True)
class _Compiled:
    """``digest`` is that of its source."""

    matcher: Matcher
    digest: bytes


class _Matchers(RemoteCache[str, _Compiled]):
    """Matchers by vendor uid."""

    def __init__(
        self,
        backend: Backend,
        compile_: Compile,
        *,
        ttl_s: float,
        unknown_ttl_s: float,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(
            "bots.unavailable",
            batch=BATCH,
            ttl_s=ttl_s,
            unknown_ttl_s=unknown_ttl_s,
            keep_s=KEEP_S,
            clock=clock,
        )
        self._backend = backend
        self._compile = compile_

    async def load(self, wanted: list[str]) -> Mapping[str, _Compiled]:
        vendors = await _ask(self._backend, BotsRequest(vendor_uids=wanted))
        return {bots.vendor_uid: await self.compiled(bots) for bots in vendors}

    async def compiled(self, bots: VendorBots) -> _Compiled:
        """Return the matcher of these bots; the current one, if they have not changed."""
        digest = hashlib.blake2b(bots.model_dump_json().encode(), digest_size=16).digest()
        known = self._known.get(bots.vendor_uid)
        if known is not None and known.value.digest == digest:
            return known.value
        if _is_quick(bots):
            return _Compiled(self._compile(bots), digest)
        return _Compiled(await asyncio.to_thread(self._compile, bots), digest)


class _Uids(RemoteCache[int, str]):
    """Vendor uids by id, which never change."""

    def __init__(
        self,
        backend: Backend,
        matchers: _Matchers,
        *,
        unknown_ttl_s: float,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(
            "bots.unavailable",
            batch=BATCH,
            ttl_s=math.inf,
            unknown_ttl_s=unknown_ttl_s,
            keep_s=KEEP_S,
            clock=clock,
        )
        self._backend = backend
        self._matchers = matchers

    async def load(self, wanted: list[int]) -> Mapping[int, str]:
        version = self._matchers.version
        found: dict[int, str] = {}
        for bots in await _ask(self._backend, BotsRequest(vendor_ids=wanted)):
            if bots.vendor_id is not None:
                found[bots.vendor_id] = bots.vendor_uid
                # They came with the answer, so they need not be asked for.
                self._matchers.put(bots.vendor_uid, await self._matchers.compiled(bots), version)
        return found


class Bots:
    """Matchers of vendors' bots. The old matcher serves while changed bots are fetched and
    compiled."""

    def __init__(
        self,
        backend: Backend,
        *,
        ttl_s: float,
        unknown_ttl_s: float,
        compile_: Compile = Matcher,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._matchers = _Matchers(
            backend, compile_, ttl_s=ttl_s, unknown_ttl_s=unknown_ttl_s, clock=clock
        )
        self._uids = _Uids(backend, self._matchers, unknown_ttl_s=unknown_ttl_s, clock=clock)

    def peek(self, vendor_uid: str) -> tuple[bool, Matcher | None]:
        """Return (True, the matcher or None if there is no such vendor), or (False, None) if PHP
        has not been asked yet. Never waits."""
        found, compiled = self._matchers.peek(vendor_uid)
        return found, compiled.matcher if compiled else None

    async def get(self, vendor_uid: str) -> Matcher | None:
        """Return the vendor's matcher, or None if there is no such vendor. Raises
        :class:`BackendError` if PHP has never answered for this vendor and does not now."""
        compiled = await self._matchers.get(vendor_uid)
        return compiled.matcher if compiled else None

    async def uid_of(self, vendor_id: int) -> str | None:
        """Return the ``_uid`` of a vendor's row by its ``_id``, like :meth:`get`."""
        return await self._uids.get(vendor_id)

    def forget(self, changed: Iterable[str] | None) -> None:
        """Fetch these vendors' bots again, or everything (None)."""
        self._matchers.forget(changed)
        self._uids.forget_unknown()

    def renew(self) -> None:
        self._matchers.renew()

    async def close(self) -> None:
        await self._uids.close()
        await self._matchers.close()


def _is_quick(bots: VendorBots) -> bool:
    characters = sum(len(bot.reply_trigger or "") for bot in bots.bots)
    return len(bots.bots) <= QUICK_BOTS and characters <= QUICK_CHARACTERS


async def _ask(backend: Backend, request: BotsRequest) -> list[VendorBots]:
    answer = await backend.call(contract.BOTS, request, BotsAnswer)
    return answer.vendors


def make_bots(settings: Settings, backend: Backend) -> Bots:
    """Return vendors' bots with these settings."""
    return Bots(backend, ttl_s=settings.bots_ttl_s, unknown_ttl_s=settings.vendor_unknown_ttl_s)
