"""The control endpoints for access tokens, numbers that are gone, and accounts that may not
send."""

from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.lenient import StrictModel
from simulator.cloud_api.access import Access
from simulator.cloud_api.account_block import AccountBlock, AccountBlocks
from simulator.cloud_api.control_http import json_answer, ordered_number, read_order
from simulator.cloud_api.number import Number, Numbers


class TokenOrder(StrictModel):
    """A new access token for the numbers of one account, or of all."""

    account_id: str | None = None
    #: Null: made up.
    access_token: str | None = Field(default=None, min_length=1, pattern=r"^[!-~]+$")
    #: How long the old one is valid still.
    old_valid_s: float = Field(default=0, ge=0)
    #: The old one's subcode after that: 463 expired, 460 password changed, 467 invalid.
    subcode: int = 463


class NumberOrder(StrictModel):
    phone_number_id: str


class BlockOrder(StrictModel):
    """An error that every message of an account gets, or of all accounts, until it is lifted."""

    account_id: str | None = None
    #: 131031 locked, 131042 payment, 368 restricted.
    code: int = Field(ge=1)
    #: Accepted, and failed by a status.
    as_status: bool = False


class AccessControl:
    def __init__(self, access: Access, blocks: AccountBlocks, numbers: Numbers) -> None:
        self._access = access
        self._blocks = blocks
        self._numbers = numbers

    def routes(self) -> list[Route]:
        return [
            Route("/access-token", self.rotate, methods=["POST"]),
            Route("/numbers/remove", self.remove, methods=["POST"]),
            Route("/numbers/restore", self.restore, methods=["POST"]),
            Route("/account-blocks", self.show_blocks, methods=["GET"]),
            Route("/account-blocks", self.block, methods=["POST"]),
            Route("/account-blocks", self.lift, methods=["DELETE"]),
        ]

    async def rotate(self, request: Request) -> Response:
        order = await read_order(request, TokenOrder)
        numbers = self._of(order.account_id)
        token, until = self._access.rotate(
            numbers, order.access_token, order.old_valid_s, order.subcode
        )
        answer = {
            "access_token": token,
            "phone_number_ids": [one.phone_number_id for one in numbers],
            "old_valid_until": round(until * 1000),
        }
        return json_answer(answer)

    async def remove(self, request: Request) -> Response:
        order = await read_order(request, NumberOrder)
        number = ordered_number(self._numbers, order.phone_number_id)
        self._access.remove(number.phone_number_id)
        return json_answer({"removed": number.phone_number_id})

    async def restore(self, request: Request) -> Response:
        order = await read_order(request, NumberOrder)
        number = ordered_number(self._numbers, order.phone_number_id)
        self._access.restore(number.phone_number_id)
        return json_answer({"restored": number.phone_number_id})

    async def show_blocks(self, _request: Request) -> Response:
        blocks = self._blocks.list()
        return json_answer([{"account_id": one, **_block(blocks[one])} for one in blocks])

    async def block(self, request: Request) -> Response:
        order = await read_order(request, BlockOrder)
        block = AccountBlock(order.code, order.as_status)
        account_ids = {one.account_id for one in self._of(order.account_id)}
        for account_id in account_ids:
            self._blocks.put(account_id, block)
        return json_answer({"account_ids": sorted(account_ids), **_block(block)}, 201)

    async def lift(self, request: Request) -> Response:
        numbers = self._of(request.query_params.get("account_id"))
        return json_answer({"lifted": self._blocks.lift({one.account_id for one in numbers})})

    def _of(self, account_id: str | None) -> list[Number]:
        numbers = [one for one in self._numbers if account_id in (None, one.account_id)]
        if not numbers:
            raise HTTPException(404, f"no number is of the account {account_id!r}")
        return numbers


def _block(block: AccountBlock) -> dict[str, object]:
    return {"code": block.code, "as_status": block.as_status}
