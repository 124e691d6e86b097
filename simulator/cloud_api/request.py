"""Reading a send as strictly as Meta does. By hand, as it is done for every message."""

from typing import Any

import orjson

from contracts.cloud_api.messages import MAX_CALLBACK_DATA
from simulator.cloud_api.recipient import digits_of, wa_id_of
from simulator.cloud_api.refusal import Refusal

_INVALID = 100
_MISSING = 131008
_VALUE = 131009
_NO_USER_IDS = 131062

_TYPES = frozenset(
    {
        "audio",
        "contacts",
        "document",
        "image",
        "interactive",
        "location",
        "reaction",
        "sticker",
        "template",
        "text",
        "video",
    }
)


class SendRequest:
    """A message that could be sent. ``to`` as it came, ``digits`` without formatting."""

    __slots__ = ("callback_data", "digits", "to", "wa_id")

    def __init__(self, to: str, digits: str, callback_data: str | None) -> None:
        self.to = to
        self.digits = digits
        # Nearly always the same; then one string is kept, not three.
        self.wa_id = wa_id_of(digits)
        self.callback_data = callback_data


class ReadReceipt:
    """The business has read a customer's message: nothing is sent."""


def read_request(body: bytes) -> SendRequest | ReadReceipt:
    """Read the body of a messages call, or raise :class:`Refusal` with 100, 131008, 131009 or
    131062 and what is wrong."""
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refusal(_INVALID, "The body is not valid JSON.") from None
    if not isinstance(asked, dict):
        raise Refusal(_INVALID, "The body must be a JSON object.")
    if asked.get("messaging_product") != "whatsapp":
        raise Refusal(_INVALID, "The parameter messaging_product must be whatsapp.")
    if asked.get("status") == "read":
        return _read_receipt(asked)
    to, digits = _recipient(asked)
    _check_content(asked)
    return SendRequest(to, digits, _callback_data(asked))


def _read_receipt(asked: dict[str, Any]) -> ReadReceipt:
    if not isinstance(asked.get("message_id"), str):
        raise Refusal(_MISSING, "The parameter message_id is missing.")
    return ReadReceipt()


def _recipient(asked: dict[str, Any]) -> tuple[str, str]:
    to = asked.get("to")
    if not to and asked.get("recipient"):
        raise Refusal(_NO_USER_IDS, "Business-scoped user ids are not simulated: send to a number.")
    if not to:
        raise Refusal(_INVALID, "The parameter to is required.")
    digits = digits_of(to) if isinstance(to, str) else None
    if digits is None:
        raise Refusal(_VALUE, "The parameter to must be a phone number in international form.")
    return to, digits


def _check_content(asked: dict[str, Any]) -> None:
    kind = asked.get("type", "text")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise Refusal(_INVALID, f"The parameter type must be one of {sorted(_TYPES)}.")
    content = asked.get(kind)
    if content is None:
        raise Refusal(_MISSING, f"The parameter {kind} is missing.")
    if kind == "contacts" and isinstance(content, list):
        return
    if kind == "contacts" or not isinstance(content, dict):
        raise Refusal(_VALUE, f"The parameter {kind} has the wrong JSON type.")
    if kind == "template":
        _check_template(content)
    elif kind == "text" and not (isinstance(content.get("body"), str) and content["body"]):
        raise Refusal(_MISSING, "The parameter text.body is missing.")


def _check_template(template: dict[str, Any]) -> None:
    if not (isinstance(template.get("name"), str) and template["name"]):
        raise Refusal(_MISSING, "The parameter template.name is missing.")
    language = template.get("language")
    if not (isinstance(language, dict) and isinstance(language.get("code"), str)):
        raise Refusal(_MISSING, "The parameter template.language.code is missing.")
    if not isinstance(template.get("components", []), list):
        raise Refusal(_VALUE, "The parameter template.components must be a list.")


def _callback_data(asked: dict[str, Any]) -> str | None:
    data = asked.get("biz_opaque_callback_data")
    if data is None:
        return None
    if not isinstance(data, str):
        raise Refusal(_INVALID, "The parameter biz_opaque_callback_data must be a string.")
    if len(data) > MAX_CALLBACK_DATA:
        most = f"at most {MAX_CALLBACK_DATA} characters"
        raise Refusal(_INVALID, f"The parameter biz_opaque_callback_data may have {most}.")
    return data
