"""The endpoints of the PHP side."""

from collections.abc import Mapping

from pydantic import BaseModel

from contracts import backend, bots, diagnosis, effects, find, modes, observation, preview
from contracts.cloud_api import webhook
from contracts.openapi.document import Document, build
from contracts.openapi.endpoint import (
    Body,
    Endpoint,
    Parameter,
    documentation,
    json_body,
    refusal,
)
from contracts.openapi.security import META_SIGNATURE, SIGNED, unsigned_refusal

_VENDOR_UNKNOWN = "`vendor_unknown`: there is no such vendor."

_REFUSALS = {
    400: refusal("`request_invalid`: the body is not of the documented shape. Nothing happened."),
    401: unsigned_refusal(),
    413: refusal("`body_too_large`: ask for less in one call. Nothing happened."),
    503: refusal(
        "Overloaded, or in maintenance (`maintenance`, where PHP can say so): make the same call "
        "again later, signed anew."
    ),
}


_CARRIED = tuple(
    Parameter(name, "query", f"`EpochRequest.{name}`: it is kept.", required=False, type="integer")
    for name in ("epoch", "at")
)


def _call(
    path: str,
    tag: str,
    summary: str,
    models: tuple[type[BaseModel], type[BaseModel]],
    description: str = "",
    refusals: Mapping[int, Body] | None = None,
) -> Endpoint:
    """``models`` are those of the request and of the answer."""
    request, answer = models
    return Endpoint(
        method="post",
        path=path,
        name=path.rpartition("/")[2].replace("-", "_"),
        tag=tag,
        summary=summary,
        description=description or documentation(request),
        parameters=_CARRIED if path in backend.CARRY_EPOCH else (),
        request=json_body(request),
        answers={200: json_body(answer), **_REFUSALS, **(refusals or {})},
        security=SIGNED,
    )


ENDPOINTS = (
    Endpoint(
        method="post",
        path=backend.PROCESS_WEBHOOK,
        name="process_webhook",
        tag="webhooks",
        summary="Apply one raw webhook",
        description=documentation(backend.ProcessWebhookAnswer),
        parameters=(
            Parameter(
                webhook.SIGNATURE_HEADER,
                "header",
                f"Meta's, as it came; missing if it was. {META_SIGNATURE}",
                required=False,
            ),
        ),
        request=Body("The bytes that Meta sent, which need not be JSON.", media_type="*/*"),
        answers={
            200: json_body(backend.ProcessWebhookAnswer),
            **_REFUSALS,
            404: refusal(_VENDOR_UNKNOWN),
        },
        security=SIGNED,
    ),
    _call(
        backend.PROCESS_WEBHOOKS,
        "webhooks",
        "Apply a batch of single updates",
        (backend.ProcessWebhooksRequest, backend.ProcessWebhooksAnswer),
    ),
    _call(
        backend.STORE_WEBHOOKS,
        "webhooks",
        "Put raw webhooks into PHP's own webhook table",
        (backend.StoreWebhooksRequest, backend.StoreWebhooksAnswer),
        "Hands webhooks back to PHP's own cron. Idempotent by `id`, which is stored once.",
    ),
    _call(
        backend.PENDING_WEBHOOKS,
        "webhooks",
        "Take over webhooks out of PHP's own webhook table",
        (backend.PendingWebhooksRequest, backend.PendingWebhooksAnswer),
    ),
    _call(
        backend.CLAIM_MESSAGES,
        "campaigns",
        "Claim rows of a campaign that are due",
        (backend.ClaimMessagesRequest, backend.ClaimMessagesAnswer),
        refusals={
            404: refusal(f"{_VENDOR_UNKNOWN} `campaign_unknown`: it has no such campaign."),
            409: refusal(
                "`campaign_paused` or `campaign_cancelled`: the campaign's state says so. "
                "`fence_stale`: another worker owns the campaign by now. "
                "`vendor_not_on_sidecar`: PHP's own crons send for it. Nothing was claimed."
            ),
        },
    ),
    _call(
        backend.RELEASE_MESSAGES,
        "campaigns",
        "Return claimed rows that were not sent, and keep the campaign's state",
        (backend.ReleaseMessagesRequest, backend.ReleaseMessagesAnswer),
        refusals={
            404: refusal(f"{_VENDOR_UNKNOWN} `campaign_unknown`: it has no such campaign."),
            409: refusal("`campaign_cancelled`: it stays cancelled. Nothing happened."),
        },
    ),
    _call(
        backend.UPDATE_MESSAGE_STATUS,
        "campaigns",
        "Record what became of one send",
        (backend.SendResult, backend.UpdateResult),
    ),
    _call(
        backend.UPDATE_MESSAGE_STATUSES,
        "campaigns",
        "Record what became of many sends",
        (backend.UpdateMessageStatusesRequest, backend.UpdateMessageStatusesAnswer),
        documentation(backend.SendResult),
    ),
    _call(
        backend.DUE_CAMPAIGNS,
        "campaigns",
        "Find campaigns with rows to send, or look at some",
        (backend.DueCampaignsRequest, backend.DueCampaignsAnswer),
    ),
    _call(
        backend.UNKNOWN_MESSAGES,
        "campaigns",
        "List messages of unknown outcome",
        (backend.UnknownMessagesRequest, backend.UnknownMessagesAnswer),
    ),
    _call(
        backend.RESOLVE_MESSAGES,
        "campaigns",
        "Resend messages of unknown outcome, or give them up",
        (backend.ResolveMessagesRequest, backend.ResolveMessagesAnswer),
    ),
    _call(
        backend.EPOCH,
        "campaigns",
        "Keep how far Redis has come, and tell whether it has gone back",
        (backend.EpochRequest, backend.EpochAnswer),
    ),
    _call(
        backend.RETRY_MESSAGES,
        "campaigns",
        "Put failed rows that were certainly not sent back into the queue",
        (backend.RetryMessagesRequest, backend.RetryMessagesAnswer),
        refusals={
            404: refusal(f"{_VENDOR_UNKNOWN} `campaign_unknown`: it has no such campaign."),
            409: refusal(
                "`campaign_cancelled`: it stays cancelled. `vendor_not_on_sidecar`: PHP's own "
                "crons send for it. Nothing happened."
            ),
        },
    ),
    _call(
        backend.VENDOR_CONFIG,
        "configuration",
        "Read vendors' numbers and secrets",
        (backend.VendorConfigRequest, backend.VendorConfigAnswer),
        documentation(backend.VendorConfig),
    ),
    _call(
        backend.BOTS,
        "configuration",
        "Read vendors' bots",
        (bots.BotsRequest, bots.BotsAnswer),
        documentation(bots.VendorBots),
    ),
    _call(
        backend.MODES,
        "configuration",
        "Read or change who does vendors' work",
        (modes.ModesRequest, modes.ModesAnswer),
        refusals={
            404: refusal(_VENDOR_UNKNOWN),
            409: refusal(
                "`fence_stale`: somebody else has changed modes. `mode_change_forbidden`: no mode "
                "changes so in one step. Nothing happened."
            ),
        },
    ),
    _call(
        backend.OBSERVE,
        "configuration",
        "Tell what PHP has made of messages",
        (observation.ObserveRequest, observation.ObserveAnswer),
        documentation(observation.Observation),
    ),
    _call(
        backend.PREVIEW_MESSAGES,
        "campaigns",
        "Tell what a claim would make of rows",
        (preview.PreviewMessagesRequest, preview.PreviewMessagesAnswer),
        refusals={404: refusal("`campaign_unknown`: there is no such campaign.")},
    ),
    _call(
        backend.FIND,
        "health",
        "Tell what the tables know of a message, a person, a campaign or a vendor",
        (find.FindRequest, find.FindAnswer),
    ),
    _call(
        backend.DIAGNOSIS,
        "health",
        "Tell how PHP's side is set up, and what waits",
        (diagnosis.DiagnosisRequest, diagnosis.DiagnosisAnswer),
    ),
    _call(
        backend.AI_ANSWERS,
        "effects",
        "Bring what AIs have answered",
        (effects.AiAnswersRequest, backend.UpdateMessageStatusesAnswer),
    ),
    _call(
        backend.PENDING_EFFECTS,
        "effects",
        "List effects of which PHP does not know what became",
        (backend.PendingEffectsRequest, backend.PendingEffectsAnswer),
    ),
    _call(
        backend.MEDIA,
        "effects",
        "Report media that was fetched",
        (effects.MediaRequest, backend.UpdateMessageStatusesAnswer),
        documentation(effects.MediaReport),
    ),
)


def document() -> Document:
    """Return the document of the PHP side."""
    return build("PHP side of the WhatsApp sidecar", documentation(backend), ENDPOINTS)
