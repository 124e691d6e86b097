"""What vendors are called, for pages that name them by more than their uids."""

import asyncio
import time
from collections.abc import Mapping

from contracts.backend import MODES
from contracts.modes import ModesAnswer, ModesRequest
from sidecar.php.client import Backend, BackendError

#: How long titles hold: they hardly change, and PHP tells all vendors at once.
KEPT_S = 60.0
#: How long nobody waits for titles after PHP has not answered, and for how long it is waited.
AGAIN_S = 5.0
TIMEOUT_S = 2.0


class VendorTitles:
    """Titles by uid, shared by all who look. While PHP is away these are the last known, or none:
    a page shows uids then."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = asyncio.Lock()
        self._known: dict[str, str] = {}
        self._until = 0.0

    async def get(self) -> Mapping[str, str]:
        """Return the titles of all vendors that have one. Raises nothing of PHP's."""
        async with self._lock:
            if time.monotonic() >= self._until:
                self._until = time.monotonic() + (KEPT_S if await self._read() else AGAIN_S)
            return self._known

    async def _read(self) -> bool:
        try:
            answer = await self._backend.call(
                MODES, ModesRequest(), ModesAnswer, timeout_s=TIMEOUT_S
            )
        except BackendError:
            return False  # a page that needs PHP says so itself
        self._known = {one.vendor_uid: one.title for one in answer.vendors if one.title}
        return True
