"""Taking a webhook apart: entry x change x message, echo or status.

PHP's own routine looks at the first element of each list and at nothing else; so each update gets
an envelope of its own, with the metadata and the contact that belong to it. A body that is not of
the expected shape is not split: PHP gets it as it is. What is no update although it stands where
one should is *unreadable*, and does not take its neighbours along.

It is done on the bytes. Nothing is copied but what an update is made of, and only for as many
updates as are asked for: what it takes is linear in the bytes that came in, whatever their shape.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson
from msgspec import Raw

from contracts.backend import UpdateKind
from sidecar.inbox import Entry, Webhook
from workers.inbox.update import LISTS, Update

#: Levels that an update may have. PHP reads 512, and pydantic 200; requests wrap it in a few more.
MAX_DEPTH = 170

#: What is beside the lists of a change goes with each of its updates if it is not longer than
#: this; so does a contact. What is longer goes once.
MAX_SHARED_BYTES = 2048

#: An order key is part of a key in Redis; what is longer is named by its digest.
MAX_NAME = 128

_objects = msgspec.json.Decoder(dict[str, Raw])
_lists = msgspec.json.Decoder(list[Raw])

#: A backslash that is escaped, two surrogates that belong together, and one that is alone.
_ESCAPED = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_BOM = b"\xef\xbb\xbf"

#: Strings, and what opens or closes a level outside of them.
_LEVELS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


def split_webhook(webhook: Webhook, entry: Entry, name: str) -> list[Update]:
    """Return all updates of one webhook; ``name`` becomes the front part of their ids."""
    return Parsed(webhook, entry, name).take(0, None)[0]


class Parsed:
    """A webhook whose lists are known. ``name`` becomes the front part of its updates' ids."""

    def __init__(self, webhook: Webhook, entry: Entry, name: str) -> None:
        self._webhook = webhook
        self._entry = entry
        self._name = name
        try:
            self._runs = list(_runs(clean(webhook.body)))
        except _NOT_READ:
            self._runs = []
        self.length = sum(len(run.elements) for run in self._runs) or 1

    def take(
        self, start: int, most: int | None, most_bytes: int | None = None
    ) -> tuple[list[Update], int]:
        """Return the updates from place ``start`` on, at most so many and (but for one) so many
        bytes; and the place of the next one, which is ``length`` when none is left."""
        if not self._runs:
            entry = self._entry
            whole = Update.whole(self._name, entry.vendor_uid, entry.received_at, self._webhook)
            return ([whole] if start == 0 else []), 1
        updates: list[Update] = []
        size = 0
        place = start
        for run, index in self._from(start):
            update = self._update(run, index, place)
            if updates and most_bytes is not None and size + update.size > most_bytes:
                return updates, place
            size += update.size
            place += 1
            if update.unreadable and updates and updates[-1].unreadable:
                _join(updates[-1], update)
                continue
            updates.append(update)
            if most is not None and len(updates) >= most:
                return updates, place
        return updates, self.length

    def _from(self, start: int) -> Iterator[tuple["_Run", int]]:
        for run in self._runs:
            for index in range(start, len(run.elements)):
                yield run, index
            start = max(0, start - len(run.elements))

    def _update(self, run: "_Run", index: int, place: int) -> Update:
        raw = bytes(run.elements[index])
        reason = run.fault or _fault(run, raw)
        if reason is None and run.kind is not None:
            known = _known(run.kind, raw)
            if known is not None:
                return self._known(run, raw, known, place)
            reason = "it has no id, or one that is no text"
        update = Update(
            id=f"{self._name}/{place}",
            vendor_uid=self._entry.vendor_uid,
            received_at=self._entry.received_at,
            kind=None if reason else UpdateKind.CHANGE,
            order_key=f"{self._entry.vendor_uid}/change",
        )
        if reason is None:
            update.parts = (run.before, raw, run.after)
        else:
            update.unreadable = True
            update.reason = f"{run.what}[{index}] cannot be read: {reason}"
            update.body = raw
        return update

    def _known(self, run: "_Run", raw: bytes, known: "_Known", place: int) -> Update:
        vendor_uid = self._entry.vendor_uid
        assert run.kind is not None
        if run.kind is UpdateKind.STATUS:
            who: str | None = known.id
        elif run.kind is UpdateKind.ECHO:
            who = known.to or known.to_user_id
        else:
            who = known.from_ or known.from_user_id
        after = run.after
        if contact := run.contacts.of(known, alone=len(run.elements) == 1):
            after = b'],"contacts":[' + contact + b"]" + after[1:]
        update = Update(
            id=f"{self._name}/{place}",
            vendor_uid=vendor_uid,
            received_at=self._entry.received_at,
            kind=run.kind,
            order_key=f"{vendor_uid}/{_name(who or 'unknown')}",
            parts=(run.before, raw, after),
            wamid=known.id,
        )
        if run.kind is UpdateKind.STATUS:
            update.status = known.status
            update.callback_data = known.biz_opaque_callback_data
        return update


def clean(body: bytes) -> bytes:
    """Return a body without what JSON does not allow in text, which Meta has been seen to send: a
    byte order mark, bytes that are no UTF-8, halves of surrogate pairs."""
    body = body.removeprefix(_BOM)
    if not body.isascii():
        body = body.decode("utf-8", "replace").encode()
    if _SURROGATE.search(body):
        body = _ESCAPED.sub(_whole_character, body)
    return body


def _whole_character(found: re.Match[bytes]) -> bytes:
    escaped = found[0]
    return b"\\ufffd" if len(escaped) == 6 else escaped


class _Shapeless(Exception):
    """This is no webhook of Meta's."""


_NOT_READ = (msgspec.DecodeError, RecursionError, UnicodeDecodeError, _Shapeless)


@dataclass(slots=True)
class _Run:
    """Elements that stand in one list, and the envelope that they share. Without a ``kind`` there
    is one element, a change as a whole; with a ``fault`` it is no such thing."""

    what: str
    kind: UpdateKind | None
    elements: list[Raw]
    before: bytes = b""
    after: bytes = b""
    contacts: "_Contacts" = None  # type: ignore[assignment]
    fault: str | None = None


class _Known(msgspec.Struct, rename={"from_": "from"}):
    """What an update is known by. Whatever else it holds, PHP reads."""

    id: str
    from_: str | None = None
    to: str | None = None
    from_user_id: str | None = None
    to_user_id: str | None = None
    recipient_id: str | None = None
    recipient_user_id: str | None = None
    status: str | None = None
    biz_opaque_callback_data: str | None = None


_known_elements = msgspec.json.Decoder(_Known)


def _known(kind: UpdateKind, raw: bytes) -> _Known | None:
    """Return what an update is known by, or None if it has no id. Of the rest, what is not text is
    left out."""
    try:
        known = _known_elements.decode(raw)
    except _NOT_READ:
        try:
            values = _objects.decode(raw)
        except _NOT_READ:
            return None
        texts = {name: text for name, value in values.items() if (text := _text(value))}
        if "id" not in texts:
            return None
        known = msgspec.convert(texts, _Known)
    return known if known.id else None


def _fault(run: _Run, raw: bytes) -> str | None:
    """Return why an element is none that PHP could read, or None."""
    if run.kind is not None and raw[:1] != b"{":
        return "it is no object"
    return _unreadable(raw)


def _unreadable(raw: bytes) -> str | None:
    """Return why JSON cannot be read here, or where it goes; None if it can."""
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _depth(raw) > MAX_DEPTH:
        return f"it has more than {MAX_DEPTH} levels"
    try:
        msgspec.json.decode(raw)
    except _NOT_READ as error:
        return str(error)
    return None


def _depth(raw: bytes) -> int:
    depth = deepest = 0
    for found in _LEVELS.finditer(raw):
        if found[0] in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif found[0] in b"]}":
            depth -= 1
    return deepest


def _join(kept: Update, more: Update) -> None:
    """Have one unreadable update stand for the next one as well."""
    assert kept.reason is not None
    kept.body += b"\n" + more.body
    first, _, count = kept.reason.partition(", and ")
    kept.reason = f"{first}, and {int(count.partition(' ')[0] or 0) + 1} more after it"


def _runs(body: bytes) -> Iterator[_Run]:
    webhook = _objects.decode(body)
    accounts = _elements(webhook.get("entry"))
    if not accounts:
        raise _Shapeless
    around = _members(webhook, {"entry"})
    for account in accounts:
        try:
            members = _objects.decode(account)
            changes = _elements(members.get("changes"))
        except (*_NOT_READ,):
            yield _Run("entry", None, [account], fault="it has no list of changes")
            continue
        before = b"{" + around + b'"entry":[{' + _members(members, {"changes"}) + b'"changes":['
        for change in changes:
            yield from _runs_of_change(before, change)


def _runs_of_change(before: bytes, raw: Raw) -> Iterator[_Run]:
    after = b"]}]}"
    try:
        change = _objects.decode(raw)
    except _NOT_READ:
        yield _Run("changes", None, [raw], fault="it is no object")
        return
    try:
        value = _objects.decode(change.get("value", b"null"))
    except _NOT_READ:
        value = {}
    lists = {name: value[name] for name in LISTS if value.get(name) not in _EMPTY}
    if not lists:
        yield _Run("changes", None, [raw], _bounded(before), after)
        return
    shared = _members(value, {*LISTS, "contacts"})
    around = _members(change, {"value"})
    if len(shared) + len(around) + len(before) > MAX_SHARED_BYTES:
        # Once, as a change without lists; the updates get what is known to be short.
        whole = b"{" + around + b'"value":{' + shared.removesuffix(b",") + b"}}"
        yield _Run("changes", None, [Raw(whole)], before, after)
        before, around = _bounded(before), _short(change, ("field",))
        shared = _short(value, ("messaging_product", "metadata"))
    contacts = _Contacts(value.get("contacts"))
    for name, elements in lists.items():
        try:
            run = _Run(name, LISTS[name], _lists.decode(elements))
        except _NOT_READ:
            yield _Run(name, None, [elements], fault="it is no list")
            continue
        run.before = before + b"{" + around + b'"value":{' + shared + b'"' + name.encode() + b'":['
        run.after = b"]}}" + after
        run.contacts = contacts
        if envelope_fault := _unreadable(run.before + run.after):
            run.fault = f"in what stands around it, {envelope_fault}"
        yield run


_EMPTY = (None, Raw(b"[]"), Raw(b"null"))


def _elements(raw: Raw | None) -> list[Raw]:
    """Return the elements of a list. Raises what is in ``_NOT_READ`` if it is none."""
    if raw is None:
        raise _Shapeless
    return _lists.decode(raw)


def _members(values: dict[str, Raw], left_out: set[str]) -> bytes:
    """Return members of an object as they stand in it, each with a comma behind it."""
    return b"".join(
        orjson.dumps(name) + b":" + bytes(value) + b","
        for name, value in values.items()
        if name not in left_out
    )


def _short(values: dict[str, Raw], names: tuple[str, ...]) -> bytes:
    """Return those members that are short."""
    shown = {n: values[n] for n in names if n in values and len(bytes(values[n])) <= 256}
    return _members(shown, set())


def _bounded(before: bytes) -> bytes:
    """Return the front of an envelope, without what is too long to go with each update."""
    if len(before) <= MAX_SHARED_BYTES:
        return before
    webhook = _objects.decode(before + b"]}]}")
    [account] = _lists.decode(webhook["entry"])
    inside = _short(_objects.decode(account), ("id", "time"))
    return b"{" + _short(webhook, ("object",)) + b'"entry":[{' + inside + b'"changes":['


class _Contacts:
    """Finds the contact of an update by the ids that both carry; never a neighbour's."""

    def __init__(self, raw: Raw | None) -> None:
        self._by_phone: dict[str, Raw] = {}
        self._by_user: dict[str, Raw] = {}
        self._given: set[int] = set()
        self._all: list[Raw] = []
        if raw is None:
            return
        try:
            self._all = _lists.decode(raw)
        except _NOT_READ:
            return
        for contact in self._all:
            try:
                ids = _contact_ids.decode(contact)
            except _NOT_READ:
                continue
            if _unreadable(bytes(contact)):
                continue
            if isinstance(ids.wa_id, str):
                self._by_phone.setdefault(ids.wa_id, contact)
            if isinstance(ids.user_id, str):
                self._by_user.setdefault(ids.user_id, contact)

    def of(self, known: _Known, *, alone: bool) -> bytes | None:
        """Return the contact that an update is from or to. Where one contact stands beside one
        update (``alone``), it is its contact whatever the ids say: a number has two forms in
        Brazil and Mexico."""
        contact = self._find(known)
        if contact is None:
            if not (alone and len(self._all) == 1) or _unreadable(bytes(self._all[0])):
                return None
            contact = self._all[0]
        raw = bytes(contact)
        if len(raw) > MAX_SHARED_BYTES:
            if id(contact) in self._given:
                return None
            self._given.add(id(contact))
        return raw

    def _find(self, known: _Known) -> Raw | None:
        for phone in (known.from_, known.recipient_id, known.to):
            if phone is not None and phone in self._by_phone:
                return self._by_phone[phone]
        for user in (known.from_user_id, known.recipient_user_id, known.to_user_id):
            if user is not None and user in self._by_user:
                return self._by_user[user]
        return None


class _ContactIds(msgspec.Struct):
    wa_id: Any = None
    user_id: Any = None


_contact_ids = msgspec.json.Decoder(_ContactIds)


def _text(value: Raw) -> str | None:
    try:
        found = msgspec.json.decode(value, type=str)
    except _NOT_READ:
        return None
    return found or None


def _name(who: str) -> str:
    if len(who) <= MAX_NAME:
        return who
    return hashlib.blake2b(who.encode(), digest_size=16).hexdigest()
