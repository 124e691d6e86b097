"""Meta's webhook envelope as plain values. Nothing is taken for granted about their types."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from contracts.backend import UpdateKind
from contracts.cloud_api import people
from contracts.cloud_api.fields import kind_of, lists_of
from contracts.cloud_api.people import names
from simulator.backend.jsontext import Number


class Part(NamedTuple):
    """One single update. ``value`` holds nothing but it; ``element`` is the element of its list,
    or ``value`` for a change."""

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


def identifier(value: object) -> str | None:
    """Return an id as text, whether it was written as text or as a whole number; else None."""
    if isinstance(value, Number):
        return value.digits if value.digits.lstrip("-").isdecimal() else None
    return people.identifier(value)


def phone_number_id(value: dict[str, Any]) -> str | None:
    metadata = value.get("metadata")
    return identifier(metadata.get("phone_number_id")) if isinstance(metadata, dict) else None


def split(webhook: dict[str, Any]) -> Iterator[Part]:
    """Return every update of a webhook, in its order."""
    for entry in objects(webhook.get("entry")):
        for change in objects(entry.get("changes")):
            value = change.get("value")
            field = text(change.get("field")) or ""
            for part in _split_change(field, value if isinstance(value, dict) else {}):
                yield part._replace(account_id=identifier(entry.get("id")))


def _split_change(field: str, value: dict[str, Any]) -> Iterator[Part]:
    kinds = lists_of(field)
    lists = {name: objects(value[name]) for name in kinds if value.get(name) not in (None, [])}
    if not lists:
        yield Part(UpdateKind.CHANGE, field, value, value, {})
        return
    beside = {name: member for name, member in value.items() if name not in kinds}
    others = {n for n, member in beside.items() if isinstance(member, list) and member}
    shared = {n: member for n, member in beside.items() if n not in {*others, "contacts"}}
    contacts = _Contacts(objects(value.get("contacts")))
    alone = sum(map(len, lists.values())) == 1
    for name, elements in lists.items():
        for element in elements:
            kind, own = kind_of(kinds[name], element), {**shared, name: [element]}
            if kind is UpdateKind.CHANGE:
                yield Part(kind, field, own, own, {})
                continue
            contact = contacts.of(element, kind, alone=alone)
            own |= {"contacts": [contact]} if contact is not None else {}
            yield Part(kind, field, own, element, contact or {})
    if others - {"contacts"}:
        yield Part(UpdateKind.CHANGE, field, beside, beside, {})


class _Contacts:
    """Finds the contact of an update by the ids that both carry; never a neighbour's."""

    def __init__(self, contacts: list[dict[str, Any]]) -> None:
        self._all = contacts
        self._by_name: dict[str, dict[str, Any]] = {}
        for contact in contacts:
            for name in names(contact, "contact"):
                self._by_name.setdefault(name, contact)

    def of(self, element: dict[str, Any], kind: str, *, alone: bool) -> dict[str, Any] | None:
        """Return the contact that an element is from or to. One that names nobody may stand beside
        the only contact: if it is ``alone``, that is who is meant."""
        found = names(element, kind)
        if not found and alone and len(self._all) == 1:
            return self._all[0]
        return next((self._by_name[name] for name in found if name in self._by_name), None)
