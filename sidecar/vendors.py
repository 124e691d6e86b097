"""Vendors' configuration, asked from PHP once for many callers and kept in memory."""

import time
from collections.abc import Callable, Mapping

from contracts import backend as contract
from sidecar.backend import Backend
from sidecar.remote_cache import RemoteCache

#: Most vendors in one request (``VendorConfigRequest``).
BATCH = 1000

#: So long a vendor's configuration is kept that nobody asks for.
KEEP_S = 24 * 3600.0


class Vendors(RemoteCache[str, contract.VendorConfig]):
    """What PHP says about vendors. Secrets stay in this process's memory."""

    def __init__(
        self,
        backend: Backend,
        *,
        ttl_s: float,
        unknown_ttl_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            "vendor_config_unavailable",
            batch=BATCH,
            ttl_s=ttl_s,
            unknown_ttl_s=unknown_ttl_s,
            keep_s=KEEP_S,
            clock=clock,
        )
        self._backend = backend

    async def load(self, wanted: list[str]) -> Mapping[str, contract.VendorConfig]:
        answer = await self._backend.call(
            contract.VENDOR_CONFIG,
            contract.VendorConfigRequest(vendor_uids=wanted),
            contract.VendorConfigAnswer,
        )
        return {config.vendor_uid: config for config in answer.vendors}
