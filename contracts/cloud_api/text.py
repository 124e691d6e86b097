"""The text of a message: what bots are compared with, and what a person reads in the log.

Field names as in the webhooks reference of the Cloud API (messages, by type). Held together with
PHP's ``Engine/MessageText.php`` by ``contracts/vectors/answering.json``.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from contracts.cloud_api.answering import unanswered

_Path = tuple[str, ...]

#: Where a customer's own words stand, by the message's type. Other types have none.
_SAID: dict[str, tuple[_Path, ...]] = {
    "text": (("body",),),
    "button": (("text",),),
    "interactive": (("button_reply", "title"), ("list_reply", "title")),
    "image": (("caption",),),
    "video": (("caption",),),
    "document": (("caption",),),
    "order": (("text",),),
}

#: Where further text stands that a person reads.
_SHOWN: dict[str, tuple[_Path, ...]] = {
    **_SAID,
    "interactive": (
        *_SAID["interactive"],
        ("nfm_reply", "body"),
        ("call_permission_reply", "response"),
        ("body", "text"),
    ),
    "reaction": (("emoji",),),
    "system": (("body",),),
}


def message_text(message: Mapping[str, Any]) -> str | None:
    """Return the words of an element of ``messages``: what the customer has written, or the title
    of the button that was pressed, or the caption; "" where a message has none. None where no bot
    may answer (:func:`contracts.cloud_api.answering.unanswered`)."""
    return None if unanswered(message) else said_text(message)


def said_text(message: Mapping[str, Any]) -> str:
    """Return the same, whoever may answer."""
    return _first(message, _SAID) or ""


def readable_text(message: Mapping[str, Any]) -> str | None:
    """Return what a person reads in a message, in the log; None where there is nothing to read: a
    picture without a caption, say. Also of a message that is to be sent."""
    text = _first(message, _SHOWN)
    if text is None:
        make = _MADE.get(_type(message))
        text = None if make is None else make(message.get(_type(message)))
    return text or None


def _type(message: Mapping[str, Any]) -> str:
    kind = message.get("type")
    return kind if isinstance(kind, str) else ""


def _first(message: Mapping[str, Any], paths: Mapping[str, tuple[_Path, ...]]) -> str | None:
    kind = _type(message)
    for path in paths.get(kind, ()):
        value: Any = message.get(kind)
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if isinstance(value, str) and value:
            return value
    return None


def _location(place: Any) -> str | None:
    """Return name and address, or else the coordinates."""
    if not isinstance(place, Mapping):
        return None
    named = _joined(place.get(name) for name in ("name", "address"))
    latitude, longitude = _degrees(place.get("latitude")), _degrees(place.get("longitude"))
    return named or (f"{latitude}, {longitude}" if latitude and longitude else None)


def _degrees(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -180 <= value <= 180:
        return None
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _contacts(cards: Any) -> str | None:
    """Return the names on contact cards."""
    names = (
        card["name"].get("formatted_name")
        for card in (cards if isinstance(cards, list) else [])
        if isinstance(card, Mapping) and isinstance(card.get("name"), Mapping)
    )
    return _joined(names)


def _order(order: Any) -> str | None:
    """Return how many there are of which product."""
    items = order.get("product_items") if isinstance(order, Mapping) else None
    return _joined(
        f"{item['quantity']} x {item['product_retailer_id']}"
        for item in (items if isinstance(items, list) else [])
        if isinstance(item, Mapping)
        and isinstance(item.get("product_retailer_id"), str)
        and isinstance(item.get("quantity"), str | int)
        and not isinstance(item.get("quantity"), bool)
    )


def _joined(texts: Iterable[Any]) -> str | None:
    return ", ".join(text for text in texts if isinstance(text, str) and text) or None


_MADE: dict[str, Callable[[Any], str | None]] = {
    "location": _location,
    "contacts": _contacts,
    "order": _order,
}
