"""``POST /internal/modes``: PHP's admin changes vendors' modes."""

from collections.abc import Callable

from starlette.requests import Request

from contracts import sidecar_api as api
from contracts.backend import ErrorCode
from contracts.modes import Mode
from sidecar.http.signed_route import CallRefused, parse
from sidecar.migration.cutover import Cutover, VendorUnknown
from sidecar.migration.moving import move
from sidecar.ops.audit import Audit, Who
from sidecar.php.client import BackendRefused


class ModesEndpoint:
    """``make`` makes what moves vendors, for one call."""

    def __init__(self, make: Callable[[], Cutover], audit: Audit) -> None:
        self._make = make
        self._audit = audit

    async def change(self, request: Request, body: bytes) -> api.ModesChanged:
        """Move vendors, and answer when that is done or the time is up."""
        asked = parse(api.ModesChange, body)
        if Mode.HELD in (asked.webhooks, asked.bots):
            raise CallRefused(400, ErrorCode.REQUEST_INVALID, "only campaigns can be held")
        try:
            return await move(self._make(), asked, self._audit, Who("php", asked.by))
        except VendorUnknown as error:
            raise CallRefused(
                404, ErrorCode.VENDOR_UNKNOWN, f"PHP knows no vendor {error}"
            ) from None
        except BackendRefused as error:
            if error.code == ErrorCode.FENCE_STALE:
                raise CallRefused(409, error.code, str(error)) from None
            raise
