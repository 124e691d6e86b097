"""Splits a webhook into updates: entry x change x message, echo or status.

PHP's own routine looks only at the first element of each list; so each update gets an envelope of
its own, with the metadata and the contact that belong to it. A body of an unexpected shape is not
split: PHP gets it as it is. An element that is not a valid update is *unreadable*, and does not
affect its neighbours.

Splitting works on the bytes. Only what makes up an update is copied, and only for as many updates
as are requested: the cost is linear in the size of the webhook, whatever its shape.
"""

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, groupby
from typing import Any

import msgspec
import orjson
from msgspec import Raw

from contracts.backend import UpdateKind
from sidecar.inbox.store import InboxEntry, RawWebhook
from workers.inbox.update import LISTS, Update

#: Maximum nesting of an update. PHP reads 512 levels, pydantic 200; requests add a few more.
MAX_DEPTH = 170

#: Members of a change besides its lists are repeated in each of its updates up to this size, and
#: so is a contact. Longer ones are passed on once.
MAX_SHARED_BYTES = 2048

#: Maximum length of an order key, which is part of a Redis key; longer ones are hashed.
MAX_NAME = 128

_objects = msgspec.json.Decoder(dict[str, Raw])
_lists = msgspec.json.Decoder(list[Raw])

#: Maximum changes in a webhook. Meta puts at most 1,000 updates into one
#: (https://developers.facebook.com/docs/graph-api/webhooks/getting-started); more are junk, and
#: looking at each would take seconds.
MAX_CHANGES = 10_000
_TOO_MANY = f"it has more than {MAX_CHANGES:,} elements"

#: Maximum contacts that are inspected: as many as there may be updates, and more.
MAX_CONTACTS = 10_000

#: Maximum elements that are inspected in one go, readable or not.
MAX_LOOKED_AT = 20_000

#: A backslash that is escaped, two surrogates that belong together, and one that is alone.
_ESCAPED = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_BOM = b"\xef\xbb\xbf"

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)

#: Brackets as steps up and down, as bytes with a sign; and what is none.
_STEPS = bytes.maketrans(b"{[}]", b"\x01\x01\xff\xff")
_NO_BRACKET = bytes(set(range(256)) - set(b"{[}]"))


def split_webhook(webhook: RawWebhook, entry: InboxEntry, name: str) -> list[Update]:
    """Return all updates of one webhook; ``name`` becomes the front part of their ids."""
    parsed = Parsed(webhook, entry, name)
    updates: list[Update] = []
    place = 0
    while place < parsed.length:
        some, place = parsed.take(place, None)
        updates += some
    return updates


class Parsed:
    """A webhook whose lists are known. ``name`` becomes the front part of its updates' ids."""

    def __init__(self, webhook: RawWebhook, entry: InboxEntry, name: str) -> None:
        self._webhook = webhook
        self._entry = entry
        self._name = name
        try:
            self._runs = _merged(_runs(clean(webhook.body)))
        except _NOT_READ:
            self._runs = []
        #: Where each run begins, and where the last one ends.
        self._places = [0, *accumulate(len(run.elements) for run in self._runs)]
        self.length = self._places[-1] or 1

    def take(
        self, start: int, most: int | None, most_bytes: int | None = None
    ) -> tuple[list[Update], int]:
        """Return the updates from place ``start`` on, at most so many and (but for one) so many
        bytes; and the place of the next one, which is ``length`` when none is left.

        Elements that cannot be read and stand side by side are one update.
        """
        if not self._runs:
            entry = self._entry
            whole = Update.whole(self._name, entry.vendor_uid, entry.received_at, self._webhook)
            return ([whole] if start == 0 else []), 1
        updates: list[Update] = []
        unreadable: list[bytes] = []
        size = 0
        place = start
        for run, before, index in self._from(start):
            raw = bytes(run.elements[index])
            found = self._read(run, before, index, raw, place)
            if isinstance(found, Update):
                full = most is not None and len(updates) >= most
                if updates and most_bytes is not None and size + found.size > most_bytes:
                    full = True
                if full:
                    break
                updates.append(found)
                size += found.size
                unreadable = []
            elif unreadable:
                unreadable.append(raw)
                size += len(raw)
            else:
                if most is not None and len(updates) >= most:
                    break
                unreadable = [raw]
                reason = f"{run.what}[{index}] cannot be read: {found}"
                updates.append(self._unreadable(place, reason, unreadable))
            place += 1
            if place - start >= MAX_LOOKED_AT:
                break
        for update in updates:
            if update.unreadable:
                update.join()
        return updates, place

    def _from(self, start: int) -> Iterator[tuple["_Run", bytes, int]]:
        for number in range(bisect_right(self._places, start) - 1, len(self._runs)):
            run = self._runs[number]
            before = b"".join(run.front)
            for index in range(max(0, start - self._places[number]), len(run.elements)):
                yield run, before, index

    def _read(self, run: "_Run", before: bytes, index: int, raw: bytes, place: int) -> Update | str:
        """Return an element as an update, or why PHP could not read it."""
        values, fault = _values(run, raw)
        if fault is not None:
            return fault
        if run.kind is None:
            return self._new(place, UpdateKind.CHANGE, "change", (before, raw, run.after))
        wamid = values["id"]
        after = run.after
        contact = run.contacts.of(values, alone=len(run.elements) == 1)
        if contact and (len(contact) <= MAX_SHARED_BYTES or index in run.with_contact):
            after = b'],"contacts":[' + contact + b"]" + after[1:]
        side = _SIDES[run.kind]
        who = wamid if side is None else _text(values, side) or _text(values, f"{side}_user_id")
        update = self._new(place, run.kind, who or "unknown", (before, raw, after))
        update.wamid = wamid
        if run.kind is UpdateKind.STATUS:
            update.status = _text(values, "status")
            update.callback_data = _text(values, "biz_opaque_callback_data")
        return update

    def _new(
        self, place: int, kind: UpdateKind | None, who: str, parts: tuple[bytes, bytes, bytes]
    ) -> Update:
        vendor_uid = self._entry.vendor_uid
        return Update(
            id=f"{self._name}/{place}",
            vendor_uid=vendor_uid,
            received_at=self._entry.received_at,
            kind=kind,
            order_key=f"{vendor_uid}/{_name(who)}",
            parts=parts,
        )

    def _unreadable(self, place: int, reason: str, elements: list[bytes]) -> Update:
        update = self._new(place, None, "change", (b"", b"", b""))
        update.unreadable = True
        update.reason = reason
        update.elements = elements
        return update


#: Whose messages stay in order, by the name of the element's member; a status's by its message.
_SIDES = {UpdateKind.MESSAGE: "from", UpdateKind.ECHO: "to", UpdateKind.STATUS: None}


def clean(body: bytes) -> bytes:
    """Return a body without what JSON does not allow but Meta sometimes sends: a byte order mark,
    invalid UTF-8, unpaired surrogates."""
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
    """The body is not a webhook of Meta's."""


class _TooDeep(Exception):
    """The JSON is nested too deeply."""

    def __str__(self) -> str:
        return f"it has more than {MAX_DEPTH} levels"


_NOT_READ = (msgspec.DecodeError, RecursionError, UnicodeDecodeError, _Shapeless, _TooDeep)


@dataclass(slots=True)
class _Run:
    """Elements that stand in one list, and the envelope that they share, its front in pieces.
    Without a ``kind`` they are changes as a whole; with a ``fault`` they are no such thing.
    ``with_contact``: places of those that a long contact goes with."""

    what: str
    kind: UpdateKind | None
    elements: list[Raw]
    front: tuple[bytes, ...] = ()
    after: bytes = b""
    contacts: "_Contacts" = None  # type: ignore[assignment]
    fault: str | None = None
    with_contact: frozenset[int] = frozenset()


def _merged(runs: Iterable[_Run]) -> list[_Run]:
    """Return runs, as one those without a kind that differ in nothing but their elements."""
    merged: list[_Run] = []
    for run in runs:
        last = merged[-1] if merged and run.kind is None else None
        if (
            last is not None
            and last.kind is None
            and (last.what, last.fault) == (run.what, run.fault)
            and (last.front, last.after) == (run.front, run.after)
        ):
            last.elements += run.elements
        else:
            merged.append(run)
    return merged


def _values(run: _Run, raw: bytes) -> tuple[Any, str | None]:
    """Return an element's members, and why PHP could not read it."""
    if run.fault is not None:
        return None, run.fault
    try:
        values = _decode(raw)
    except _NOT_READ as error:
        return None, str(error)
    if run.kind is None:
        return values, None
    if not isinstance(values, dict):
        return None, "it is no object"
    if _text(values, "id") is None:
        return None, "it has no id, or one that is no text"
    return values, None


def _text(values: dict[str, Any], name: str) -> str | None:
    value = values.get(name)
    return value if isinstance(value, str) and value else None


def _decode(raw: bytes) -> Any:
    """Return what JSON says. Raises what is in ``_NOT_READ`` if it cannot be read here, or where it
    goes."""
    try:
        value = msgspec.json.decode(raw)
    except RecursionError:
        raise _TooDeep from None
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _depth(raw) > MAX_DEPTH:
        raise _TooDeep
    return value


def _depth(raw: bytes) -> int:
    """Count the levels of JSON that has been read: in what is none a string may have no end, and
    looking for it from each quotation mark takes minutes."""
    steps = _STRING.sub(b"", raw).translate(_STEPS, _NO_BRACKET)
    return max(accumulate(memoryview(steps).cast("b")), default=0)


class _Value(msgspec.Struct, forbid_unknown_fields=True):
    """What nearly every change is like; whatever is not goes the longer way."""

    messaging_product: Raw
    metadata: Raw
    contacts: Raw = Raw(b"")
    messages: list[Raw] = []
    message_echoes: list[Raw] = []
    statuses: list[Raw] = []


class _Change(msgspec.Struct, forbid_unknown_fields=True):
    field: Raw
    value: _Value


class _Account(msgspec.Struct, forbid_unknown_fields=True):
    id: Raw
    changes: list[_Change]


class _Usual(msgspec.Struct, forbid_unknown_fields=True):
    object: Raw
    entry: list[_Account]


_usual = msgspec.json.Decoder(_Usual)


def _usual_runs(body: bytes) -> list["_Run"] | None:
    """Return what :func:`_runs` would of a webhook of the usual shape, None of any other."""
    try:
        webhook = _usual.decode(body)
    except _NOT_READ:
        return None
    if sum(len(account.changes) for account in webhook.entry) > MAX_CHANGES:
        return None
    runs: list[_Run] = []
    copied = 0
    for account in webhook.entry:
        for change in account.changes:
            value = change.value
            front = b"".join(
                (
                    *(b'{"object":', webhook.object, b',"entry":[{"id":', account.id),
                    *(b',"changes":[{"field":', change.field, b',"value":{"messaging_product":'),
                    *(value.messaging_product, b',"metadata":', value.metadata, b',"'),
                )
            )
            lists = [(n, e) for n in LISTS if (e := getattr(value, n))]
            copied += len(front)
            if not lists or len(front) > MAX_SHARED_BYTES or copied > len(body):
                return None
            contacts = _Contacts(value.contacts)
            fault = _envelope_fault(front + b'":0' + _AFTER[1:])
            those = [
                _Run(name, LISTS[name], found, (front, _OPENED[name]), _AFTER, contacts, fault)
                for name, found in lists
            ]
            contacts.give_long_ones(those)
            runs += those
    return runs


_OPENED = {name: name.encode() + b'":[' for name in LISTS}


#: What stands behind the elements of a list: the ends of it, value, change, account and webhook.
_AFTER = b"]}}]}]}"


def _runs(body: bytes) -> Iterable[_Run]:
    return _usual_runs(body) or _any_runs(body)


def _any_runs(body: bytes) -> Iterator[_Run]:
    webhook = _objects.decode(body)
    accounts = _elements(webhook.get("entry"))
    if not accounts:
        raise _Shapeless
    if len(accounts) > MAX_CHANGES:
        yield _Run("entry", None, [webhook["entry"]], fault=_TOO_MANY)
        return
    room = MAX_CHANGES
    around = _members(webhook, {"entry"})
    for account in _objects_of("entry", accounts):
        if isinstance(account, _Run):
            yield account
            continue
        try:
            members = _objects.decode(account)
            changes = _elements(members.get("changes"))
        except _NOT_READ:
            yield _Run("entry", None, [account], fault="it has no list of changes")
            continue
        room -= len(changes)
        if room < 0:
            yield _Run("changes", None, [members["changes"]], fault=_TOO_MANY)
            continue
        before = b"{" + around + b'"entry":[{' + _members(members, {"changes"}) + b'"changes":['
        fault = _envelope_fault(before + b"]}]}")
        for change in _objects_of("changes", changes):
            if isinstance(change, _Run):
                yield change
                continue
            yield from _runs_of_change(before, fault, change)
            if not fault:
                before = _bounded(before)
        if changes and len(around) > MAX_SHARED_BYTES:  # once, however many accounts there are
            around = _short(webhook, ("object",))


def _runs_of_change(before: bytes, fault: str | None, raw: Raw) -> Iterator[_Run]:
    after = b"]}]}"
    try:
        change = _objects.decode(raw)
    except _NOT_READ:
        yield _Run("changes", None, [raw], fault="it is no object")
        return
    if fault:
        yield _Run("changes", None, [raw], fault=fault)
        return
    try:
        value = _object(change.get("value"))
    except _NOT_READ:
        value = {}
    lists = {name: value[name] for name in LISTS if value.get(name) not in _EMPTY}
    if not lists:
        yield _Run("changes", None, [raw], (before,), after)
        return
    shared = _members(value, {*LISTS, "contacts"})
    around = _members(change, {"value"})
    if len(shared) + len(around) + len(before) > MAX_SHARED_BYTES:
        # Once, as a change without lists; the updates get what is known to be short.
        whole = b"{" + around + b'"value":{' + shared.removesuffix(b",") + b"}}"
        yield _Run("changes", None, [Raw(whole)], (before,), after)
        before, around = _bounded(before), _short(change, ("field",))
        shared = _short(value, ("messaging_product", "metadata"))
    contacts = _Contacts(value["contacts"]) if "contacts" in value else _NO_CONTACTS
    middle = b"{" + around + b'"value":{' + shared + b'"'
    fault = _envelope_fault(middle + b'":0}}')
    runs = []
    for name, elements in lists.items():
        try:
            found = _lists.decode(elements)
        except _NOT_READ:
            runs.append(_Run(name, None, [elements], fault="it is no list"))
            continue
        front = before, middle, _OPENED[name]
        runs.append(_Run(name, LISTS[name], found, front, b"]}}" + after, contacts, fault))
    contacts.give_long_ones(runs)
    yield from runs


_EMPTY = (None, Raw(b"[]"), Raw(b"null"))


def _object(raw: Raw | None) -> dict[str, Raw]:
    """Return the members of an object. Raises what is in ``_NOT_READ`` if it is none."""
    if raw is None:
        raise _Shapeless
    return _objects.decode(raw)


def _is_object(raw: Raw) -> bool:
    return memoryview(raw)[0] == ord("{")


def _objects_of(what: str, elements: list[Raw]) -> Iterator[Raw | _Run]:
    """Return the objects of a list, and what is none in between."""
    for are_objects, some in groupby(elements, _is_object):
        if are_objects:
            yield from some
        else:
            yield _Run(what, None, list(some), fault="it is no object")


def _elements(raw: Raw | None) -> list[Raw]:
    """Return the elements of a list. Raises what is in ``_NOT_READ`` if it is none."""
    if raw is None:
        raise _Shapeless
    return _lists.decode(raw)


def _members(values: dict[str, Raw], left_out: set[str]) -> bytes:
    """Return members of an object as they stand in it, each with a comma behind it."""
    return b"".join(
        [
            _name_of_member(name) + bytes(value) + b","
            for name, value in values.items()
            if name not in left_out
        ]
    )


def _name_of_member(name: str) -> bytes:
    known = _NAMES.get(name)
    return orjson.dumps(name) + b":" if known is None else known


#: What stands in nearly every webhook.
_NAMES = {
    name: b'"%s":' % name.encode()
    for name in ("object", "id", "time", "field", "messaging_product", "metadata")
}


def _envelope_fault(envelope: bytes) -> str | None:
    """Return why what stands around elements cannot be read, or None."""
    return (_known_fault if len(envelope) <= MAX_SHARED_BYTES + 64 else _fault)(envelope)


def _fault(envelope: bytes) -> str | None:
    try:
        _decode(envelope)
    except _NOT_READ as error:
        return f"in what stands around it, {error}"
    return None


#: A number's envelopes are all the same, so one is looked at once.
_known_fault = lru_cache(maxsize=256)(_fault)


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

    def __init__(self, raw: Raw) -> None:
        self._all: list[Raw] = []
        self._by_phone: dict[str, bytes] | None = None
        self._by_user: dict[str, bytes] = {}
        if bytes(raw):
            try:
                self._all = _lists.decode(raw)[:MAX_CONTACTS]
            except _NOT_READ:
                return

    def of(self, values: dict[str, Any], *, alone: bool) -> bytes | None:
        """Return the contact that an update is from or to. Where one contact stands beside one
        update (``alone``), it is its contact whatever the ids say: a number has two forms in
        Brazil and Mexico."""
        if not self._all:
            return None
        if alone and len(self._all) == 1:
            contact = bytes(self._all[0])
            return contact if isinstance(_decoded(contact), dict) else None
        if self._by_phone is None:
            self._by_phone = {}
            self._index(self._by_phone)
        return self._find(values, self._by_phone)

    def give_long_ones(self, runs: list[_Run]) -> None:
        """Have each contact that is long go with the first update that it belongs to, and with no
        other, however often and from where on the updates are taken."""
        if not any(len(memoryview(contact)) > MAX_SHARED_BYTES for contact in self._all):
            return
        given: set[bytes] = set()
        for run in runs:
            places = set()
            for index, element in enumerate(run.elements):
                values, fault = _values(run, bytes(element))
                if fault is not None or run.kind is None:
                    continue
                contact = self.of(values, alone=len(run.elements) == 1)
                if contact and len(contact) > MAX_SHARED_BYTES and contact not in given:
                    given.add(contact)
                    places.add(index)
            run.with_contact = frozenset(places)

    def _index(self, by_phone: dict[str, bytes]) -> None:
        for one in self._all:
            contact = bytes(one)
            values = _decoded(contact)
            if isinstance(values, dict):
                if phone := _text(values, "wa_id"):
                    by_phone.setdefault(phone, contact)
                if user := _text(values, "user_id"):
                    self._by_user.setdefault(user, contact)

    def _find(self, values: dict[str, Any], by_phone: dict[str, bytes]) -> bytes | None:
        if by_phone:
            for name in ("from", "recipient_id", "to"):
                if (phone := _text(values, name)) and phone in by_phone:
                    return by_phone[phone]
        if self._by_user:
            for name in ("from_user_id", "recipient_user_id", "to_user_id"):
                if (user := _text(values, name)) and user in self._by_user:
                    return self._by_user[user]
        return None


_NO_CONTACTS = _Contacts(Raw(b""))


def _decoded(raw: bytes) -> Any:
    """Return what JSON says, or None if it cannot be read."""
    try:
        return _decode(raw)
    except _NOT_READ:
        return None


def _name(who: str) -> str:
    if len(who) <= MAX_NAME:
        return who
    return hashlib.blake2b(who.encode(), digest_size=16).hexdigest()
