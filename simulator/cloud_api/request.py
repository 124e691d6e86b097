"""Reading a send as strictly as Meta does. By hand, as it is done for every message."""

import re
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from contracts.cloud_api.messages import MAX_CALLBACK_DATA
from simulator.cloud_api.recipient import USER_ID, digits_of, wa_id_of
from simulator.cloud_api.refusal import Refusal

_INVALID = 100
_MISSING = 131008
_VALUE = 131009

#: What ``/messages`` does not know.
_MARKETING_ONLY = frozenset({"product_policy", "message_activity_sharing"})

MAX_TEXT = 4096
MAX_CAPTION = 1024

_USER_ID = re.compile(USER_ID, re.ASCII)
_MEDIA = frozenset({"audio", "document", "image", "sticker", "video"})
_TYPES = frozenset({"contacts", "interactive", "location", "reaction", "template", "text"} | _MEDIA)


class Policy(StrEnum):
    """What ``/marketing_messages`` does if the account is not onboarded."""

    FALLBACK = "CLOUD_API_FALLBACK"
    STRICT = "STRICT"


class TemplateUse(NamedTuple):
    """A template as it is to be sent."""

    name: str
    language: str
    body_parameters: int


class SendRequest:
    """A message that could be sent. ``to`` as it came. It goes to a number (``digits`` without
    formatting, ``wa_id`` as Meta has it) or to a ``user_id``. With a ``policy`` it came by
    ``/marketing_messages``; ``lite``: it goes by the Marketing Messages API."""

    __slots__ = (
        "callback_data",
        "digits",
        "lite",
        "policy",
        "template",
        "to",
        "type",
        "user_id",
        "wa_id",
    )

    def __init__(self, to: str, digits: str | None, user_id: str | None) -> None:
        self.to = to
        self.digits = digits
        self.user_id = user_id
        # Nearly always the same; then one string is kept, not three.
        self.wa_id = None if digits is None else wa_id_of(digits)
        self.type = "text"
        self.template: TemplateUse | None = None
        self.callback_data: str | None = None
        self.policy: Policy | None = None
        self.lite = False

    @property
    def address(self) -> str:
        return self.wa_id or self.user_id or ""


class ReadReceipt:
    """The business has read a customer's message: nothing is sent."""


def read_request(body: bytes, *, marketing: bool = False) -> SendRequest | ReadReceipt:
    """Read the body of a messages call, or one for ``marketing_messages``, or raise
    :class:`Refusal` with 100, 131008 or 131009 and what is wrong."""
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refusal(_INVALID, "The body is not valid JSON.") from None
    if not isinstance(asked, dict):
        raise Refusal(_INVALID, "The body must be a JSON object.")
    if asked.get("messaging_product") != "whatsapp":
        raise Refusal(_INVALID, "The parameter messaging_product must be whatsapp.")
    policy = _policy(asked) if marketing else None
    if not marketing and (unknown := sorted(_MARKETING_ONLY & asked.keys())):
        raise Refusal(_INVALID, f"Unexpected parameters: {unknown}.")
    if asked.get("status") == "read":
        return _read_receipt(asked)
    request = _recipient(asked)
    request.policy = policy
    _read_content(asked, request)
    request.callback_data = _callback_data(asked)
    return request


def _policy(asked: dict[str, Any]) -> Policy:
    if asked.get("type") != "template":
        raise Refusal(_INVALID, "Message must be a template message.")
    if not isinstance(asked.get("message_activity_sharing", False), bool):
        raise Refusal(_INVALID, "The parameter message_activity_sharing must be a boolean.")
    policy = asked.get("product_policy", Policy.FALLBACK)
    if policy not in list(Policy):
        words = ", ".join(Policy)
        raise Refusal(_INVALID, f"The parameter product_policy must be one of: {words}.")
    return Policy(policy)


def _read_receipt(asked: dict[str, Any]) -> ReadReceipt:
    if not isinstance(asked.get("message_id"), str):
        raise Refusal(_MISSING, "The parameter message_id is missing.")
    return ReadReceipt()


def _recipient(asked: dict[str, Any]) -> SendRequest:
    """Read whom it goes to. Where both are given, ``to`` wins."""
    if asked.get("recipient_type", "individual") != "individual":
        raise Refusal(_INVALID, "Only the recipient_type individual is simulated.")
    if to := asked.get("to"):
        digits = digits_of(to) if isinstance(to, str) else None
        if digits is None:
            raise Refusal(_VALUE, "The parameter to must be a phone number in international form.")
        return SendRequest(to, digits, None)
    recipient = asked.get("recipient")
    if not recipient:
        raise Refusal(_INVALID, "The parameter to is required.")
    if not (isinstance(recipient, str) and _USER_ID.match(recipient)):
        raise Refusal(_VALUE, "The parameter recipient must be a business-scoped user id.")
    return SendRequest(recipient, None, recipient)


def _read_content(asked: dict[str, Any], request: SendRequest) -> None:
    kind = asked.get("type", "text")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise Refusal(_INVALID, f"The parameter type must be one of {sorted(_TYPES)}.")
    request.type = kind
    content = asked.get(kind)
    if content is None:
        raise Refusal(_MISSING, f"The parameter {kind} is missing.")
    if kind == "contacts" and isinstance(content, list):
        return
    if kind == "contacts" or not isinstance(content, dict):
        raise Refusal(_VALUE, f"The parameter {kind} has the wrong JSON type.")
    if kind == "template":
        request.template = _read_template(content)
    elif kind == "text":
        _check_text(content)
    elif kind == "reaction" and not isinstance(content.get("message_id"), str):
        raise Refusal(_MISSING, "The parameter reaction.message_id is missing.")
    elif kind in _MEDIA:
        _check_media(kind, content)


def _check_text(text: dict[str, Any]) -> None:
    body = text.get("body")
    if not (isinstance(body, str) and body):
        raise Refusal(_MISSING, "The parameter text.body is missing.")
    if len(body) > MAX_TEXT:
        raise Refusal(_INVALID, f"The parameter text.body may have at most {MAX_TEXT} characters.")


def _check_media(kind: str, content: dict[str, Any]) -> None:
    if not (isinstance(content.get("id"), str) or isinstance(content.get("link"), str)):
        raise Refusal(_MISSING, f"The parameter {kind}.id or {kind}.link is missing.")
    caption = content.get("caption", "")
    if not isinstance(caption, str) or len(caption) > MAX_CAPTION:
        most = f"at most {MAX_CAPTION} characters"
        raise Refusal(_INVALID, f"The parameter {kind}.caption may have {most}.")


def _read_template(template: dict[str, Any]) -> TemplateUse:
    name = template.get("name")
    if not (isinstance(name, str) and name):
        raise Refusal(_MISSING, "The parameter template.name is missing.")
    language = template.get("language")
    code = language.get("code") if isinstance(language, dict) else None
    if not (isinstance(code, str) and code):
        raise Refusal(_MISSING, "The parameter template.language.code is missing.")
    components = template.get("components", [])
    if not isinstance(components, list):
        raise Refusal(_VALUE, "The parameter template.components must be a list.")
    return TemplateUse(name, code, _body_parameters(components))


def _body_parameters(components: list[Any]) -> int:
    for component in components:
        if isinstance(component, dict) and component.get("type") == "body":
            parameters = component.get("parameters")
            return len(parameters) if isinstance(parameters, list) else 0
    return 0


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
