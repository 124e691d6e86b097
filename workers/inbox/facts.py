"""What coalesced statuses say, each by itself: a name for it, and its own webhook."""

from typing import Any

import msgspec
from msgspec import Raw

#: What comes before and after a status in its webhook.
Around = tuple[bytes, bytes]


class _Status(msgspec.Struct):
    id: Raw = Raw(b"")
    status: Raw = Raw(b"")
    timestamp: Raw = Raw(b"")
    recipient_id: Raw = Raw(b"")
    recipient_user_id: Raw = Raw(b"")
    recipient_parent_user_id: Raw = Raw(b"")
    recipient_participant_id: Raw = Raw(b"")
    recipient_participant_user_id: Raw = Raw(b"")
    recipient_participant_parent_user_id: Raw = Raw(b"")


_status = msgspec.json.Decoder(_Status)


def fact_of(element: bytes) -> str:
    """Return what a status says: of which message, what, when, and of whom."""
    one = _status.decode(element)
    return b"\0".join(bytes(getattr(one, name)) for name in _Status.__struct_fields__).decode()


def dump_around(lower: list[Around]) -> dict[str, Any]:
    """Return what came before and after statuses; each text once, however many they are."""
    places = {one: place for place, one in enumerate(dict.fromkeys(lower))}
    return {
        "around": [[before.decode(), after.decode()] for before, after in places],
        "lower_around": [places[one] for one in lower],
    }


def load_around(
    around: list[tuple[str, str]], places: list[int], own: Raw, number: int
) -> list[Around]:
    """Return what :func:`dump_around` was given. An earlier version has kept so many statuses
    alone: what is around the ``own`` one stands in for it then."""
    if number and not around:
        return [_around(own)] * number
    texts = [(before.encode(), after.encode()) for before, after in around]
    return [texts[place] for place in places]


_END = b"]}}]}]}"


def _around(envelope: Raw) -> Around:
    """Return what comes before and after other statuses of a status's message in a webhook; its
    contacts are left out."""
    webhook = msgspec.json.decode(envelope, type=dict[str, Raw])
    account = msgspec.json.decode(webhook.pop("entry"), type=list[dict[str, Raw]])[0]
    change = msgspec.json.decode(account.pop("changes"), type=list[dict[str, Raw]])[0]
    value = msgspec.json.decode(change.pop("value"), type=dict[str, Raw])
    for name in ("contacts", "statuses"):
        value.pop(name, None)
    empty: dict[str, Any] = {**change, "value": {**value, "statuses": []}}
    whole = msgspec.json.encode({**webhook, "entry": [{**account, "changes": [empty]}]})
    return whole.removesuffix(_END), _END
