"""Finds the lists of a webhook, and the envelope that the elements of each share.

An envelope holds what stands around an element: the account, the field, the metadata. It is copied
for each update, so it is kept short: other lists beside the updates, and whatever is long, go once,
in a change of their own.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import msgspec
from msgspec import Raw

from contracts.backend import UpdateKind
from contracts.cloud_api.fields import lists_of
from workers.inbox.clean import cut, mend
from workers.inbox.contacts import Contacts, short
from workers.inbox.rawjson import (
    NOT_READ,
    Members,
    Shapeless,
    decoded,
    elements,
    is_list,
    is_null,
    is_object,
    joined,
    members,
    without_spaces,
)
from workers.inbox.runs import END, FRONTS, MAX_SHARED_BYTES, Run, envelope_fault, merged
from workers.inbox.usual import usual_runs

#: Maximum changes in a webhook. Meta puts at most 1,000 updates into one
#: (https://developers.facebook.com/docs/graph-api/webhooks/getting-started); more are junk, and
#: looking at each would take seconds.
MAX_CHANGES = 10_000
_TOO_MANY = f"it has more than {MAX_CHANGES:,} elements"

#: Why something is ignored on purpose.
NULL = "null_element"
NO_CHANGES = "entry_without_changes"


def runs_of(body: bytes) -> list[Run]:
    """Return all lists of a webhook, none if it has not the shape of one."""
    usual = usual_runs(without_spaces(body), MAX_CHANGES)
    if usual:
        return usual
    for _ in range(3):
        before = body
        try:
            return merged(_runs(body))
        except msgspec.DecodeError:
            body = mend(body)
        except RecursionError:
            body = cut(body)
        except NOT_READ:
            return []
        if body == before:
            break
    return []


def _runs(body: bytes) -> Iterator[Run]:
    webhook = members(body)
    entries = [raw for name, raw in webhook if name == "entry"]
    accounts = [account for raw in entries for account in elements(raw)]
    if not accounts:
        raise Shapeless
    if len(accounts) > MAX_CHANGES:
        yield Run("entry", None, entries, fault=_TOO_MANY)
        return
    room = MAX_CHANGES
    around = joined(webhook, {"entry"})
    for account in _objects_of("entry", accounts):
        if isinstance(account, Run):
            yield account
            continue
        inside = members(account)
        changes = _changes(account, inside)
        if isinstance(changes, Run):
            yield changes
            continue
        room -= len(changes)
        if room < 0:
            yield Run("changes", None, [Raw(bytes(account))], fault=_TOO_MANY)
            continue
        own = joined(inside, {"changes"})
        before = b"{" + around + b'"entry":[{' + own + b'"changes":['
        fault = envelope_fault(before + b"]}]}")
        is_long = len(around) > MAX_SHARED_BYTES
        if fault:  # what is short may be read all the same
            is_long = True
            yield Run("entry", None, [Raw(b"{" + (around + own)[:-1] + b"}")], fault=fault)
            before = _shortest(before)
            fault = envelope_fault(before + b"]}]}")
        for change in _objects_of("changes", changes):
            if isinstance(change, Run):
                yield change
            elif fault:
                yield Run("changes", None, [change], fault=fault)
            else:
                yield from _runs_of_change(before, change)
                before = _bounded(before)
        if is_long:  # once, however many accounts there are
            around = short(dict(webhook), ("object",))


def _changes(account: Raw, inside: Members) -> list[Raw] | Run:
    """Return the changes of an account; if there are none, what becomes of it."""
    try:
        changes = [one for name, raw in inside if name == "changes" for one in elements(raw)]
    except NOT_READ:
        changes = []
    else:
        if not changes and {name for name, _ in inside} <= {"id", "time", "changes"}:
            return Run("entry", None, [account], ignored=NO_CHANGES)
    return changes or Run("entry", None, [account], fault="it has no list of changes")


def _objects_of(what: str, some: list[Raw]) -> Iterator[Raw | Run]:
    """Return the objects of a list, and what is none in between."""
    for (are_objects, are_null), found in groupby(some, lambda raw: (is_object(raw), is_null(raw))):
        if are_objects:
            yield from found
        elif are_null:
            yield Run(what, None, list(found), ignored=NULL)
        else:
            yield Run(what, None, list(found), fault="it is no object")


def _runs_of_change(before: bytes, raw: Raw) -> Iterator[Run]:
    change = members(raw)
    values = [value for name, value in change if name == "value"]
    field = decoded(bytes(dict(change).get("field", b"null")))
    around = joined(change, {"value"})
    for value in values or [Raw(b"null")]:
        whole = raw
        if len(values) > 1:
            whole = Raw(b"{" + around + b'"value":' + bytes(value) + b"}")
        inside = members(value) if is_object(value) else []
        yield from _runs_of_value(before, dict(change), (field, inside), whole)


def _runs_of_value(
    before: bytes, change: dict[str, Raw], content: tuple[Any, Members], whole: Raw
) -> Iterator[Run]:
    """Return the lists of a value, whose field and members are its ``content``."""
    after = b"]}]}"
    field, inside = content
    kinds = lists_of(field)
    lists = [(n, raw) for n in kinds for name, raw in inside if name == n and not _is_empty(raw)]
    if not lists:
        yield Run("changes", UpdateKind.CHANGE, [whole], (before,), after)
        return
    contacts = Contacts([raw for n, raw in inside if n == "contacts"])
    beside = {n: raw for n, raw in inside if n not in kinds and n != "contacts"}
    others = {n for n, raw in beside.items() if is_list(raw) and not _is_empty(raw)}
    shared, around = joined(beside.items(), others), joined(change.items(), {"value"})
    front = before + b"{" + around + b'"value":{' + shared + b'"'
    fault = envelope_fault(front + b'":0}}' + after)
    goes_apart = fault is not None or len(front) > MAX_SHARED_BYTES
    if goes_apart:
        front = _bounded(before) + _shortened(change, beside)
        fault = envelope_fault(front + b'":0}}' + after)
    found = [_run_of_list(name, kinds[name], raw, front, fault) for name, raw in lists]
    alone = sum(len(run.elements) for run in found) == 1
    for run in found:
        run.contacts, run.alone = contacts, alone
        yield run
    if others or goes_apart or contacts.has_long:
        rest = joined((n, raw) for n, raw in inside if n not in kinds).removesuffix(b",")
        once = Raw(b"{" + around + b'"value":{' + rest + b"}}")
        yield Run("changes", UpdateKind.CHANGE, [once], (before,), after)


def _run_of_list(name: str, kind: UpdateKind, raw: Raw, front: bytes, fault: str | None) -> Run:
    try:
        found = elements(raw)
    except NOT_READ:
        return Run(name, None, [raw], fault="it is no list")
    return Run(name, kind, found, (front, FRONTS[name]), END, fault=fault)


def _is_empty(raw: Raw) -> bool:
    return is_null(raw) or (is_list(raw) and not bytes(raw)[1:-1].strip())


def _shortened(change: dict[str, Raw], beside: dict[str, Raw]) -> bytes:
    """Return the front of a change, without what is too long to go with each update."""
    metadata = beside.get("metadata")
    inside = short(beside, ("messaging_product", "metadata"))
    if metadata is not None and is_object(metadata) and b'"metadata"' not in inside:
        known = short(dict(members(metadata)), ("display_phone_number", "phone_number_id"))
        inside += b'"metadata":{' + known.removesuffix(b",") + b"},"
    return b"{" + short(change, ("field",)) + b'"value":{' + inside + b'"'


def _bounded(before: bytes) -> bytes:
    """Return the front of an envelope, without what is too long to go with each update."""
    return before if len(before) <= MAX_SHARED_BYTES else _shortest(before)


def _shortest(before: bytes) -> bytes:
    webhook = dict(members(before + b"]}]}"))
    [account] = elements(webhook["entry"])
    inside = short(dict(members(account)), ("id", "time"))
    return b"{" + short(webhook, ("object",)) + b'"entry":[{' + inside + b'"changes":['
