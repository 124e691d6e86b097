"""Which lists of a change hold single updates, by the change's ``field``.

A message in ``messages`` is a new one of a customer only where the field says so: ``history`` holds
old chats there, ``standby`` what another application answers. So a change of any field that is not
in the table is one update, as Meta formed it, whatever lists it holds. PHP has the same table
(``Webhook/Fields.php``), and ``contracts/vectors/fields.json`` holds both to it.
"""

from collections.abc import Mapping
from typing import Any

from contracts.backend import UpdateKind

#: The lists of single updates, where they are any.
LISTS: Mapping[str, UpdateKind] = {
    "messages": UpdateKind.MESSAGE,
    "message_echoes": UpdateKind.ECHO,
    "statuses": UpdateKind.STATUS,
}

_STATUS = UpdateKind.STATUS
_NONE: Mapping[str, UpdateKind] = {}
_SPLIT: Mapping[str, Mapping[str, UpdateKind]] = {
    "messages": {name: LISTS[name] for name in ("messages", "statuses")},
    "smb_message_echoes": {name: LISTS[name] for name in ("message_echoes",)},
}


def lists_of(field: Any) -> Mapping[str, UpdateKind]:
    """Return the lists of a change that hold single updates, with the kind of each. Without a field
    it may be any of them, as for PHP's own routine."""
    if not isinstance(field, str) or not field:
        return LISTS
    return _SPLIT.get(field, _NONE)


def kind_of(kind: UpdateKind, element: Mapping[str, Any]) -> UpdateKind:
    """Return what an element of a list of this kind is. The status of a call is none of a message:
    it is handed over in a change of its own."""
    if kind is not _STATUS:
        return kind
    is_call = element.get("type") == "call" or str(element.get("id")).startswith("wacid.")
    return UpdateKind.CHANGE if is_call else kind
