"""``POST /internal/effects``: effects that do not belong to an update."""

from starlette.requests import Request

from contracts.backend import ErrorCode
from contracts.effects import EffectsAnswer, EffectsRequest, parse_effect
from contracts.jobs import do_effects
from sidecar.effects.outbox import Outbox
from sidecar.http.signed_route import CallRefused, parse
from sidecar.inbox.wakeups import Wakeups
from sidecar.php.vendors import Vendors


class EffectsEndpoint:
    """Takes all effects of a call or none. A call may be repeated: each id is taken once."""

    def __init__(self, outbox: Outbox, vendors: Vendors, wakeups: Wakeups) -> None:
        self._outbox = outbox
        self._vendors = vendors
        self._wakeups = wakeups

    async def take(self, request: Request, body: bytes) -> EffectsAnswer:
        """Write effects to the outbox, and wake their runners."""
        asked = parse(EffectsRequest, body)
        if await self._vendors.get(asked.vendor_uid) is None:
            raise CallRefused(404, ErrorCode.VENDOR_UNKNOWN, "PHP knows no such vendor")
        effects = []
        for place, value in enumerate(asked.effects):
            try:
                effects.append(parse_effect(value))
            except ValueError as error:
                reason = "; ".join(str(error).splitlines()[:3])
                message = f"effects.{place}: {reason}"
                raise CallRefused(400, ErrorCode.REQUEST_INVALID, message) from None
        put = await self._outbox.put(asked.vendor_uid, effects, in_sync=True)
        for kind in dict.fromkeys(effect.kind for effect in effects):
            self._wakeups.send(do_effects(kind, asked.vendor_uid))
        return EffectsAnswer(
            taken=put.taken,
            known=put.known,
            left_out=put.dropped,
            forgotten=len(put.forgotten),
        )
