"""Meta's webhook envelope as plain values. Nothing is taken for granted about their types."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from contracts.backend import UpdateKind
from contracts.cloud_api.people import identifier

_LISTS = {
    "messages": UpdateKind.MESSAGE,
    "message_echoes": UpdateKind.ECHO,
    "statuses": UpdateKind.STATUS,
}


class Part(NamedTuple):
    """One single update. ``element`` is the element of its list; ``value`` for a change without."""

    kind: UpdateKind
    field: str
    value: dict[str, Any]
    element: dict[str, Any]
    #: Who the element is from or to, out of ``value.contacts``.
    contact: dict[str, Any]
    #: The account that the webhook is about, as its entry names it.
    account_id: str | None = None


def objects(value: object) -> list[dict[str, Any]]:
    """Return the objects in a list; none if it is no list."""
    return (
        [element for element in value if isinstance(element, dict)]
        if isinstance(value, list)
        else []
    )


def text(value: object) -> str | None:
    """Return a text that is not empty, or None."""
    return value if isinstance(value, str) and value else None


def phone_number_id(value: dict[str, Any]) -> str | None:
    metadata = value.get("metadata")
    return text(metadata.get("phone_number_id")) if isinstance(metadata, dict) else None


def split(webhook: dict[str, Any]) -> Iterator[Part]:
    """Return every update of a webhook, in its order."""
    for entry in objects(webhook.get("entry")):
        for change in objects(entry.get("changes")):
            value = change.get("value")
            if isinstance(value, dict):
                for part in _split_change(text(change.get("field")) or "", value):
                    yield part._replace(account_id=identifier(entry.get("id")))


def _split_change(field: str, value: dict[str, Any]) -> Iterator[Part]:
    found = False
    for name, kind in _LISTS.items():
        for element in objects(value.get(name)):
            found = True
            yield Part(kind, field, value, element, _contact(value, element))
    if not found:
        yield Part(UpdateKind.CHANGE, field, value, value, {})


def _contact(value: dict[str, Any], element: dict[str, Any]) -> dict[str, Any]:
    """Return the contact that belongs to the element: the one with its ids, or the only one."""
    contacts = objects(value.get("contacts"))
    for contact in contacts:
        wa_id, user_id = text(contact.get("wa_id")), text(contact.get("user_id"))
        if wa_id is not None and wa_id in (element.get("from"), element.get("to")):
            return contact
        if user_id is not None and user_id in (
            element.get("from_user_id"),
            element.get("to_user_id"),
        ):
            return contact
    return contacts[0] if len(contacts) == 1 else {}
