"""What everything that sends in one worker process shares."""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from contracts.backend import VendorConfig
from sidecar.php.client import Backend
from sidecar.redis.client import Redis
from sidecar.sending.epoch import Begun
from sidecar.settings import Settings
from workers.sending.cloud_api import CloudApi
from workers.sending.limiter import Limiter
from workers.sending.recent import Recent


class VendorConfigs(Protocol):
    """What PHP says of vendors (``sidecar/php/vendors.py``)."""

    async def get_since(self, key: str, since: float) -> VendorConfig | None:
        """Return a vendor's configuration as PHP has had it then (``time.monotonic``) or later;
        None: there is no such vendor. Raises ``BackendError``."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """``stopping`` is set when the process is to end, and ``aside`` while it leaves PHP's work to
    others (``workers/aside.py``)."""

    settings: Settings
    redis: Redis
    backend: Backend
    cloud_api: CloudApi
    limiter: Limiter
    stopping: asyncio.Event
    vendors: VendorConfigs
    recent: Recent = field(default_factory=Recent)
    begun: Begun = field(default_factory=Begun)
    aside: asyncio.Event = field(default_factory=asyncio.Event)
