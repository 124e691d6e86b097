"""Whose an update is: the contact that carries its ids, and what it is ordered by.

A contact belongs to an update if they have an id in common: a user id, or a number in any of its
forms. It never goes with a neighbour's.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import orjson
from msgspec import Raw

from contracts.cloud_api.people import NAMES, main_form, names, person
from workers.inbox.rawjson import NOT_READ, decode, decoded, elements, is_object, joined, members

#: Maximum contacts that are inspected: as many as there may be updates, and more.
MAX_CONTACTS = 10_000

#: A contact that is longer goes with updates without what is not needed to know whose they are.
MAX_CONTACT_BYTES = 2048

#: Maximum size of a member that is kept of something long.
MAX_MEMBER_BYTES = 256

#: Characters that are kept of the name in a long contact: as UTF-8 it is a short member then.
MAX_NAME_PART = 60


_NUMBER = re.compile(r"[0-9]{5,20}")


class Contact(NamedTuple):
    """A contact of a webhook, as it goes with an update."""

    raw: bytes
    values: dict[str, Any]


class Contacts:
    """The contacts of a change, by their ids."""

    def __init__(self, raw: Sequence[Raw] = ()) -> None:
        self._raw = raw
        self._read: list[Contact] | None = None
        self._by_id: dict[str, Contact] = {}
        self._by_name: dict[str, Contact] = {}

    @property
    def has_long(self) -> bool:
        """Return whether one goes shortened with its updates."""
        long = [some for some in self._raw if len(some) > MAX_CONTACT_BYTES]
        return any(len(one) > MAX_CONTACT_BYTES for some in long for one in _listed(some))

    def all(self) -> list[Contact]:
        """Return those that can be read."""
        if self._read is None:
            one = self._usual()
            self._read = [one] if one is not None else self._all()
        return self._read

    def _usual(self) -> Contact | None:
        """Return the only one there is, if it is short; the short way for what is usual."""
        if len(self._raw) != 1 or len(self._raw[0]) > MAX_CONTACT_BYTES:
            return None
        raw = bytes(self._raw[0])
        some = decoded(raw)
        if not (isinstance(some, list) and len(some) == 1 and isinstance(some[0], dict)):
            return None
        return Contact(raw[1:-1], some[0])

    def _all(self) -> list[Contact]:
        some = [one for raw in self._raw for one in _listed(raw)][:MAX_CONTACTS]
        return [one for raw in some if (one := _contact(bytes(raw))) is not None]

    def of(self, values: dict[str, Any], kind: str, *, alone: bool) -> Contact | None:
        """Return the contact that an element of this kind is from or to. An element that names
        nobody may stand beside the only contact: if it is ``alone``, that is who is meant."""
        if not self._raw:
            return None
        number, known = values.get(NAMES[kind][0]), self.all()
        only = known[0].values.get("wa_id") if len(known) == 1 else None
        if number and isinstance(number, str) and number == only:
            return known[0]  # the short way for what is usual
        by_id = self._by_id or self._index()
        for member in NAMES[kind]:
            text = values.get(member)
            if isinstance(text, str) and text in by_id:
                return by_id[text]
        found = names(values, kind)
        if not found:
            return self.all()[0] if alone and len(self.all()) == 1 else None
        if not self._by_name:
            for one in reversed(self.all()):
                self._by_name.update(dict.fromkeys(names(one.values, "contact"), one))
        return next((self._by_name[name] for name in found if name in self._by_name), None)

    def _index(self) -> dict[str, Contact]:
        for one in reversed(self.all()):  # of two with the same id the first counts
            for member in NAMES["contact"]:
                text = one.values.get(member)
                if isinstance(text, str) and text:
                    self._by_id[text] = one
        return self._by_id


NO_CONTACTS = Contacts()


class Links:
    """Which user id belongs to a number, and what somebody was known by before, as far as a webhook
    says so anywhere."""

    def __init__(self) -> None:
        self._user_ids: dict[str, str] = {}
        self._before: dict[str, str] = {}

    def add(self, values: dict[str, Any], kind: str) -> None:
        """Learn what a contact or an element of this kind says."""
        number, user_id = _ids(values, kind)
        if number is not None and user_id is not None:
            self._user_ids.setdefault(number, user_id)

    def add_move(self, message: dict[str, Any]) -> None:
        """Learn what a system message says: that somebody has another number or user id."""
        system = message.get("system")
        if not isinstance(system, dict):
            return
        ids = system.get("previous_user_id"), message.get("from_user_id")
        old = person(message.get("from"), user_ids=ids)
        new = person(
            system.get("wa_id"), system.get("new_wa_id"), user_ids=(system.get("user_id"),)
        )
        before = old.user_id or (old.wa_id and main_form(old.wa_id))
        for after in (new.user_id, new.wa_id and main_form(new.wa_id)):
            if before and after and after != before:
                self._before.setdefault(after, before)

    def name(self, name: str, *, is_user: bool) -> str:
        """Return by what somebody is known first, who is named by a user id or by a number in its
        main form."""
        return self._first(name if is_user else self._user_ids.get(name) or name)

    def _first(self, name: str) -> str:
        passed: dict[str, None] = {}
        while name in self._before and name not in passed:
            passed[name] = None
            before = self._before[name]
            name = self._user_ids.get(before) or before
        if name in passed:  # somebody is again who they were
            order = list(passed)
            name = min(order[order.index(name) :])
            del self._before[name]
        self._before.update(dict.fromkeys((one for one in passed if one != name), name))
        return name


def who(values: dict[str, Any], kind: str, contact: Contact | None) -> tuple[str | None, bool]:
    """Return the other side of a message or an echo, and whether that is a user id: if it is known
    of the element or its contact; else the number in its main form."""
    user_id = values.get(NAMES[kind][1])
    if isinstance(user_id, str) and user_id:
        return user_id, True
    number, user_id = _ids(values, kind)
    if user_id is None and contact is not None and (number is None or "user_id" in contact.values):
        contact_number, user_id = _ids(contact.values, "contact")
        number = number or contact_number
    return (number, False) if user_id is None else (user_id, True)


def _ids(values: dict[str, Any], kind: str) -> tuple[str | None, str | None]:
    """Return the number, in its main form, and the user id that are named."""
    of_number, of_user, of_parent = NAMES[kind][:3]
    text, user_id, parent_id = values.get(of_number), values.get(of_user), values.get(of_parent)
    if user_id is None is parent_id and isinstance(text, str) and _NUMBER.fullmatch(text):
        return main_form(text), None  # the short way for what is usual
    found = person(text, user_ids=(user_id, parent_id))
    return found.wa_id and main_form(found.wa_id), found.user_id


def _listed(raw: Raw) -> list[Raw]:
    try:
        return elements(raw)
    except NOT_READ:
        return []


def _contact(raw: bytes) -> Contact | None:
    values = decoded(raw)
    if not isinstance(values, dict):
        return None
    return Contact(raw if len(raw) <= MAX_CONTACT_BYTES else _shortened(raw), values)


def _shortened(raw: bytes) -> bytes:
    found = dict(members(raw))
    profile = found.pop("profile", None)
    kept = short(found, NAMES["contact"])
    if profile is not None and is_object(profile):
        inside = short(_named(dict(members(profile))), ("name", "username"))
        kept += b'"profile":{' + inside.removesuffix(b",") + b"},"
    return b"{" + kept.removesuffix(b",") + b"}"


def _named(profile: dict[str, Raw]) -> dict[str, Raw]:
    """Return a profile with the first part of a name that is too long."""
    raw = profile.get("name")
    name = None if raw is None or _is_short(raw) else decoded(bytes(raw))
    if not isinstance(name, str):
        return profile
    return {**profile, "name": Raw(orjson.dumps(name[:MAX_NAME_PART]))}


def short(values: dict[str, Raw], wanted: Iterable[str]) -> bytes:
    """Return those members that are short and can be read, each with a comma behind it."""
    return joined((n, values[n]) for n in wanted if n in values and _is_short(values[n]))


def _is_short(raw: Raw) -> bool:
    if len(raw) > MAX_MEMBER_BYTES:
        return False
    try:
        decode(bytes(raw))
    except NOT_READ:
        return False
    return True
