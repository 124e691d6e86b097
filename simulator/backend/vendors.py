"""Vendors and their settings."""

import uuid
from collections.abc import Mapping
from functools import cached_property
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from contracts.backend import ErrorCode
from contracts.bots import BotHours
from contracts.effects import AiProvider, Broadcaster, ForwardTarget
from contracts.modes import Modes
from simulator.backend.database import Database
from simulator.backend.jsontext import dump
from simulator.backend.refusal import Refused
from simulator.backend.stored_modes import MODES, MODES_HISTORY, read_modes

#: Names in ``vendor_settings``. The first two are the application's own.
CURRENT_PHONE_NUMBER_ID = "current_phone_number_id"
REQUEUE_HEALTHY_ERROR = "enable_requeue_healthy_error_msg"
ACCESS_TOKEN = "whatsapp_access_token"
BUSINESS_ACCOUNT_ID = "whatsapp_business_account_id"
PORTFOLIO_ID = "whatsapp_portfolio_id"
DAILY_RECIPIENTS = "whatsapp_daily_recipients"
#: How marketing templates are sent (:data:`contracts.backend.MarketingMessages`).
MARKETING_MESSAGES = "whatsapp_marketing_messages"
#: JSON: a list of {id, display_phone_number, messages_per_second, is_on_biz_app, verified}. Only
#: what Meta has told belongs in ``verified`` (:class:`contracts.backend.Verified`).
PHONE_NUMBERS = "whatsapp_phone_numbers"
#: JSON: a list of texts.
APP_SECRETS = "whatsapp_app_secrets"
WEBHOOK_VERIFIED_AT = "webhook_verified_at"
DISCONNECTED_AT = "whatsapp_account_disconnected_at"
#: JSON: when bots answer (:class:`contracts.bots.BotHours`).
BOT_HOURS = "bot_hours"
#: JSON: a list of :class:`contracts.effects.AiProvider`.
AI_PROVIDERS = "ai_providers"
#: The provider that the AI bot asks, by its name; there is no AI bot without one.
AI_BOT_PROVIDER = "ai_bot_provider"
#: What the AI bot is told first.
AI_BOT_INSTRUCTIONS = "ai_bot_instructions"
#: What the customer reads where the AI bot has failed; nothing, if there is none.
AI_BOT_FAILURE_MESSAGE = "ai_bot_failure_message"
#: The vendor's own webhook, and what its posts are signed with.
FORWARD_URL = "webhook_forward_url"
FORWARD_SECRET = "webhook_forward_secret"
#: The fields of Meta's that are forwarded: JSON, a list, or separated by commas. Not set: all.
FORWARD_FIELDS = "webhook_forward_fields"
#: JSON: :class:`contracts.effects.Broadcaster`.
BROADCASTER = "broadcaster"

_ACTIVE = 1
_TRUE = frozenset({"1", "true", "on", "yes"})


def _json_list(text: str | None) -> list[Any]:
    value = _json(text)
    return value if isinstance(value, list) else []


def _json(text: str | None) -> Any:
    """Return the value of a setting that is JSON; None if it is none."""
    try:
        return orjson.loads(text or "null")
    except orjson.JSONDecodeError:
        return None


def _names(text: str | None) -> list[Any] | None:
    """Return the names in a setting that is a JSON list, or separated by commas; None if it is not
    set."""
    if not text:
        return None
    if text.lstrip().startswith("["):
        return _json_list(text)
    return [name.strip() for name in text.split(",")]


Model = TypeVar("Model", bound=BaseModel)


def _model(model: type[Model], value: Any) -> Model | None:
    """Return it as the model; None if it does not fit, as if it were not set."""
    try:
        return model.model_validate(value)
    except ValidationError:
        return None


class Vendor:
    """A vendor as it stood when the call began."""

    def __init__(self, id_: int, uid: str, status: int | None, settings: Mapping[str, str]) -> None:
        self.id = id_
        self.uid = uid
        self.active = status == _ACTIVE
        self.settings = settings

    @cached_property
    def phone_numbers(self) -> list[dict[str, Any]]:
        """Every number, the current one included, with its ``id`` as text."""
        numbers = [
            {**number, "id": str(number["id"])}
            for number in _json_list(self.settings.get(PHONE_NUMBERS))
            if isinstance(number, dict) and number.get("id")
        ]
        current = self.settings.get(CURRENT_PHONE_NUMBER_ID)
        if current and all(number["id"] != current for number in numbers):
            numbers.append({"id": current})
        return numbers

    @cached_property
    def phone_number_ids(self) -> frozenset[str]:
        return frozenset(number["id"] for number in self.phone_numbers)

    @cached_property
    def app_secrets(self) -> list[str]:
        secrets = _json_list(self.settings.get(APP_SECRETS))
        return [secret for secret in secrets if isinstance(secret, str) and secret]

    @property
    def marketing_messages(self) -> str:
        word = (self.settings.get(MARKETING_MESSAGES) or "").strip().lower()
        return word if word in ("fallback", "strict") else "off"

    @property
    def requeues_healthy_error(self) -> bool:
        return self._is_on(REQUEUE_HEALTHY_ERROR)

    @cached_property
    def modes(self) -> Modes:
        return read_modes(self.settings.get(MODES))[0]

    @cached_property
    def bot_hours(self) -> BotHours | None:
        return _model(BotHours, _json(self.settings.get(BOT_HOURS)))

    @cached_property
    def ai_providers(self) -> list[AiProvider]:
        values = _json_list(self.settings.get(AI_PROVIDERS))
        providers = (_model(AiProvider, value) for value in values)
        return [provider for provider in providers if provider is not None]

    @cached_property
    def ai_bot(self) -> AiProvider | None:
        """The provider that the AI bot asks."""
        name = self.settings.get(AI_BOT_PROVIDER)
        return next((one for one in self.ai_providers if one.name == name), None)

    @cached_property
    def forward(self) -> ForwardTarget | None:
        url = self.settings.get(FORWARD_URL)
        secret = self.settings.get(FORWARD_SECRET) or None
        return ForwardTarget(url=url, secret=secret) if url else None

    def forwards(self, field: str) -> bool:
        """Return whether the vendor's own webhook gets updates of this field ("" where none is
        named)."""
        fields = _names(self.settings.get(FORWARD_FIELDS))
        named = field or "messages"
        return self.forward is not None and (fields is None or named in fields)

    @cached_property
    def broadcaster(self) -> Broadcaster | None:
        return _model(Broadcaster, _json(self.settings.get(BROADCASTER)))

    def _is_on(self, name: str) -> bool:
        return str(self.settings.get(name) or "").lower() in _TRUE


class Vendors:
    """Vendors by uid, each read once."""

    def __init__(self, db: Database, now: str) -> None:
        self._db = db
        self._now = now
        self._known: dict[str, Vendor | None] = {}

    def find(self, uid: str) -> Vendor | None:
        if uid not in self._known:
            self.load([uid])
        return self._known[uid]

    def get(self, uid: str) -> Vendor:
        """Return the vendor, or refuse the call."""
        vendor = self.find(uid)
        if vendor is None:
            raise Refused(ErrorCode.VENDOR_UNKNOWN, f"there is no vendor {uid!r}")
        return vendor

    def load(self, uids: list[str]) -> list[Vendor]:
        """Read these vendors in two statements; return those that exist, in the order given."""
        rows = self._db.rows(
            "SELECT _id, _uid, status FROM vendors WHERE _uid IN (SELECT value FROM json_each(?))",
            (dump(uids),),
        )
        settings: dict[int, dict[str, str]] = {row["_id"]: {} for row in rows}
        for row in self._db.rows(
            "SELECT vendors__id, name, value FROM vendor_settings"
            " WHERE vendors__id IN (SELECT value FROM json_each(?)) AND name <> ? ORDER BY _id",
            (dump(list(settings)), MODES_HISTORY),
        ):
            settings[row["vendors__id"]][row["name"]] = row["value"]
        self._known.update(dict.fromkeys(uids))
        for row in rows:
            vendor = Vendor(row["_id"], row["_uid"], row["status"], settings[row["_id"]])
            self._known[vendor.uid] = vendor
        found = (self._known[uid] for uid in dict.fromkeys(uids))
        return [vendor for vendor in found if vendor is not None]

    def set(self, vendor: Vendor, name: str, value: str) -> None:
        """Write one setting."""
        changed = self._db.execute(
            "UPDATE vendor_settings SET value = ?, updated_at = ?"
            " WHERE vendors__id = ? AND name = ?",
            (value, self._now, vendor.id, name),
        ).rowcount
        if not changed:
            self._db.insert(
                "vendor_settings",
                {
                    "_uid": str(uuid.uuid4()),
                    "created_at": self._now,
                    "vendors__id": vendor.id,
                    "name": name,
                    "value": value,
                    "data_type": 1,
                },
            )
        del self._known[vendor.uid]
