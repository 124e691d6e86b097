"""Effects: network I/O that PHP asks the sidecar to do, so that no PHP worker waits for it.

PHP names effects in its answer about an update (``UpdateResult.effects``), or in a call of its own
(``POST /internal/effects``). The sidecar keeps them on disk, does them with retries and limits, and
tells PHP what it has to store: how a message was sent (``update-message-statuses``), what an AI
has answered (``ai-answers``) and where a message's media is (``media``).

An effect's ``id`` makes it happen once: PHP gives the same effect the same id however often it is
asked about the same update, and the sidecar takes an id once. It is a UUID.
"""

import json
from enum import StrEnum
from typing import Any, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, Field, TypeAdapter, ValidationError, model_validator

from contracts.lenient import LenientModel, StrictModel
from contracts.portable import flaw

Model = TypeVar("Model", bound=BaseModel)

#: Stands in place of an effect that cannot be read, and says why.
UNREADABLE = "_unreadable"


class EffectKind(StrEnum):
    SEND_MESSAGE = "send_message"
    AI_REPLY = "ai_reply"
    FORWARD = "forward"
    BROADCAST = "broadcast"
    FETCH_MEDIA = "fetch_media"


class SendMessage(LenientModel):
    """Send one message, ahead of campaigns, within the number's limits. ``id`` is the ``_uid`` of
    its row in ``whatsapp_message_logs``, which PHP has stored with the status ``pending``; the
    result comes as a :class:`contracts.backend.SendResult` without a campaign.

    ``message`` is the messages call's body without ``messaging_product``, ``to``, ``recipient`` and
    ``biz_opaque_callback_data``: ``{"type": "text", "text": {"body": "..."}}`` and so on, of any
    type that the Cloud API knows. ``to`` is digits with the country code, ``recipient`` the user id
    of a person whose number is not known; there is one of the two, or ``to`` is used. After
    ``expires_at`` (unix ms) it is not sent any more, and reported as failed.

    PHP sets ``asked_at`` where it names a message again, to when its row was stored. Such a message
    is taken only if the sidecar would know whether it was taken before: with a Redis that was wiped
    since, it may have been sent (``docs/decisions/0010-pending-messages.md``).
    """

    kind: Literal[EffectKind.SEND_MESSAGE] = EffectKind.SEND_MESSAGE
    id: str
    to: str | None = None
    recipient: str | None = None
    message: dict[str, Any]
    phone_number_id: str | None = Field(
        default=None, description="Null: the vendor's current number."
    )
    expires_at: int | None = None
    asked_at: int | None = Field(default=None, description="Unix ms, by PHP's clock.")

    @model_validator(mode="after")
    def _is_addressed(self) -> Self:
        if not (self.to or self.recipient):
            raise ValueError("there is neither to nor recipient")
        return self


class AiMessage(LenientModel):
    """``role``: system, user or assistant."""

    role: str
    content: str


class AiReply(LenientModel):
    """Ask an AI, and bring PHP its answer (:class:`AiAnswer`); what is sent of it, PHP decides
    then. ``provider`` is the name of one of ``VendorConfig.ai_providers``, so no key stands here.

    ``conversation`` names whom the answer is for (a contact). Of one conversation only the newest
    question is asked: an older one that has no answer yet ends as ``superseded``. ``options`` are
    added to the body of the call (``temperature``, ``max_tokens`` ...).
    """

    kind: Literal[EffectKind.AI_REPLY] = EffectKind.AI_REPLY
    id: str
    conversation: str
    provider: str
    model: str | None = None
    messages: list[AiMessage] = Field(min_length=1)
    options: dict[str, Any] = {}
    expires_at: int | None = None


class Forward(LenientModel):
    """Post to the vendor's own webhook URL (``VendorConfig.forward``): ``raw``, or else ``body``,
    or else the update itself, with the values that Meta sent. ``raw`` is JSON as a text, which is
    posted as it is: no digit of its numbers is lost. An id is taken once; what is taken may arrive
    more than once, as Meta's own webhooks may."""

    kind: Literal[EffectKind.FORWARD] = EffectKind.FORWARD
    id: str
    body: dict[str, Any] | None = None
    raw: str | None = None


class Broadcast(LenientModel):
    """Trigger an event on the Pusher-compatible server (``VendorConfig.broadcaster``). Like events
    that wait at the same time are sent once, so ``id`` may be left out."""

    kind: Literal[EffectKind.BROADCAST] = EffectKind.BROADCAST
    id: str | None = None
    channels: list[str] = Field(min_length=1, max_length=100)
    event: str
    data: Any = None
    socket_id: str | None = None


class FetchMedia(LenientModel):
    """Fetch the media of a message into the folder that both sides share, and report it
    (:class:`MediaReport`). ``media_id``, ``mime_type``, ``sha256`` and ``filename`` are as the
    webhook has them; ``type`` is the message's (image, video, audio, document, sticker), which
    decides how large the file may be. ``wamid`` names the message to PHP."""

    kind: Literal[EffectKind.FETCH_MEDIA] = EffectKind.FETCH_MEDIA
    id: str
    media_id: str
    wamid: str
    type: str | None = None
    mime_type: str | None = None
    sha256: str | None = None
    filename: str | None = None


Effect = SendMessage | AiReply | Forward | Broadcast | FetchMedia

_MODELS: dict[str, TypeAdapter[Any]] = {
    model.model_fields["kind"].default: TypeAdapter(model) for model in get_args(Effect)
}


def parse_effect(value: Any) -> Effect:
    """Return an effect as PHP has named it. Raises ``ValueError`` (also as pydantic's
    ``ValidationError``), which says what is wrong with it."""
    if what := _unreadable(value):
        raise ValueError(what)
    kind = value.get("kind") if isinstance(value, dict) else None
    model = _MODELS.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise ValueError(f"there is no effect of kind {kind!r}")
    effect: Effect = model.validate_python(value)
    return effect


def read(model: type[Model], content: bytes) -> Model:
    """Return JSON that names effects as a model, or raise pydantic's ``ValidationError``. An effect
    that no parser takes spoils nothing but itself: :func:`parse_effect` says why."""
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        if error.errors(include_url=False)[0]["type"] != "json_invalid":
            raise
        try:
            mended = _without_unreadable(content)
        except (ValueError, RecursionError):
            raise error from None
        return model.model_validate_json(mended)


def _without_unreadable(content: bytes) -> bytes:
    value = json.loads(content.decode())
    results = value.get("results") if isinstance(value, dict) else None
    for holder in [value, *(results if isinstance(results, list) else [])]:
        if isinstance(holder, dict) and isinstance(effects := holder.get("effects"), list):
            holder["effects"] = [_marked(effect) for effect in effects]
    return json.dumps(value).encode()


def _marked(effect: Any) -> Any:
    what = flaw(effect)
    if what is None:
        return effect
    kind = effect.get("kind") if isinstance(effect, dict) else None
    known = kind if isinstance(kind, str) and kind in _MODELS else None
    return {"kind": known, UNREADABLE: what}


def _unreadable(value: Any) -> str | None:
    marked = value.get(UNREADABLE) if isinstance(value, dict) else None
    return marked if isinstance(marked, str) else flaw(value)


class AiOutcome(StrEnum):
    """- ``answered``: ``text`` is the answer;
    - ``failed``: there is none, and ``error`` says why;
    - ``superseded``: a newer question of the same conversation came first, or it had expired.
    """

    ANSWERED = "answered"
    FAILED = "failed"
    SUPERSEDED = "superseded"


class AiAnswer(StrictModel):
    """What came of an :class:`AiReply`, named by its ``id``. ``usage`` as the provider tells it."""

    id: str
    vendor_uid: str
    outcome: AiOutcome
    text: str | None = None
    error: str | None = None
    usage: dict[str, Any] | None = None
    at: int = Field(description="Unix ms.")


class AiAnswersRequest(StrictModel):
    """Bring answers. PHP drops one that a newer message of the contact's or a person's reply has
    made stale (``ignored``, ``stale``), and one that comes later than Meta lets the message be
    answered (``window_closed``); for the others it names the messages to send, the vendor's
    failure message for ``failed`` among them, as ``effects`` of the result: several in order where
    a text is longer than a message may be (4,096 characters). A contact who wants no AI any more
    makes an answer stale too. Idempotent by id: what was decided about an answer holds, and the
    same answer brings the same effects, as long as they are not sent."""

    answers: list[AiAnswer] = Field(min_length=1, max_length=100)


class MediaState(StrEnum):
    """- ``stored``: the file is in the folder, whole and on disk;
    - ``failed``: it is not, and ``reason`` says why. It may be stored later all the same, where an
      operator replays the dead letter.
    """

    STORED = "stored"
    FAILED = "failed"


class MediaReport(StrictModel):
    """What came of a :class:`FetchMedia`, named by its ``id``. ``path`` is relative to the folder.
    ``mime_type`` is as the Cloud API names it, ``sha256`` is hex. A ``reason`` begins with a word
    for programs: too_large, media_unknown, sha256_wrong, ..."""

    id: str
    vendor_uid: str
    media_id: str
    wamid: str
    state: MediaState
    path: str | None = None
    bytes: int | None = None
    mime_type: str | None = None
    sha256: str | None = None
    reason: str | None = None
    at: int = Field(description="Unix ms.")


class MediaRequest(StrictModel):
    """Report media. PHP keeps each with its message, as ``__data.media`` of the log row;
    ``ignored`` where it has no such message. Idempotent by id: the same report changes nothing,
    and ``stored`` is never taken back by ``failed``."""

    media: list[MediaReport] = Field(min_length=1, max_length=100)


class AiProviderKind(StrEnum):
    """``openai``: any API that speaks OpenAI's chat completions, below ``url``. ``flowise``: a
    Flowise prediction, whose whole URL is ``url``."""

    OPENAI = "openai"
    FLOWISE = "flowise"


class AiProvider(LenientModel):
    """``api_key`` is a secret: kept in memory only, never logged."""

    name: str
    kind: AiProviderKind | str = AiProviderKind.OPENAI
    url: str
    api_key: str | None = Field(default=None, repr=False)
    model: str | None = None


class ForwardTarget(LenientModel):
    """A vendor's own webhook URL. With a ``secret`` each post carries ``X-Hub-Signature-256``, as
    Meta's do."""

    url: str
    secret: str | None = Field(default=None, repr=False)


class Broadcaster(LenientModel):
    """A server that speaks Pusher's HTTP API; ``url`` is its root (``https://api-eu.pusher.com``)."""

    url: str
    app_id: str
    key: str
    secret: str = Field(repr=False)


class EffectsRequest(StrictModel):
    """Body of ``POST /internal/effects`` on the sidecar: effects that belong to no update."""

    vendor_uid: str
    effects: list[dict[str, Any]] = Field(min_length=1, max_length=1000)


class EffectsAnswer(StrictModel):
    """``taken``: on disk now. ``known``: ids that were taken before. ``left_out``: forwards or
    broadcasts of a vendor of whom too many wait already. ``forgotten``: messages that may have been
    taken, and sent, before Redis was wiped; PHP is told that their outcome is unknown."""

    taken: int
    known: int
    left_out: int = 0
    forgotten: int = 0
