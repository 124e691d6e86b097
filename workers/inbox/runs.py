"""Elements of a webhook that stand in one list, and the envelope that they share."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from msgspec import Raw

from contracts.backend import UpdateKind
from contracts.cloud_api.fields import LISTS
from workers.inbox.contacts import NO_CONTACTS, Contacts
from workers.inbox.rawjson import NOT_READ, decode

#: What stands around an element is repeated for each up to this size.
MAX_SHARED_BYTES = 2048

#: How a list begins, behind the quotation mark of its name, and what ends it and all around it.
FRONTS = {name: name.encode() + b'":[' for name in LISTS}
END = b"]}}]}]}"


@dataclass(slots=True)
class Run:
    """Elements of one list, and their envelope, its front in pieces. Without a ``kind`` there is a
    ``fault``, or they are ``ignored`` for a reason. ``alone``: the only update of its change."""

    what: str
    kind: UpdateKind | None
    elements: list[Raw]
    front: tuple[bytes, ...] = ()
    after: bytes = b""
    contacts: Contacts = NO_CONTACTS
    alone: bool = False
    fault: str | None = None
    ignored: str | None = None

    def continues(self, other: "Run") -> bool:
        """Return whether this is one with another, but for the elements."""
        return self.kind in (None, UpdateKind.CHANGE) and (
            (self.what, self.kind, self.fault, self.ignored, self.front, self.after)
            == (other.what, other.kind, other.fault, other.ignored, other.front, other.after)
        )


def merged(runs: Iterable[Run]) -> list[Run]:
    """Return runs, as one those that differ in nothing but their elements."""
    found: list[Run] = []
    for run in runs:
        if found and run.continues(found[-1]):
            found[-1].elements += run.elements
        else:
            found.append(run)
    return found


def envelope_fault(envelope: bytes) -> str | None:
    """Return why what stands around elements cannot be read, or None."""
    return (_known_fault if len(envelope) <= MAX_SHARED_BYTES + 64 else _fault)(envelope)


def _fault(envelope: bytes) -> str | None:
    try:
        decode(envelope)
    except NOT_READ as error:
        return f"in what stands around it, {error}"
    return None


#: A number's envelopes are all the same, so one is looked at once.
_known_fault = lru_cache(maxsize=256)(_fault)
