"""What everything that sends in one worker process shares."""

import asyncio
from dataclasses import dataclass, field

from sidecar.php.client import Backend
from sidecar.redis.client import Redis
from sidecar.settings import Settings
from workers.sending.cloud_api import CloudApi
from workers.sending.limiter import Limiter
from workers.sending.recent import Recent


@dataclass(frozen=True, slots=True)
class Services:
    """``stopping`` is set when the process is to end."""

    settings: Settings
    redis: Redis
    backend: Backend
    cloud_api: CloudApi
    limiter: Limiter
    stopping: asyncio.Event
    recent: Recent = field(default_factory=Recent)
