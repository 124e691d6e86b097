"""``POST /internal/modes``: PHP's admin changes vendors' modes."""

from starlette.requests import Request

from contracts import sidecar_api as api
from contracts.backend import ErrorCode
from contracts.modes import Mode
from sidecar.http.signed_route import CallRefused, parse
from sidecar.migration.cutover import Cutover, VendorUnknown
from sidecar.php.client import Backend, BackendRefused
from sidecar.php.config_feed import ConfigChanges
from sidecar.redis.client import Redis
from sidecar.settings import Settings


class ModesEndpoint:
    def __init__(
        self, settings: Settings, redis: Redis, backend: Backend, changes: ConfigChanges
    ) -> None:
        self._settings = settings
        self._redis = redis
        self._backend = backend
        self._changes = changes

    async def change(self, request: Request, body: bytes) -> api.ModesChanged:
        """Move vendors, and answer when that is done or the time is up."""
        asked = parse(api.ModesChange, body)
        if Mode.HELD in (asked.webhooks, asked.bots):
            raise CallRefused(400, ErrorCode.REQUEST_INVALID, "only campaigns can be held")
        cutover = Cutover(self._settings, self._redis, self._backend, self._changes)
        try:
            return await cutover.move(asked)
        except VendorUnknown as error:
            raise CallRefused(
                404, ErrorCode.VENDOR_UNKNOWN, f"PHP knows no vendor {error}"
            ) from None
        except BackendRefused as error:
            if error.code == ErrorCode.FENCE_STALE:
                raise CallRefused(409, error.code, str(error)) from None
            raise
