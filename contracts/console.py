"""The link by which PHP's admin signs in to the sidecar's console.

PHP sends the browser of a person who may look or operate to::

    /sidecar/sign-in/link?name=NAME&role=ROLE&key=ID&at=TIME&nonce=NONCE&signature=SIGNATURE

The parameters stand in this order, each once. The last four are those of a signed call
(``contracts/signing.py``) for the audience ``console``: GET, the target as far as the role, no
body. ``name`` is what people read (UTF-8, percent-encoded, :data:`NAME_LENGTH` characters at most).
The link holds for :data:`LINK_TTL_S`, and once.
"""

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote, unquote

from contracts.signing import (
    KEY_HEADER,
    NONCE_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    Signer,
)

LINK_PATH = "/sidecar/sign-in/link"
#: How old a link may be, in seconds.
LINK_TTL_S = 60
#: Most characters of a name.
NAME_LENGTH = 100

_CLAIMS = ("name", "role")
_SIGNED = {
    "key": KEY_HEADER,
    "at": TIMESTAMP_HEADER,
    "nonce": NONCE_HEADER,
    "signature": SIGNATURE_HEADER,
}
#: Longest query; the longest name takes 12 bytes a character.
_MAX_QUERY = 4096


class Role(StrEnum):
    """What a person may do in the console. Who operates may look as well."""

    LOOK = "look"
    OPERATE = "operate"


@dataclass(frozen=True, slots=True)
class Link:
    """What a link claims, and what must be verified: nothing of it is true before that."""

    name: str
    role: Role
    target: str
    headers: dict[str, str]


def make_link(signer: Signer, name: str, role: Role) -> str:
    """Return path and query of a link. The signer is one for :attr:`Audience.CONSOLE`."""
    target = f"{LINK_PATH}?name={quote(name, safe='')}&role={role}"
    headers = signer.headers("GET", target, b"")
    signed = (f"{name}={quote(headers[header], safe='')}" for name, header in _SIGNED.items())
    return "&".join((target, *signed))


def read_link(query: str) -> Link:
    """Take a link's query apart, as it came. Raises ``ValueError`` if it is of another form."""
    names, values = [], []
    for part in query[: _MAX_QUERY + 1].split("&"):
        name, _, value = part.partition("=")
        names.append(name)
        values.append(unquote(value, errors="strict"))
    if len(query) > _MAX_QUERY or tuple(names) != (*_CLAIMS, *_SIGNED):
        raise ValueError("the link does not have the documented parameters")
    if not 0 < len(values[0]) <= NAME_LENGTH:
        raise ValueError(f"the name has no, or more than {NAME_LENGTH}, characters")
    claimed = "&".join(query.split("&")[: len(_CLAIMS)])
    signed = dict(zip(_SIGNED.values(), values[len(_CLAIMS) :], strict=True))
    return Link(values[0], Role(values[1]), f"{LINK_PATH}?{claimed}", signed)
