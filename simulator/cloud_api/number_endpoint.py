"""``GET /{version}/{phone_number_id}?fields=...``: what a business number is like."""

from urllib.parse import parse_qs

import orjson
from starlette.types import Scope, Send

from simulator.asgi import answer, authorization
from simulator.cloud_api.access import Access
from simulator.cloud_api.account_block import AccountBlock, AccountBlocks
from simulator.cloud_api.number import Number
from simulator.cloud_api.refusal import Refusal

_INVALID = 100
_DEFAULT = ("verified_name", "code_verification_status", "display_phone_number", "quality_rating")
#: What a number of more than the standard throughput says.
_STANDARD_PER_S = 80


class NumberEndpoint:
    def __init__(self, access: Access, blocks: AccountBlocks) -> None:
        self._access = access
        self._blocks = blocks

    async def __call__(self, scope: Scope, send: Send, phone_number_id: str) -> None:
        try:
            number = self._access.number(authorization(scope), phone_number_id)
            block = self._blocks.list().get(number.account_id)
            found = _fields(number, block, _asked(scope))
        except Refusal as refusal:
            await answer(send, refusal.http_status, refusal.body())
            return
        await answer(send, 200, orjson.dumps(found))


def _asked(scope: Scope) -> list[str]:
    query = parse_qs(scope["query_string"].decode("ascii", "replace"))
    if "fields" not in query:
        return list(_DEFAULT)
    return [one for one in query["fields"][0].split(",") if one]


def _fields(number: Number, block: AccountBlock | None, names: list[str]) -> dict[str, object]:
    rate_per_s = number.bucket.rate_per_s
    known: dict[str, object] = {
        "account_mode": "LIVE",
        "code_verification_status": "VERIFIED",
        "display_phone_number": number.display_phone_number,
        "health_status": _health(number, block),
        "id": number.phone_number_id,
        "name_status": "APPROVED",
        "platform_type": "CLOUD_API",
        "quality_rating": "GREEN",
        "status": "CONNECTED",
        "throughput": {"level": "HIGH" if rate_per_s > _STANDARD_PER_S else "STANDARD"},
        "verified_name": "Simulated business",
    }
    for name in names:
        if name not in known:
            raise Refusal(
                _INVALID,
                f"Tried accessing nonexisting field ({name}) on node type "
                "(WhatsAppBusinessPhoneNumber)",
            )
    return {name: known[name] for name in names} | {"id": number.phone_number_id}


def _health(number: Number, block: AccountBlock | None) -> dict[str, object]:
    """Whether anything may be sent from a number, and what of it is in the way."""
    word = "AVAILABLE" if block is None else "BLOCKED"
    account: dict[str, object] = {
        "entity_type": "WABA",
        "id": number.account_id,
        "can_send_message": word,
    }
    if block is not None:
        account["errors"] = [
            {
                "error_code": block.code,
                "error_description": "Business account cannot send",
                "possible_solution": "See WhatsApp Manager",
            }
        ]
    own = {"entity_type": "PHONE_NUMBER", "id": number.phone_number_id}
    return {
        "can_send_message": word,
        "entities": [{**own, "can_send_message": "AVAILABLE"}, account],
    }
