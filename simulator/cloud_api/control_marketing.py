"""The control endpoints for how accounts may send marketing templates."""

from dataclasses import asdict

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.lenient import StrictModel
from simulator.cloud_api.control_http import json_answer, read_order
from simulator.cloud_api.marketing import MarketingAccounts
from simulator.cloud_api.number import Numbers


class MarketingOrder(StrictModel):
    """For one account, or for all. What is null stays as it is."""

    account_id: str | None = None
    #: Whether the account is onboarded to the Marketing Messages API.
    marketing_messages_onboarded: bool | None = None
    #: Whether ``/messages`` refuses its marketing templates.
    disable_marketing_messages_on_cloud_api: bool | None = None


class MarketingControl:
    def __init__(self, accounts: MarketingAccounts, numbers: Numbers) -> None:
        self._accounts = accounts
        self._numbers = numbers

    def routes(self) -> list[Route]:
        return [
            Route("/marketing", self.show, methods=["GET"]),
            Route("/marketing", self.change, methods=["POST"]),
        ]

    async def show(self, _request: Request) -> Response:
        return json_answer(self._state(self._ids(None)))

    async def change(self, request: Request) -> Response:
        order = await read_order(request, MarketingOrder)
        ids = self._ids(order.account_id)
        if not ids:
            raise HTTPException(404, f"there is no account {order.account_id!r}")
        for account_id in ids:
            account = self._accounts.of(account_id)
            for name, value in order.model_dump(exclude={"account_id"}, exclude_none=True).items():
                setattr(account, name, value)
        return json_answer(self._state(ids))

    def _ids(self, account_id: str | None) -> list[str]:
        ids = {number.account_id: None for number in self._numbers}
        return [one for one in ids if account_id in (None, one)]

    def _state(self, ids: list[str]) -> dict[str, dict[str, bool]]:
        return {one: asdict(self._accounts.of(one)) for one in ids}
