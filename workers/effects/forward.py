"""Forwards updates to vendors' own webhooks."""

import time
from urllib.parse import quote

import orjson
import structlog

from contracts.backend import VendorConfig
from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from contracts.effects import EffectKind, Forward, ForwardTarget
from sidecar.effects.outbound import Outbound, OutboundFailed, OutboundRefused
from workers.effects.calls import REFUSED, Once, count, may_come_again, result_of, retry_after_s
from workers.effects.handler import Again, Done, End, GivenUp, Queued

log = structlog.get_logger()

#: The effect's id, the same for every attempt (as in the Standard Webhooks specification), so that
#: the vendor can recognise duplicates.
ID_HEADER = "Webhook-Id"
#: Longest pause that a vendor's server may ask for.
LONGEST_PAUSE_S = 600.0


class Forwarder:
    """Posts to vendors' own webhooks: :class:`workers.effects.handler.Handler` of ``forward``.

    ``outbound`` is the handler's own, and is closed with it.
    """

    kind = EffectKind.FORWARD
    batch = 1

    def __init__(self, outbound: Outbound, *, timeout_s: float, at_once: int) -> None:
        self.at_once = at_once
        self._outbound = outbound
        self._timeout_s = timeout_s
        self._without_target = Once()

    def arrived(self, queued: Queued) -> None:
        """Do nothing: there is nothing to prepare."""

    async def do(self, config: VendorConfig, batch: list[Queued]) -> list[End]:
        return [await self._forward(config, queued) for queued in batch]

    async def close(self) -> None:
        await self._outbound.close()

    async def _forward(self, config: VendorConfig, queued: Queued) -> End:
        effect = queued.effect
        if not isinstance(effect, Forward):
            return GivenUp(f"{effect.kind} is no forward")
        target = config.forward
        if target is None or not target.url:
            return self._nowhere(queued)
        self._without_target.over(queued.vendor_uid)
        if effect.raw is not None:
            return await self._post(target, queued.id, effect.raw.encode())
        if effect.body is None:
            return GivenUp("it has no body; the update that it belongs to was not put with it")
        try:
            body = orjson.dumps(effect.body)
        except TypeError as error:
            return GivenUp(f"its body cannot be written as JSON: {error}")
        return await self._post(target, queued.id, body)

    async def _post(self, target: ForwardTarget, effect_id: str, body: bytes) -> End:
        headers = {ID_HEADER: quote(effect_id)}
        if target.secret:
            headers[SIGNATURE_HEADER] = sign(target.secret.encode(), body)
        started_at = time.perf_counter()
        try:
            reply = await self._outbound.post(target.url, body, headers, timeout_s=self._timeout_s)
        except OutboundRefused as error:
            count(self.kind, "refused_address")
            return GivenUp(f"the webhook's URL may not be called: {error}", refused=True)
        except OutboundFailed as error:
            count(self.kind, error.how, started_at)
            return Again(str(error))
        count(self.kind, result_of(reply.status), started_at)
        if 200 <= reply.status < 300:
            return Done()
        reason = f"the vendor's webhook answered {reply.status}"
        if may_come_again(reply.status):
            return Again(reason, after_s=retry_after_s(reply.retry_after, LONGEST_PAUSE_S))
        if 300 <= reply.status < 400:
            reason += ", a redirect, which is not followed: the URL to redirect to must be set"
        return GivenUp(reason, refused=reply.status in REFUSED)

    def _nowhere(self, queued: Queued) -> End:
        count(self.kind, "no_target")
        if self._without_target.first(queued.vendor_uid):
            log.info("forward.no_target", vendor=queued.vendor_uid)
        return Done()
