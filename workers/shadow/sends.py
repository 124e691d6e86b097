"""What the sidecar would have sent for a row of a campaign, compared with what PHP's cron has sent.

The request is made by the code that sends (:mod:`sidecar.sending.requests`). What is found names
values that differ, and holds no text of a message and no phone number: of these a length and a
digest.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

from contracts.backend import QueueStatus, VendorConfig
from contracts.preview import PreviewedMessage, SentByPhp
from sidecar.sending.recipients import name_of
from sidecar.sending.requests import Unsendable, number_of, request_of, template_of
from sidecar.shadow.rules import Class, Kind, Rule
from workers.shadow.comparison import Finding, Payload

#: Values of components that are no text of a message.
_STRUCTURE = frozenset({"type", "sub_type", "index"})
#: Most values of one row that are named.
MAX_VALUES = 10

_OF_CONTACT = ("contact_opted_out_error", "contact_blocked_error", "contact_deleted_error")
#: A row ends so without a call, whoever ends it.
_SKIPPED = (*_OF_CONTACT, "campaign_expired_error", "campaign_data_invalid_error")

Values = dict[str, str]


def compare_send(
    message: PreviewedMessage, config: VendorConfig, *, suppressed: bool = False
) -> Finding:
    """``message`` is a row that PHP's cron has ended. ``suppressed``: an earlier message to its
    recipient was refused."""
    ours = None if message.skipped or suppressed else _ours(message, config)
    sidecar: Payload = None if ours is None else {"campaign": message.campaign_uid}
    sends = message.status == QueueStatus.AWAITING_STATUS
    php: Payload = {"campaign": message.campaign_uid} if sends else None

    def found(class_: Class, rule: Rule | None = None) -> Finding:
        return Finding(Kind.CAMPAIGN, class_, sidecar, php, rule)

    if not sends and ours is None:
        return found(Class.EQUAL)
    if message.status == QueueStatus.EXPIRED or (not sends and message.error_status in _SKIPPED):
        return found(Class.EXTRA)
    if ours is None:
        rule = Rule.CONTACT_GETS_NOTHING if message.skipped in _OF_CONTACT else None
        rule = rule or (Rule.RECIPIENT_SUPPRESSED if suppressed and not message.skipped else None)
        return found(Class.EXPLAINED if rule else Class.MISSING, rule)
    if message.sent is None:
        return found(Class.EXPLAINED, Rule.PHP_KEEPS_NO_REQUEST)
    theirs = _theirs(message.sent)
    differing = _differing(ours, theirs, whole=message.sent.components is not None)
    if differing:
        sidecar = {"campaign": message.campaign_uid} | _told(ours, differing)
        php = {"campaign": message.campaign_uid} | _told(theirs, differing)
        return found(Class.DIFFERENT)
    if message.sent.components is None:
        return found(Class.EXPLAINED, Rule.PHP_KEEPS_NO_REQUEST)
    return found(Class.EQUAL)


def _ours(message: PreviewedMessage, config: VendorConfig) -> Values | None:
    """Return the values of the request that would be made; None if none can be."""
    row = message.row
    try:
        template = request_of(row, template_of(row))["template"]
    except Unsendable:
        return None
    return {
        "number": number_of(row, config),
        "to": name_of(row.to or row.recipient or ""),
        "template": template["name"],
        "language": template["language"]["code"],
        **dict(_flat("components", template["components"])),
    }


def _theirs(sent: SentByPhp) -> Values:
    """Return what is known of the request that PHP's cron has made."""
    known = {
        "number": sent.phone_number_id,
        "to": name_of(sent.to) if sent.to else None,
        "template": sent.template_name,
        "language": sent.template_language,
    }
    components = () if sent.components is None else _flat("components", sent.components)
    return {name: value for name, value in known.items() if value is not None} | dict(components)


def _differing(ours: Values, theirs: Values, *, whole: bool) -> list[str]:
    """Return the names of values that differ. ``whole``: PHP knows all components; of what else it
    does not know nothing is said."""
    names = dict.fromkeys([*ours, *theirs])
    return [
        name
        for name in names
        if ours.get(name) != theirs.get(name)
        and (name in theirs or (whole and name.startswith("components")))
    ][:MAX_VALUES]


def _told(values: Values, names: list[str]) -> Values:
    """Return these values as they may be kept."""
    return {name: _kept(name, values[name]) for name in names if name in values}


def _kept(name: str, value: str) -> str:
    last = name.rpartition(".")[2]
    if not name.startswith("components") and name != "to":
        return value
    if last in _STRUCTURE:
        return value[:50]
    digest = hashlib.blake2b(value.encode(errors="surrogatepass"), digest_size=4).hexdigest()
    return f"{len(value)} characters ({digest})"


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the values in a JSON value by their paths. PHP has an empty object as an empty list,
    and Meta takes a number for its text."""
    if isinstance(value, dict) and value:
        for key, one in value.items():
            yield from _flat(f"{name}.{key}", one)
    elif isinstance(value, list) and value:
        for position, one in enumerate(value):
            yield from _flat(f"{name}.{position}", one)
    elif isinstance(value, dict | list):
        yield name, "empty"
    else:
        yield name, str(value)
