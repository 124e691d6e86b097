"""What customers write: the part of a message that is named after its type.

Shapes are those of the messages reference. ``context`` is what the message answers, if anything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from simulator.cloud_api.customer import NAMES, Customer

_TEXTS = (
    "Hi, is this still available?",
    "yes please",
    "How much is the delivery?",
    "STOP",
    "Thank you! 🙏",
    "Grüß Gott, wann öffnen Sie morgen?",
    "¿Puedo cambiar la dirección de envío?",
    "Merci, c'est noté. À bientôt !",
    "धन्यवाद, कल मिलते हैं 🙂",
    "شكرا جزيلا",
)


@dataclass(frozen=True, slots=True)
class Answered:
    """The message that a customer's message answers: its wamid, and the number it came from."""

    wamid: str
    from_: str


Content = dict[str, Any]


def text(body: str) -> Content:
    return {"type": "text", "text": {"body": body}}


def changed(old: Customer, new: Customer) -> Content:
    """The system message about a number or a user id that has changed."""
    if old.wa_id != new.wa_id and old.wa_id is not None:
        body = f"User {old.name} changed from {old.wa_id} to {new.wa_id}"
        system = {"type": "user_changed_number", "body": body, "wa_id": new.wa_id}
    else:
        system = {
            "type": "user_changed_user_id",
            "body": "User changed",
            "user_id": new.user_id,
            "previous_user_id": old.user_id,
        }
    return {"type": "system", "system": system}


def _text(rng: Random, _answered: Answered | None) -> Content:
    return text(rng.choice(_TEXTS))


def _media(kind: str, **more: object) -> Callable[..., Content]:
    def content(_rng: Random, _answered: Answered | None) -> Content:
        return {"type": kind, kind: {"mime_type": MEDIA_TYPES[kind], **more}}

    return content


def _location(rng: Random, _answered: Answered | None) -> Content:
    location = {
        "latitude": round(rng.uniform(-60, 60), 6),
        "longitude": round(rng.uniform(-180, 180), 6),
        "name": "Café Zentral",
    }
    return {"type": "location", "location": location}


def _contacts(rng: Random, _answered: Answered | None) -> Content:
    name = rng.choice(NAMES)
    phone = f"+1555{rng.randrange(10**7):07d}"
    card = {
        "name": {"formatted_name": name, "first_name": name},
        "phones": [{"phone": phone, "wa_id": phone[1:], "type": "CELL"}],
    }
    return {"type": "contacts", "contacts": [card]}


def _button(rng: Random, _answered: Answered | None) -> Content:
    label = rng.choice(("Yes", "No", "Stop promotions"))
    return {"type": "button", "button": {"payload": label, "text": label}}


def _interactive(rng: Random, _answered: Answered | None) -> Content:
    if rng.random() < 0.5:
        reply: Content = {
            "type": "button_reply",
            "button_reply": {"id": "confirm", "title": "Confirm"},
        }
    else:
        item = {"id": "slot-1", "title": "Tomorrow, 9:00", "description": "First free slot"}
        reply = {"type": "list_reply", "list_reply": item}
    return {"type": "interactive", "interactive": reply}


def _reaction(rng: Random, answered: Answered | None) -> Content:
    if answered is None:
        return _text(rng, answered)
    emoji = rng.choice(("👍", "❤️", ""))
    return {"type": "reaction", "reaction": {"message_id": answered.wamid, "emoji": emoji}}


def _order(rng: Random, _answered: Answered | None) -> Content:
    item = {
        "product_retailer_id": f"sku-{rng.randrange(1000)}",
        "quantity": rng.randrange(1, 4),
        "item_price": 19.9,
        "currency": "EUR",
    }
    catalog_id = str(rng.randrange(10**14, 10**15))
    return {"type": "order", "order": {"catalog_id": catalog_id, "product_items": [item]}}


def _unsupported(_rng: Random, _answered: Answered | None) -> Content:
    error = {
        "code": 131051,
        "title": "Message type unknown",
        "message": "Message type unknown",
        "error_data": {"details": "Message type is currently not supported."},
    }
    return {"type": "unsupported", "errors": [error]}


#: Types whose content names a medium, and its MIME type. Id and digest are those of the library.
MEDIA_TYPES = {
    "audio": "audio/ogg; codecs=opus",
    "document": "application/pdf",
    "image": "image/jpeg",
    "sticker": "image/webp",
    "video": "video/mp4",
}

#: By type: makes the content. A reaction without a message to react to becomes a text.
MESSAGE_TYPES: dict[str, Callable[[Random, Answered | None], Content]] = {
    "text": _text,
    "image": _media("image", caption="Is it this one? é"),
    "audio": _media("audio", voice=True),
    "document": _media("document", filename="Rechnung März.pdf"),
    "video": _media("video"),
    "sticker": _media("sticker", animated=False),
    "location": _location,
    "contacts": _contacts,
    "button": _button,
    "interactive": _interactive,
    "reaction": _reaction,
    "order": _order,
    "unsupported": _unsupported,
}

#: Types that say which message they answer.
ANSWERING_TYPES = frozenset({"button", "interactive"})
