"""The endpoints of the sidecar."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel

from contracts import effects, sidecar_api
from contracts.cloud_api import webhook
from contracts.openapi.document import Document, build
from contracts.openapi.endpoint import (
    Body,
    Endpoint,
    Parameter,
    documentation,
    json_body,
    refusal,
    text_body,
)
from contracts.openapi.security import META_SIGNED, SIGNED, unsigned_refusal

_INVALID = refusal("`request_invalid`: the body is not of the documented shape. Nothing happened.")
_UNAVAILABLE = refusal("PHP or Redis cannot be reached: make the same call later, signed anew.")
_CAMPAIGN_UNKNOWN = refusal("`campaign_unknown`: PHP knows no such campaign.")
_CRONS_SEND = "`vendor_not_on_sidecar`: PHP's own crons send for the vendor. Nothing happened."
_SEND_REFUSED = refusal(_CRONS_SEND)
_CANCELLED = "`campaign_cancelled`: only send starts it again; nothing happened."
_PAUSE_REFUSED = refusal(_CANCELLED)
_RESUME_REFUSED = refusal(f"{_CANCELLED} {_CRONS_SEND}")
_VENDOR_UNKNOWN = refusal("`vendor_unknown`: PHP knows no such vendor. Nothing happened.")
_REFUSALS = {
    400: _INVALID,
    401: unsigned_refusal(),
    413: refusal("`body_too_large`: nothing happened."),
    503: _UNAVAILABLE,
}


def _verify_webhook(path: str, name: str) -> Endpoint:
    return Endpoint(
        method="get",
        path=path,
        name=name,
        tag="webhooks",
        summary="Verify the address of the webhook",
        description="Handed to PHP, which marks the vendor's webhook as verified, and whose answer "
        "is passed on; answered from the rule of the token when PHP cannot be reached.",
        parameters=(
            Parameter("hub.mode", "query", "Always `subscribe`."),
            Parameter("hub.challenge", "query", "What the answer must be."),
            Parameter("hub.verify_token", "query", "Lowercase hex of the SHA-1 of `vendor_uid`."),
        ),
        answers={
            200: text_body("The challenge and nothing else."),
            403: Body("The token is not the vendor's.", media_type="*/*"),
            404: Body("PHP's answer for a vendor that does not exist.", media_type="*/*"),
        },
    )


_PHP_FAILED = {
    502: text_body(
        "PHP handles the vendor's webhooks and was not reached, or broke off; and the "
        "webhook is not to be kept, or could not be."
    ),
    504: text_body("The same, and PHP gave no answer in time."),
    508: text_body("`proxy_loop`: `backend_url` leads back to the sidecar."),
}


def _receive_webhook(path: str, name: str) -> Endpoint:
    return Endpoint(
        method="post",
        path=path,
        name=name,
        tag="webhooks",
        summary="Receive a webhook",
        description="Answered with 200 when the body is on disk. It may be compressed with gzip, "
        "and signed either way. What cannot be read is kept and "
        "handed to PHP as it came. A webhook may come several times and in any order. Where PHP "
        "handles the vendor's webhooks (its mode is `php` or `shadow`), they are passed on to PHP, "
        "and the answer is PHP's, whatever it is, marked with `X-Sidecar-Proxied: 1`.",
        request=Body(documentation(webhook.Webhook), webhook.Webhook, lenient=True),
        answers={
            200: text_body("`done`: the webhook is on disk, or PHP has it."),
            400: text_body("`gzip_broken`: it cannot be decompressed. Nothing was stored."),
            401: text_body(
                "The reason in a word: the signature is missing or does not fit the body. Nothing "
                "was stored. Never given where signatures are only reported."
            ),
            404: text_body("`vendor_unknown`: PHP knows no such vendor. Nothing was stored."),
            413: text_body(
                "`body_too_large`: it is over the limit, decompressed or as it came. Nothing was "
                "stored."
            ),
            415: text_body(
                "`encoding_unsupported`: it comes in an encoding other than gzip. Nothing was "
                "stored."
            ),
            503: text_body(
                "The reason in a word: Redis cannot be reached or is full, the vendor's app secret "
                "is not known while PHP is down, or too much is on its way to PHP and the webhook "
                "is not to be kept. Nothing was stored; whoever stands in "
                "front should give the webhook to PHP, or else Meta brings it again."
            ),
            **_PHP_FAILED,
        },
        security=META_SIGNED,
    )


def _mirrored_webhook() -> Endpoint:
    return Endpoint(
        method="post",
        path=sidecar_api.SHADOW_WEBHOOK,
        name="shadow_webhook",
        tag="webhooks",
        summary="Take a copy of a webhook that PHP handles",
        description="For a mirror in front of PHP, and not to be reached from outside. Webhooks of "
        "vendors whose mode is `shadow` are compared with what PHP makes of them; all others are "
        "ignored, and so are those that are not signed as they should be. Nothing else is done.",
        request=Body(documentation(webhook.Webhook), webhook.Webhook, lenient=True),
        answers={204: Body("Whatever becomes of it.", media_type="*/*")},
        security=META_SIGNED,
    )


def _campaign(
    method: Literal["get", "post"],
    path: str,
    name: str,
    summary: str,
    description: str,
    refusals: Mapping[int, Body] | None = None,
) -> Endpoint:
    body = json_body(sidecar_api.CampaignChange, required=False) if method == "post" else None
    return Endpoint(
        method=method,
        path=path,
        name=name,
        tag="campaigns",
        summary=summary,
        description=description,
        request=body,
        answers={
            200: json_body(sidecar_api.CampaignAnswer),
            404: _CAMPAIGN_UNKNOWN,
            **_REFUSALS,
            **(refusals or {}),
        },
        security=SIGNED,
    )


def _call(
    path: str,
    tag: str,
    summary: str,
    request: type[BaseModel],
    answer: type[BaseModel],
    refusals: Mapping[int, Body] | None = None,
) -> Endpoint:
    return Endpoint(
        method="post",
        path=path,
        name=path.rpartition("/")[2].replace("-", "_"),
        tag=tag,
        summary=summary,
        description=documentation(request),
        request=json_body(request),
        answers={200: json_body(answer), **_REFUSALS, **(refusals or {})},
        security=SIGNED,
    )


def _health(path: str, name: str, summary: str, answers: dict[int, Body]) -> Endpoint:
    return Endpoint(
        method="get",
        path=path,
        name=name,
        tag="health",
        summary=summary,
        description="Not signed; changes nothing.",
        answers=answers,
    )


_WEBHOOK, _WHATSAPP_WEBHOOK = sidecar_api.WEBHOOK_PATHS

ENDPOINTS = (
    _verify_webhook(_WEBHOOK, "verify_webhook"),
    _receive_webhook(_WEBHOOK, "receive_webhook"),
    _verify_webhook(_WHATSAPP_WEBHOOK, "verify_whatsapp_webhook"),
    _receive_webhook(_WHATSAPP_WEBHOOK, "receive_whatsapp_webhook"),
    _mirrored_webhook(),
    _campaign(
        "get",
        sidecar_api.CAMPAIGN,
        "campaign",
        "Look at a campaign",
        "Changes nothing.",
    ),
    _campaign(
        "post",
        sidecar_api.CAMPAIGN_SEND,
        "campaign_send",
        "Start a campaign",
        "Has the campaign's due rows sent. For a campaign that is running already, it only answers "
        "with its state, so it may be repeated.",
        {409: _SEND_REFUSED},
    ),
    _campaign(
        "post",
        sidecar_api.CAMPAIGN_PAUSE,
        "campaign_pause",
        "Pause a campaign",
        "Nothing more is sent until it is resumed; what was claimed and not sent is returned. May "
        "be repeated. A cancelled campaign stays cancelled.",
        {409: _PAUSE_REFUSED},
    ),
    _campaign(
        "post",
        sidecar_api.CAMPAIGN_RESUME,
        "campaign_resume",
        "Resume a paused campaign",
        "Has the campaign's due rows sent again. May be repeated.",
        {409: _RESUME_REFUSED},
    ),
    _campaign(
        "post",
        sidecar_api.CAMPAIGN_CANCEL,
        "campaign_cancel",
        "Cancel a campaign",
        "Nothing more is sent, until send starts it again; what was claimed and not sent is "
        "returned. May be repeated.",
    ),
    _call(
        sidecar_api.MATCH_BOT,
        "bots",
        "Find the bots that a message triggers",
        sidecar_api.MatchBotRequest,
        sidecar_api.MatchBotAnswer,
        {404: _VENDOR_UNKNOWN},
    ),
    _call(
        sidecar_api.MODES,
        "configuration",
        "Move vendors' work to PHP or to the sidecar",
        sidecar_api.ModesChange,
        sidecar_api.ModesChanged,
        {
            404: _VENDOR_UNKNOWN,
            409: refusal("`fence_stale`: somebody else has changed modes meanwhile; ask again."),
        },
    ),
    _call(
        sidecar_api.EFFECTS,
        "effects",
        "Have effects done that belong to no update",
        effects.EffectsRequest,
        effects.EffectsAnswer,
        {404: _VENDOR_UNKNOWN},
    ),
    _call(
        sidecar_api.INVALIDATE,
        "configuration",
        "Forget what was read from PHP",
        sidecar_api.InvalidateRequest,
        sidecar_api.InvalidateAnswer,
    ),
    _call(
        sidecar_api.PING,
        "health",
        "Try the way to the sidecar",
        sidecar_api.PingRequest,
        sidecar_api.PingAnswer,
    ),
    _health(
        sidecar_api.HEALTHZ,
        "healthz",
        "Is the process alive?",
        {200: json_body(sidecar_api.Health, "It is.")},
    ),
    _health(
        sidecar_api.READYZ,
        "readyz",
        "Can webhooks be taken?",
        {
            200: json_body(sidecar_api.Health, "They can."),
            503: json_body(sidecar_api.Health, "They cannot; `checks` says why."),
        },
    ),
    _health(
        sidecar_api.METRICS,
        "metrics",
        "How is everything doing?",
        {200: text_body("What Prometheus reads: the text exposition format, version 0.0.4.")},
    ),
)


def document() -> Document:
    """Return the document of the sidecar."""
    return build("WhatsApp sidecar", documentation(sidecar_api), ENDPOINTS)
