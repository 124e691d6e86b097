"""What the sidecar would make of one message, kept until it is compared with what PHP has made."""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

import orjson

from contracts.backend import UpdateKind, VendorConfig
from contracts.bots import TriggerType
from contracts.cloud_api.answering import is_correction, is_own_number
from contracts.cloud_api.people import Person, identifier, person
from contracts.cloud_api.text import message_text
from sidecar.bots.matcher import Matcher
from sidecar.shadow.rules import Kind, Rule
from workers.inbox.update import Update

#: How many of a message's last statuses are remembered.
MAX_STATUSES = 20


@dataclass(slots=True)
class ReceivedStatus:
    """A status that came. ``first``: PHP's routine looked at it. ``early``: the message was not in
    PHP's log yet. ``code`` is that of its first error."""

    name: str
    first: bool
    early: bool = False
    code: int | None = None


@dataclass(slots=True)
class PlannedMessage:
    """One message, by its wamid. Times are unix ms.

    ``open`` are the kinds that are still to be compared; none of them is when all are. ``since``,
    ``until``: from when and until when PHP is asked. ``looked``: PHP was asked once, right when a
    status came. ``incoming`` is None where only statuses came. ``refused``: why neither side keeps
    the message, or the sidecar does not. ``bots`` are pairs of uid and trigger type, None where
    none are compared. ``text`` is the length of the message's text and a digest of it. ``statuses``
    are those that came, in order, and ``highest`` is the highest of them.
    """

    wamid: str
    since: int = 0
    until: int = 0
    open: list[Kind] = field(default_factory=list)
    looked: bool = False
    incoming: bool | None = None
    first: bool = True
    refused: Rule | None = None
    bots: list[tuple[str, str]] | None = None
    quick_reply: bool = False
    text: tuple[int, str] | None = None
    statuses: list[ReceivedStatus] = field(default_factory=list)
    highest: str | None = None

    def dump(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def load(cls, data: bytes) -> "PlannedMessage":
        """Read what :meth:`dump` wrote, also in another version."""
        values = orjson.loads(data)
        names = {one.name for one in fields(cls)}
        planned = cls(**{name: value for name, value in values.items() if name in names})
        planned.open = [Kind(kind) for kind in planned.open]
        planned.refused = planned.refused and Rule(planned.refused)
        planned.statuses = [ReceivedStatus(**status) for status in values["statuses"]]
        planned.bots = planned.bots and [(uid, type_) for uid, type_ in planned.bots]
        planned.text = planned.text and (planned.text[0], planned.text[1])
        return planned

    def reopen(self, kinds: Iterable[Kind], now: int, patience_ms: int) -> None:
        """Have these kinds compared, from now on."""
        self.open = list(dict.fromkeys([*self.open, *kinds]))
        self.since, self.until = now, now + patience_ms


def plan_message(
    planned: PlannedMessage,
    update: Update,
    first: bool,
    config: VendorConfig,
    matcher: Matcher | None,
) -> list[Kind]:
    """Add a customer's message or an echo; return the kinds to compare, none if it has come before.
    Without a matcher no bots are compared."""
    if planned.incoming is not None:
        return []
    planned.incoming = update.kind is UpdateKind.MESSAGE
    value, message = _content(update, "messages" if planned.incoming else "message_echoes")
    planned.first = first
    planned.refused = _refusal(value, message, config, incoming=planned.incoming)
    text = message_text(message) if planned.incoming and not planned.refused else None
    if text is None or matcher is None:
        return [Kind.LOG_ROW]
    encoded = text.encode(errors="surrogatepass")
    planned.text = len(text), hashlib.blake2b(encoded, digest_size=8).hexdigest()
    planned.quick_reply = is_quick_reply(message)
    planned.bots = [(m.bot_uid, m.trigger_type) for m in matcher.match(text, _at(update))]
    return [Kind.LOG_ROW, Kind.BOTS]


def plan_status(planned: PlannedMessage, update: Update, first: bool) -> list[Kind]:
    """Add a status; return the kinds to compare, none if it says nothing new."""
    assert update.status is not None
    last = planned.statuses[-1].name if planned.statuses else None
    if last == update.status == planned.highest:
        return []
    _, status = _content(update, "statuses")
    observation = ReceivedStatus(update.status, first, code=_code(status))
    planned.statuses = [*planned.statuses, observation][-MAX_STATUSES:]
    return [Kind.STATUS, Kind.QUEUE_ROW]


def is_quick_reply(message: dict[str, Any]) -> bool:
    """Return whether a message answers a button, of a template or of an interactive message."""
    interactive = message.get("interactive")
    pressed = isinstance(interactive, dict) and interactive.get("button_reply") is not None
    return pressed or message.get("button") is not None


def _content(update: Update, list_name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the value of the update's change, and the one element of its list."""
    assert update.payload is not None
    value: dict[str, Any] = update.payload["entry"][0]["changes"][0]["value"]
    return value, value[list_name][0]


def _at(update: Update) -> datetime:
    return datetime.fromtimestamp(update.received_at / 1000, UTC)


def _refusal(
    value: dict[str, Any], message: dict[str, Any], config: VendorConfig, *, incoming: bool
) -> Rule | None:
    """Return why PHP keeps no such message, whoever brings it, or why the sidecar does not."""
    if not config.active:
        return Rule.VENDOR_INACTIVE
    if incoming and message.get("type") == "request_welcome":
        return Rule.REQUEST_WELCOME
    metadata = value.get("metadata")
    number = identifier(metadata.get("phone_number_id")) if isinstance(metadata, dict) else None
    known = {one.phone_number_id for one in config.phone_numbers}
    if number not in {*known, config.current_phone_number_id} - {None}:
        return Rule.PHONE_NUMBER_UNKNOWN
    side = "from" if incoming else "to"
    [contact] = value.get("contacts") or [{}]  # its own, if it has one
    user_ids = message.get(f"{side}_user_id"), contact.get("user_id")
    whom = person(message.get(side), contact.get("wa_id"), user_ids=user_ids)
    if is_own_number(whom, value):
        return Rule.OWN_NUMBER
    if is_correction(message):
        return Rule.CORRECTION
    return Rule.CONTACT_WITHOUT_ID if whom == Person() else None


def _code(status: dict[str, Any]) -> int | None:
    """Return the code of a status's first error."""
    errors = status.get("errors")
    error = errors[0] if isinstance(errors, list) and errors else None
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) <= 9:
        return int(code)
    is_code = isinstance(code, int) and not isinstance(code, bool) and 0 <= code < 10**9
    return code if is_code else None


def is_welcome(bot: tuple[str, str]) -> bool:
    return bot[1] == TriggerType.WELCOME
