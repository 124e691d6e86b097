"""The messages call: ``POST /{version}/{phone_number_id}/messages``.

The Cloud API has no idempotency key. ``biz_opaque_callback_data`` comes back in every status of
the message, so it is how a send of unknown outcome is found again.
"""

from typing import Any, Literal

from contracts.lenient import Lenient, LenientModel, StrictModel

#: Longest ``biz_opaque_callback_data``, in characters.
MAX_CALLBACK_DATA = 512


class TemplateLanguage(StrictModel):
    code: str


class Template(StrictModel):
    name: str
    language: TemplateLanguage
    components: list[Any]


class TemplateMessage(StrictModel):
    """What we send for one row of a campaign. ``to`` has a leading plus: without it, Meta may
    put the business's own country code in front. ``recipient`` is the user id of a person whose
    number is not known; there is one of the two."""

    messaging_product: Literal["whatsapp"] = "whatsapp"
    recipient_type: Literal["individual"] = "individual"
    to: str | None = None
    recipient: str | None = None
    type: Literal["template"] = "template"
    template: Template
    biz_opaque_callback_data: str


class MarketingMessage(TemplateMessage):
    """What we send by the Marketing Messages API, ``POST
    /{version}/{phone_number_id}/marketing_messages``, which takes marketing templates only.
    ``product_policy`` says what Meta does if the account is not onboarded to that API: send the
    message as if by ``/messages``, or refuse it. The answer is the same."""

    product_policy: Literal["CLOUD_API_FALLBACK", "STRICT"]


class SentContact(LenientModel):
    input: Lenient[str] = None
    wa_id: Lenient[str] = None
    user_id: Lenient[str] = None


class SentMessage(LenientModel):
    """``message_status`` is accepted, held_for_quality_assessment or paused, when present."""

    id: Lenient[str] = None
    message_status: Lenient[str] = None


class SendResponse(LenientModel):
    """Answer 200: accepted, which is not delivered."""

    messaging_product: Lenient[str] = None
    contacts: Lenient[list[Lenient[SentContact]]] = None
    messages: Lenient[list[Lenient[SentMessage]]] = None


class GraphError(LenientModel):
    """Decide on ``code`` and ``error_data.details``, never on HTTP status, title or subcode."""

    message: Lenient[str] = None
    type: Lenient[str] = None
    code: Lenient[int] = None
    error_data: Lenient[dict[str, Any]] = None
    error_subcode: Lenient[int] = None
    fbtrace_id: Lenient[str] = None


class ErrorResponse(LenientModel):
    error: Lenient[GraphError] = None
