"""Which dead letters are meant, as forms and addresses of the console say it."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

from sidecar.ops.dead_letter import KINDS, Choice, LetterRef
from sidecar.redis.letter_bounds import LetterKind

#: The fields of a filter.
FILTERS = ("vendor", "kind", "reason", "since", "before")

_ITEM = re.compile(rf"(\d{{1,18}})/({'|'.join(LetterKind)})/([^/]+)/(.+)", re.ASCII | re.DOTALL)


def item_of(ref: LetterRef) -> str:
    """Return where a letter is as a text. No vendor's uid holds a slash."""
    return f"{ref.given_up_at}/{ref.kind}/{ref.vendor_uid}/{ref.id}"


def ref_of(item: str) -> LetterRef:
    """Return where the letter is that a text names. Raises ValueError, in words."""
    found = _ITEM.fullmatch(item)
    if found is None:
        raise ValueError("That names no dead letter.")
    return LetterRef(int(found[1]), found[3], found[4], LetterKind(found[2]))


def choice_of(query: Mapping[str, str]) -> Choice:
    """Return what a filter means. Raises ValueError, in words."""
    kind = query.get("kind") or None
    if kind is not None and kind not in KINDS:
        raise ValueError("There is no such kind of dead letter.")
    return Choice(
        vendor_uid=query.get("vendor", "").strip() or None,
        reason=query.get("reason", "").strip() or None,
        before=_time(query.get("before", "")),
        since=_time(query.get("since", "")),
        kind=kind,
    )


def _time(text: str) -> int | None:
    """Return a time as browsers write it, in UTC, as unix ms."""
    if not text:
        return None
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        raise ValueError("That is no time; write it as 2026-01-31T14:05.") from None


def asked_of(query: Mapping[str, str]) -> dict[str, str]:
    """Return what is asked for, field by field."""
    return {name: query[name] for name in FILTERS if query.get(name)}


def link_to(query: Mapping[str, str], **more: str) -> str:
    """Return the address of the same filter, with more to it."""
    return f"?{urlencode({**asked_of(query), **more})}"
