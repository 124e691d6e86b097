"""``/internal/campaigns/{campaign_uid}`` and below: what PHP's admin does to a campaign
(``sidecar/sending/campaign_control.py``)."""

from starlette.requests import Request

from contracts.campaigns import CampaignAction
from contracts.sidecar_api import CampaignAnswer, CampaignChange
from sidecar.http.signed_route import CallRefused, parse
from sidecar.ops.audit import Audit, Who
from sidecar.sending.campaign_control import CampaignControl, CampaignRefused


class Campaigns:
    def __init__(self, control: CampaignControl, audit: Audit) -> None:
        self._control = control
        self._audit = audit

    async def show(self, request: Request, body: bytes) -> CampaignAnswer:
        """Tell how a campaign stands."""
        try:
            return await self._control.show(request.path_params["campaign_uid"])
        except CampaignRefused as error:
            raise CallRefused(error.status, error.code, str(error)) from error

    async def send(self, request: Request, body: bytes) -> CampaignAnswer:
        """Start a campaign. One that runs already is left as it is."""
        return await self._act(request, body, CampaignAction.SEND)

    async def resume(self, request: Request, body: bytes) -> CampaignAnswer:
        """Go on with a campaign that was paused."""
        return await self._act(request, body, CampaignAction.RESUME)

    async def pause(self, request: Request, body: bytes) -> CampaignAnswer:
        """Stop sending. Rows that were claimed and not sent go back to the queue."""
        return await self._act(request, body, CampaignAction.PAUSE)

    async def cancel(self, request: Request, body: bytes) -> CampaignAnswer:
        """Like pause; only send starts the campaign again."""
        return await self._act(request, body, CampaignAction.CANCEL)

    async def _act(self, request: Request, body: bytes, action: CampaignAction) -> CampaignAnswer:
        change = parse(CampaignChange, body)
        uid = request.path_params["campaign_uid"]
        said = {} if change.reason is None else {"reason": change.reason}
        who = Who("php", change.by or "")
        try:
            async with self._audit.doing(who, f"campaign.{action}", uid, **said):
                return await self._control.act(uid, action, change.reason)
        except CampaignRefused as error:
            raise CallRefused(error.status, error.code, str(error)) from error
