"""The JSON of webhooks, written the way Meta does: non-ASCII as lower-case ``\\uXXXX``."""

import hashlib
import json
from enum import Enum
from json.encoder import encode_basestring_ascii

from contracts.cloud_api.errors import rule_for
from simulator.cloud_api.config import CloudApiConfig
from simulator.cloud_api.customer import Customer
from simulator.cloud_api.message import (
    DELIVERED,
    FAILED,
    READ,
    SENT,
    STATUS_NAMES,
    InboundUpdate,
    Message,
    StatusUpdate,
    Update,
)
from simulator.cloud_api.number import Number

_ERROR_PAGE = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"
_CONVERSATION_S = 24 * 3600

#: Category of what went by the Marketing Messages API, as JSON.
_LITE = '"marketing_lite"'

#: From this version on, statuses carry no conversation.
_NO_CONVERSATION_FROM = 24


class Layout(Enum):
    """How several updates stand in one POST."""

    ONE_CHANGE = "one_change"
    SEVERAL_CHANGES = "several_changes"
    SEVERAL_ENTRIES = "several_entries"


def to_json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


class EnvelopeWriter:
    """Writes the same bytes for the same updates whenever it is asked."""

    def __init__(self, config: CloudApiConfig) -> None:
        self._category = encode_basestring_ascii(config.pricing_category)
        self._pricing = _pricing(self._category)
        self._lite_pricing = _pricing(_LITE)
        self._with_conversation = config.webhook_version < _NO_CONVERSATION_FROM

    def write(self, updates: tuple[Update, ...], layout: Layout) -> bytes:
        if len(updates) == 1:
            number = updates[0].number
            entries = f'{{"id":{number.account_json},"changes":[{self._change(number, updates)}]}}'
        else:
            entries = ",".join(self._entries(updates, layout))
        return f'{{"object":"whatsapp_business_account","entry":[{entries}]}}'.encode("ascii")

    def _entries(self, updates: tuple[Update, ...], layout: Layout) -> list[str]:
        """An entry holds changes of one account, a change updates of one number and kind."""
        entries: list[tuple[str, list[str]]] = []
        for number, group in _groups(updates, split=layout is not Layout.ONE_CHANGE):
            change = self._change(number, group)
            is_same = entries and entries[-1][0] == number.account_json
            if is_same and layout is not Layout.SEVERAL_ENTRIES:
                entries[-1][1].append(change)
            else:
                entries.append((number.account_json, [change]))
        return [f'{{"id":{account},"changes":[{",".join(all_)}]}}' for account, all_ in entries]

    def _change(self, number: Number, updates: tuple[Update, ...]) -> str:
        statuses = [self._status(one) for one in updates if isinstance(one, StatusUpdate)]
        if statuses:
            content = f'{_contacts(updates)}"statuses":[{",".join(statuses)}]'
        else:
            messages = [one for one in updates if isinstance(one, InboundUpdate)]
            contacts = dict.fromkeys(one.contact for one in messages if one.contact is not None)
            bodies = ",".join(one.body for one in messages)
            known = f'"contacts":[{",".join(contacts)}],' if contacts else ""
            content = f'{known}"messages":[{bodies}]'
        return (
            f'{{"value":{{"messaging_product":"whatsapp","metadata":{number.metadata},'
            f'{content}}},"field":"messages"}}'
        )

    def _status(self, update: StatusUpdate) -> str:
        message = update.message
        kind = update.kind
        more = ""
        if message.callback_data is not None:
            quoted = encode_basestring_ascii(message.callback_data)
            more = f',"biz_opaque_callback_data":{quoted}'
        if kind == FAILED:
            more += f',"errors":[{_error(message.failed_code or 0)}]'
        elif kind == SENT or kind == _first_proof(message):
            if self._with_conversation:
                more += self._conversation(update)
            more += self._lite_pricing if message.lite else self._pricing
        return (
            f'{{"id":"{message.wamid}","status":"{STATUS_NAMES[kind]}",'
            f'"timestamp":"{update.timestamp}"{_recipient(message)}{more}}}'
        )

    def _conversation(self, update: StatusUpdate) -> str:
        message = update.message
        pair = f"{message.number.phone_number_id}:{message.address}".encode()
        expires = ""
        if update.kind == SENT:
            expires = f',"expiration_timestamp":"{update.timestamp + _CONVERSATION_S}"'
        return (
            f',"conversation":{{"id":"{hashlib.sha256(pair).hexdigest()[:32]}"{expires},'
            f'"origin":{{"type":{_LITE if message.lite else self._category}}}}}'
        )


def _pricing(category: str) -> str:
    return (
        ',"pricing":{"billable":true,"pricing_model":"PMP",'
        f'"category":{category},"type":"regular"}}'
    )


def _recipient(message: Message) -> str:
    found = "" if message.wa_id is None else f',"recipient_id":"{message.wa_id}"'
    if message.user_id is not None:
        found += f',"recipient_user_id":"{message.user_id}"'
    return found


def _contacts(updates: tuple[Update, ...]) -> str:
    """Statuses come with contacts since there are user ids, but for those that failed."""
    contacts = dict.fromkeys(
        to_json(Customer(one.message.wa_id, one.message.user_id).contact())
        for one in updates
        if isinstance(one, StatusUpdate) and one.message.user_id and one.kind != FAILED
    )
    return f'"contacts":[{",".join(contacts)}],' if contacts else ""


def _first_proof(message: Message) -> int:
    """Pricing comes with ``sent`` and with one of delivered and read: the first of them."""
    return DELIVERED if DELIVERED in message.plan else READ


def _error(code: int) -> str:
    title = rule_for(code, 400).meaning.capitalize()
    error = {
        "code": code,
        "title": title,
        "message": title,
        "error_data": {"details": f"{title}."},
        "href": _ERROR_PAGE,
    }
    return to_json(error)


def _groups(updates: tuple[Update, ...], *, split: bool) -> list[tuple[Number, tuple[Update, ...]]]:
    if split:
        return [(one.number, (one,)) for one in updates]
    groups: dict[tuple[str, bool], list[Update]] = {}
    for one in updates:
        key = (one.number.phone_number_id, isinstance(one, StatusUpdate))
        groups.setdefault(key, []).append(one)
    return [(group[0].number, tuple(group)) for group in groups.values()]
