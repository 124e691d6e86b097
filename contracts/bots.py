"""Bots: what PHP tells of them, and what the sidecar says of a message.

PHP answers a customer's message by every active bot whose trigger matches, in order of priority.
The sidecar finds them (in :class:`MatchedBots`), and PHP decides what comes of each.
"""

from enum import StrEnum

from pydantic import Field

from contracts.lenient import LenientModel, StrictModel


class TriggerType(StrEnum):
    """``bot_replies.trigger_type``. ``reply_trigger`` holds triggers, separated by commas.

    - ``welcome``: the contact's first message in 24 hours, whatever its text is; has no trigger;
    - ``is``: the whole text, ``*`` standing for anything; so also of the four that switch
      something: ``start_promotional``, ``stop_promotional``, ``start_ai_bot``, ``stop_ai_bot``;
    - ``starts_with``, ``ends_with``, ``contains``: by bytes;
    - ``contains_word``: between Unicode word boundaries.
    """

    WELCOME = "welcome"
    IS = "is"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    CONTAINS_WORD = "contains_word"
    CONTAINS = "contains"
    START_PROMOTIONAL = "start_promotional"
    STOP_PROMOTIONAL = "stop_promotional"
    START_AI_BOT = "start_ai_bot"
    STOP_AI_BOT = "stop_ai_bot"


class Bot(LenientModel):
    """A row of ``bot_replies``. ``trigger_type`` is one of :class:`TriggerType`; a bot with another
    one never matches. ``active``: the bot is, and so is the flow that it belongs to, if any."""

    bot_uid: str
    trigger_type: str
    reply_trigger: str | None = None
    active: bool = True


class BotHours(LenientModel):
    """When bots answer: from ``start`` to ``end`` (``HH:MM``, the end excluded; over midnight where
    the end is not later than the start), every day, in an IANA time zone. Outside of these hours
    bots of ``trigger_types`` (None: of all types) do not answer."""

    start: str
    end: str
    timezone: str = "UTC"
    trigger_types: list[str] | None = None


class MatchingRules(LenientModel):
    """How this PHP matches, where versions of Laravel and PCRE differ. PHP finds out by trying.

    ``wildcard_spans_lines``: the ``*`` of ``Str::is`` also stands for line breaks.
    ``marks_are_letters``: a combining mark is part of a word (PCRE2 10.43 and newer).
    ``numbers_by_value``: ``Str::is`` takes numbers of one value as equal, as in ``1`` and ``1.0``
    (before Laravel 9).
    """

    wildcard_spans_lines: bool = False
    marks_are_letters: bool = False
    numbers_by_value: bool = False


class VendorBots(LenientModel):
    """All bots of a vendor in the order in which they are tried (``priority_index``, then
    ``_id``)."""

    vendor_uid: str
    vendor_id: int | None = Field(default=None, description="`vendors._id`.")
    bots: list[Bot]
    hours: BotHours | None = None
    rules: MatchingRules = MatchingRules()


class BotsRequest(StrictModel):
    """Which vendors' bots to return, by ``_uid`` or by ``_id``."""

    vendor_uids: list[str] = Field(default=[], max_length=1000)
    vendor_ids: list[int] = Field(default=[], max_length=1000)


class BotsAnswer(LenientModel):
    """Vendors that do not exist are left out."""

    vendors: list[VendorBots]


class BotMatch(LenientModel):
    """A bot that matches, and its first trigger that does, as it is compared: lowered and trimmed
    (None of a welcome bot)."""

    bot_uid: str
    trigger_type: str
    trigger: str | None = None


class MatchedBots(LenientModel):
    """The bots that match a message, in the order in which they answer.

    Attached to a customer's message (``Update.bots``), where the sidecar does not know the contact:
    welcome bots are always among them there, and PHP leaves them out where it is not the contact's
    first message in 24 hours (by when PHP stored the others), and all of them where the contact has
    disabled replies and the message is no quick reply. Where none is left, an AI may be asked.
    """

    matches: list[BotMatch]
