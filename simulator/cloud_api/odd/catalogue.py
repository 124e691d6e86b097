"""The kinds of odd payloads, and single uses of them."""

import gzip
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from simulator.cloud_api.odd.tokens import Tokens, to_bytes
from simulator.cloud_api.raw_post import Signature

_KINDS = Path(__file__).parent / "kinds"
_BOM = b"\xef\xbb\xbf"
_MANY = 300


@dataclass(frozen=True, slots=True)
class OddKind:
    """``posts`` and ``expect`` as their file has them."""

    name: str
    about: str
    posts: tuple[dict[str, Any], ...]
    expect: dict[str, Any]
    random: bool

    @property
    def needs_sent(self) -> bool:
        """Whether it is about a message that the number has sent."""
        return "@sent" in json.dumps(self.posts)


@dataclass(frozen=True, slots=True)
class OddBody:
    """A body on its way: as it is sent, and as it is read."""

    sent: bytes
    plain: bytes
    signature: Signature
    encoding: str | None


@dataclass(frozen=True, slots=True)
class OddUse:
    """One use of a kind, with all names filled in."""

    kind: OddKind
    bodies: tuple[OddBody, ...]
    expect: dict[str, Any]
    people: tuple[str, ...]
    marks: tuple[str, ...]


@cache
def kinds() -> dict[str, OddKind]:
    """Return all kinds by name."""
    found = {}
    for file in sorted(_KINDS.glob("*.json")):
        told = json.loads(file.read_text())
        found[told["kind"]] = OddKind(
            told["kind"],
            told["about"],
            tuple(told["posts"]),
            told["expect"],
            told.get("random", True),
        )
    return found


def use(kind: OddKind, tokens: Tokens) -> OddUse:
    """Fill in a kind's payloads and what is expected of them."""
    bodies = tuple(_body(post, tokens) for post in kind.posts)
    expect = json.loads(tokens.fill(json.dumps(kind.expect)))
    return OddUse(kind, bodies, expect, tuple(tokens.people), tuple(tokens.marks))


def _body(post: dict[str, Any], tokens: Tokens) -> OddBody:
    entry = post.get("entry") or [{"id": "@account@", "changes": post["changes"]}]
    text = json.dumps(
        {"object": "whatsapp_business_account", "entry": [_entry(one) for one in entry]}
    )
    plain = to_bytes(tokens.fill(text))
    plain = _BOM + plain if post.get("bom") else plain
    encoding = post.get("encoding")
    sent = gzip.compress(plain) if encoding == "gzip" else plain
    return OddBody(sent, plain, Signature(post.get("signature", "valid")), encoding)


def _entry(entry: dict[str, Any]) -> dict[str, Any]:
    if "changes" not in entry:
        return entry
    return {**entry, "changes": [_change(change) for change in entry["changes"]]}


def _change(change: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a change with what stands in nearly all of them, unless it is ``bare``."""
    if change is None:
        return None
    value = change["value"]
    if not change.get("bare"):
        metadata = {"display_phone_number": "@display@", "phone_number_id": "@number@"}
        value = {"messaging_product": "whatsapp", "metadata": metadata, **value}
    if "contacts" in value and isinstance(value["contacts"], list):
        value = {**value, "contacts": _contacts(value["contacts"])}
    return {"value": value, "field": change["field"]}


def _contacts(contacts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the contacts, a great many in the place of one that stands for them."""
    many = [one for one in contacts if one.get("wa_id") == "@many@"]
    others = [one for one in contacts if one.get("wa_id") != "@many@"]
    return [{**one, "wa_id": f"99912{n:09d}"} for one in many for n in range(_MANY)] + others
